"""One S3 server for all of these tests, and a place in it for each."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.s3_server import S3Server

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def server() -> Iterator[S3Server]:
    server = S3Server()
    try:
        yield server
    finally:
        server.end()


@pytest.fixture(autouse=True)
def _environment(server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RECOMMENDER_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def url(server: S3Server) -> str:
    return server.url(f"state-{next(_NUMBERS)}")
