"""A store behind Redis Sentinel, with a primary that dies."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from recommender.errors import StoreError
from recommender.stores import open_store
from recommender.stores.protocols import Interaction
from tests.support.store_servers import Server, _binary, accepts, free_port, start_redis, wait_until

pytestmark = pytest.mark.slow  # it starts servers

SERVICE = "recommender"


@pytest.fixture
def watched() -> Iterator[tuple[str, Server]]:
    """URL of the sentinel, and the primary that it watches, which has a replica."""
    with tempfile.TemporaryDirectory(prefix="rs") as root:
        folders = [Path(root) / name for name in ("primary", "replica", "sentinel")]
        for folder in folders:
            folder.mkdir()
        primary = start_redis(folders[0])
        replica = start_redis(folders[1], None, "--replicaof", "127.0.0.1", str(primary.port))
        port, config = free_port(), folders[2] / "sentinel.conf"
        config.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folders[2]}\nlogfile {folders[2]}/log\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary.port} 1\n"
            f"sentinel down-after-milliseconds {SERVICE} 500\nsentinel failover-timeout {SERVICE} 3000\n"
        )
        sentinel = subprocess.Popen([_binary(), str(config), "--sentinel"])
        try:
            wait_until(lambda: accepts(port))
            yield f"redis+sentinel://127.0.0.1:{port}/{SERVICE}", primary
        finally:
            sentinel.kill()
            sentinel.wait()
            primary.end()
            replica.end()


def test_when_the_primary_dies_the_store_goes_on_at_its_successor_with_what_that_has(
    watched: tuple[str, Server],
) -> None:
    url, primary = watched

    async def work() -> tuple[int, int, list[str]]:
        store = open_store(url, timeout_s=5.0)
        accepted = await _taken(store, "before")
        # what the replica has not been sent yet goes with the primary: here it has all
        await _replicated(url, primary)
        primary.process.kill()
        later = await _taken(store, "after")
        items = [entry.event.item_id for entry in await store.read(0, 10) if isinstance(entry.event, Interaction)]
        await store.close()
        return accepted, later, items

    accepted, later, items = asyncio.run(work())

    assert (accepted, later) == (1, 1)
    assert items == ["before", "after"]


async def _taken(store, item_id: str) -> int:
    """Send an interaction until it is taken, as clients do; its id makes it count once."""
    deadline = time.monotonic() + 120
    while True:
        with suppress(StoreError):
            appended = await store.append([Interaction("ann", item_id, 1.0, 1e9, None, item_id)])
            return appended.accepted + appended.duplicates
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)


async def _replicated(url: str, primary: Server) -> None:
    """Wait until the sentinel knows of a replica and this has all that the primary has."""
    import redis.asyncio as redis

    sentinel_port = int(url.rpartition("/")[0].rpartition(":")[2])
    async with redis.Redis(port=sentinel_port) as sentinel, redis.Redis(port=primary.port) as server:
        deadline = time.monotonic() + 120
        while await server.wait(1, 1000) < 1 or not (await sentinel.sentinel_master(SERVICE))["num-slaves"]:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)
