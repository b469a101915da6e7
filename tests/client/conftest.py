"""One service for all doors."""

from collections.abc import Iterator

import pytest

from lightfm_serve import Client
from tests.support.empty_service import KEY, empty_service
from tests.support.running_service import RunningService


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with empty_service(tmp_path_factory.mktemp("doors")) as running:
        yield running


@pytest.fixture
def client(service: RunningService) -> Iterator[Client]:
    with Client(service.url, KEY) as client:
        yield client
