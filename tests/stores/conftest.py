"""Stores of each kind."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from recommender.errors import StoreError
from recommender.stores import EmbeddedValkey
from tests.support.store_servers import Server, flush, start_redis

KINDS = ("memory", "embedded", "redis-tcp", "redis-unix")


@pytest.fixture(scope="session")
def short_path() -> Iterator[Path]:
    # pytest's own folders are too deep for a socket
    folder = Path(tempfile.mkdtemp(prefix="rs"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def redis_server(short_path: Path) -> Iterator[Server]:
    server = start_redis(short_path)
    yield server
    server.end()


@pytest.fixture
def own_redis() -> Iterator[Server]:
    """A server that the test may hurt."""
    folder = Path(tempfile.mkdtemp(prefix="rs"))
    server = start_redis(folder)
    yield server
    server.end()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey(tmp_path_factory.mktemp("valkey"))
    try:
        server.start()
    except StoreError as error:
        pytest.skip(f"no embedded Valkey here: {error}")
    yield server
    server.stop()


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest) -> str:
    """An empty store of each kind."""
    if request.param == "memory":
        return "memory:"
    if request.param == "embedded":
        found: str = request.getfixturevalue("valkey").url
    else:
        server: Server = request.getfixturevalue("redis_server")
        found = server.tcp_url if request.param == "redis-tcp" else server.unix_url
    flush(found)
    return found


@pytest.fixture(params=("embedded", "redis-tcp"))
def server_url(request: pytest.FixtureRequest) -> str:
    """An empty store of each engine."""
    found: str = (
        request.getfixturevalue("valkey").url
        if request.param == "embedded"
        else request.getfixturevalue("redis_server").tcp_url
    )
    flush(found)
    return found
