"""One real service that starts empty, with keys, for all doors."""

import time
from collections.abc import Iterator

import httpx
import pytest
from running_service import RunningService

from lightfm_serve import Client

KEY = "the-key"
TRAINING = {"min_interactions": 500, "incremental_every_s": 86_400, "full_every_s": 86_400}


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    running = RunningService(tmp_path_factory.mktemp("doors"), dataset="none", training=TRAINING)
    running.start(RECOMMENDER_API_KEYS=f"admin:{KEY}")
    try:
        wait_until_up(running)
        yield running
    finally:
        running.stop()


def wait_until_up(running: RunningService, within_s: float = 120) -> None:
    """It is not ready before it has learned something."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        assert running.process.poll() is None, running.log.read_text()[-4000:]
        try:
            if httpx.get(f"{running.url}/healthz", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(running.log.read_text()[-4000:])


@pytest.fixture
def client(service: RunningService) -> Iterator[Client]:
    with Client(service.url, KEY) as client:
        yield client
