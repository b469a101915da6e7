"""One service for all faults, with a store behind a link that can be made faulty."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.support.faulty_link import FaultyLink
from tests.support.running_service import RunningService
from tests.support.store_servers import Server, start_redis

WORLD = "synthetic?n_users=200&n_items=100"
OFTEN = {"incremental_every_s": 2, "full_every_s": None, "min_interactions": 1, "keep_versions": 3, "margin": 10}
"""A margin that lets every version through: what is learned here is noise."""


class House(NamedTuple):
    """The service, its store, and what lies between them."""

    service: RunningService
    store: Server
    link: FaultyLink

    def service_is_ready(self) -> bool:
        """Whether every part says that it is well."""
        try:
            status = httpx.get(f"{self.service.url}/v1/status", timeout=5)
        except httpx.TransportError:
            return False
        return status.status_code == 200 and set(status.json()["health"].values()) == {"ok"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that end the service come last, because all share it."""
    items.sort(key=lambda item: item.get_closest_marker("ends_service") is not None)


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = Path(tempfile.mkdtemp(prefix="rs"))
    server = start_redis(folder)
    with FaultyLink(server.port) as link:
        service = RunningService(
            tmp_path_factory.mktemp("reliability"), dataset=WORLD, training=OFTEN, redis_url=link.url
        ).start()
        try:
            service.wait_until_ready()
            yield House(service, server, link)
        finally:
            service.stop()
            server.end()
            shutil.rmtree(folder, ignore_errors=True)
