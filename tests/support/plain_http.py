"""Requests byte by byte, as no client library would send them, and what came back."""

import json
import socket
import time
from typing import NamedTuple

from tests.support.running_service import RunningService


class Raw(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes
    ms: float

    @property
    def problem(self) -> dict:
        assert self.headers["content-type"] == "application/problem+json", self
        return json.loads(self.body)


def head(method: str, target: str, **headers: object) -> bytes:
    given = {"Host": "localhost", "Connection": "close", "Content-Type": "application/json"}
    given |= {name.replace("_", "-"): str(value) for name, value in headers.items()}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def ask(service: RunningService, method: str, target: str, body: bytes = b"", **headers: object) -> Raw:
    """Send one request and read its answer."""
    if body:
        headers = {"Content_Length": len(body), **headers}
    return send(service, head(method, target, **headers) + body)


def send(service: RunningService, *parts: bytes, pause_s: float = 0.0, patience_s: float = 30.0) -> Raw:
    """Send bytes, with a pause after each part, until an answer comes."""
    begin = time.perf_counter()
    with socket.create_connection(("127.0.0.1", service.port), timeout=patience_s) as connection:
        for part in parts:
            try:
                connection.sendall(part)
            except (BrokenPipeError, ConnectionResetError):
                break
            if pause_s and _answered(connection, pause_s):
                break
        return _read(connection, begin)


def _answered(connection: socket.socket, within_s: float) -> bool:
    patience_s = connection.gettimeout()
    connection.settimeout(within_s)
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except TimeoutError:
        return False
    finally:
        connection.settimeout(patience_s)


def _read(connection: socket.socket, begin: float) -> Raw:
    with connection.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        ms = (time.perf_counter() - begin) * 1e3
        headers = {}
        while (line := stream.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", 0)))
    return Raw(status, headers, body, ms)
