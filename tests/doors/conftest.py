"""One service for all doors."""

from collections.abc import Iterator

import pytest
from empty_service import KEY, empty_service, wait_until_up
from running_service import RunningService

from lightfm_serve import Client


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    running = empty_service(tmp_path_factory.mktemp("doors"))
    try:
        wait_until_up(running)
        yield running
    finally:
        running.stop()


@pytest.fixture
def client(service: RunningService) -> Iterator[Client]:
    with Client(service.url, KEY) as client:
        yield client
