"""Requests at a steady rate, every answer written down."""

import asyncio
import json
import threading
import time
from typing import NamedTuple


class Answer(NamedTuple):
    at: float
    status: int
    body: dict
    ms: float


class SteadyLoad:
    """Asks `path(n)` over a few keep-alive connections, in a thread of its own, until it is stopped."""

    def __init__(self, port: int, path, *, per_s: float = 80, connections: int = 4) -> None:
        self.answers: list[Answer] = []
        self._port, self._path = port, path
        self._pause = connections / per_s
        self._connections = connections
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> "SteadyLoad":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    @property
    def per_s(self) -> float:
        return len(self.answers) / (self.answers[-1].at - self.answers[0].at)

    def failed(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.status != 200]

    async def _run(self) -> None:
        await asyncio.gather(*(self._client(number) for number in range(self._connections)))

    async def _client(self, turn: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        due = time.perf_counter()
        while not self._stopped.is_set():
            begin = time.perf_counter()
            writer.write(f"GET {self._path(turn)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            length = next(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:"))
            body = json.loads(await reader.readexactly(length))
            ms = (time.perf_counter() - begin) * 1e3
            self.answers.append(Answer(time.time(), int(lines[0].split()[1]), body, ms))
            turn += self._connections
            due += self._pause
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        writer.close()
