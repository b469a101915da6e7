"""Requests at a steady rate, every answer written down."""

import asyncio
import json
import threading
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

PATIENCE_S = 15.0


class Answer(NamedTuple):
    at: float
    status: int
    """0 when the connection ended without an answer."""
    body: dict
    ms: float
    may_come_back: bool = False
    """Whether the answer says when to."""


class SteadyLoad:
    """Asks `path(n)` over a few keep-alive connections, in a thread of its own, until it is stopped.

    With `body`, sends ``body(n)`` there; an answer that does not come within `PATIENCE_S` counts as none.
    """

    def __init__(
        self,
        port: int,
        path,
        *,
        body=None,
        per_s: float = 80,
        connections: int = 4,
        host: str = "127.0.0.1",
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.answers: list[Answer] = []
        self.repeated = 0
        """Requests that were sent again because their kept connection was closed."""
        self._host, self._port, self._path, self._body = host, port, path, body
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "localhost", **headers}.items())
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
        link = None
        due = time.perf_counter()
        while not self._stopped.is_set():
            begin = time.perf_counter()
            reused = link is not None
            link, (status, body, may_come_back) = await self._ask(link, turn)
            if status == 0 and reused and self._body is None:
                # a kept connection may be closed at any moment; who reads sends again, as RFC 9112 §9.3.1 has it
                self.repeated += 1
                link, (status, body, may_come_back) = await self._ask(None, turn)
            ms = (time.perf_counter() - begin) * 1e3
            self.answers.append(Answer(time.time(), status, body, ms, may_come_back))
            turn += self._connections
            due = max(due + self._pause, begin)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        if link is not None:
            link[1].close()

    async def _ask(self, link, turn: int):
        """The link, None when it broke, and what was answered."""
        try:
            link = link or await asyncio.open_connection(self._host, self._port)
            async with asyncio.timeout(PATIENCE_S):
                *answer, is_last = await _exchange(*link, self._request(turn))
            if is_last:
                link[1].close()
            return None if is_last else link, tuple(answer)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            if link is not None:
                link[1].close()
            return None, (0, {}, False)

    def _request(self, turn: int) -> bytes:
        if self._body is None:
            return f"GET {self._path(turn)} HTTP/1.1\r\n{self._headers}\r\n".encode()
        body = self._body(turn)
        lines = f"POST {self._path(turn)} HTTP/1.1\r\n{self._headers}Content-Type: application/json\r\n"
        return f"{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[int, dict, bool, bool]:
    """Status, body, whether it says when to come back, and whether the connection ends with it."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next((int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")), 0)
    body = await reader.readexactly(length)
    if b"transfer-encoding: chunked" in lines:  # Serve's own 408
        body = (await reader.readuntil(b"0\r\n\r\n")).partition(b"\r\n")[2]
    may_come_back = any(line.startswith(b"retry-after:") for line in lines)
    try:
        read = json.loads(body)
    except ValueError:
        read = {"detail": body.decode(errors="replace")}  # of the proxy, which says it in other words
    return int(lines[0].split()[1]), read, may_come_back, b"connection: close" in lines
