"""One service for all doors."""

from collections.abc import Iterator

import pytest
from empty_service import KEY, empty_service
from running_service import RunningService

from lightfm_serve import Client


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with empty_service(tmp_path_factory.mktemp("doors")) as running:
        yield running


@pytest.fixture
def client(service: RunningService) -> Iterator[Client]:
    with Client(service.url, KEY) as client:
        yield client
