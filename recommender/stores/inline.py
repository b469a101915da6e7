"""The two words that are exchanged with a server before there is a client."""

from __future__ import annotations

import socket
from pathlib import Path

TIMEOUT_S = 1.0


def answers(path: Path) -> bool:
    """Whether the server at a socket is there and has loaded its data."""
    return _say(path, b"PING\r\n").startswith(b"+PONG")


def shut_down(path: Path) -> None:
    """Ask the server at a socket, if there is one, to write down what it has and to end."""
    _say(path, b"SHUTDOWN\r\n")


def _say(path: Path, command: bytes) -> bytes:
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(TIMEOUT_S)
            client.connect(str(path))
            client.sendall(command)
            return client.recv(64)
    except OSError:
        return b""
