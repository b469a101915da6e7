"""A broker, a store, and the service's writing routes over it, each a process of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.kafka_broker import KafkaBroker, kafka_broker
from tests.support.store_servers import Server, flush, start_redis
from tests.support.writing_service import KEY, WritingService


@pytest.fixture(scope="session")
def broker() -> Iterator[KafkaBroker]:
    with kafka_broker() as running:
        yield running


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Has the service's store and, in another database, others' streams."""
    folder = Path(tempfile.mkdtemp(prefix="rs"))  # pytest's own folders are too deep for a socket
    running = start_redis(folder)
    yield running
    running.end()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def _service(server: Server) -> Iterator[WritingService]:
    running = WritingService(server.tcp_url)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def service(_service: WritingService) -> WritingService:
    flush(_service.store_url)
    if _service.process is None:
        _service.start()
    return _service


class Connector:
    """A process of ``recommender connect``."""

    def __init__(self, log: Path, words: list[str]) -> None:
        self.log = log
        code = "from lightfm_serve.cli import main; main()"
        environment = {**os.environ, "RECOMMENDER_API_KEY": KEY}
        with log.open("ab") as file:
            command = [sys.executable, "-c", code, "connect", *words]
            self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=file, text=True)

    def end(self, with_signal: int = signal.SIGTERM) -> int:
        self.process.send_signal(with_signal)
        return self.process.wait(120)

    def said(self) -> str:
        return self.log.read_text()


class Connectors:
    """Starts connectors, and ends those that still run."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.dead = folder / "dead.jsonl"
        self._url = url
        self._started: list[Connector] = []

    def __call__(self, *words: str) -> Connector:
        own = ["--url", self._url, "--json"]
        if not any("--dead-letter" in word for word in words):
            own += ["--dead-letter-file", str(self.dead)]
        self._started.append(Connector(self.folder / "connect.log", [*words, *own]))
        return self._started[-1]

    def end(self) -> None:
        for each in self._started:
            if each.process.poll() is None:
                each.process.kill()
                each.process.wait(60)
            assert each.process.stdout is not None
            each.process.stdout.close()


@pytest.fixture
def connect(tmp_path: Path, service: WritingService) -> Iterator[Connectors]:
    connectors = Connectors(tmp_path, service.url)
    yield connectors
    connectors.end()


def wait_until(holds: Callable[[], bool], within_s: float = 120, every_s: float = 0.1) -> None:
    until = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(every_s)
