"""Raw Redis commands: sent to a server of our own before there is a client."""

from __future__ import annotations

import re
import socket
from pathlib import Path

TIMEOUT_S = 1.0


def answers(path: Path) -> bool:
    """Whether the server at a socket is there and has loaded its data."""
    return _say(path, b"PING\r\n").startswith(b"+PONG")


def tell_fault(path: Path, key: str, fault: str | None) -> None:
    """Have the server at a socket say what is wrong with it; None: nothing is."""
    words = "".join(letter if letter.isprintable() and letter not in '"\\' else "?" for letter in fault or "")
    _say(path, (f'SET {key} "{words}"\r\n' if fault else f"DEL {key}\r\n").encode())


def loaded_bytes(path: Path) -> int | None:
    """Bytes of its data that the server at a socket has loaded; 0 where it loads none, None where it is silent."""
    told = _say(path, b"INFO persistence\r\n", 16_384)
    found = re.search(rb"loading_loaded_bytes:(\d+)", told)
    return int(found[1]) if found else 0 if told else None


def shut_down(path: Path) -> None:
    """Ask the server at a socket, if there is one, to write down what it has and to end."""
    _say(path, b"SHUTDOWN\r\n")


def _say(path: Path, command: bytes, most_bytes: int = 64) -> bytes:
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(TIMEOUT_S)
            client.connect(str(path))
            client.sendall(command)
            return client.recv(most_bytes)
    except OSError:
        return b""
