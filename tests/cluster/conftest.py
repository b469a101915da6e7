"""A store that all nodes reach."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.store_servers import Server, start_redis


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="rs"))
    server = start_redis(folder)
    try:
        yield server
    finally:
        server.end()
        shutil.rmtree(folder, ignore_errors=True)
