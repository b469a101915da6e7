"""Processes of this machine, read from /proc; elsewhere than on Linux none are found.

What is asked of a process that has ended meanwhile raises OSError. psutil would be a compiled dependency more for six
functions of a line each, and nothing that we install brings it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

INIT = 1


def everyone() -> list[int]:
    """All process ids."""
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def parent(pid: int) -> int:
    """Which process started it, or adopted it."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def ancestors(pid: int) -> Iterator[int]:
    """Its parent, that one's parent, and so on."""
    while pid > INIT:
        pid = parent(pid)
        yield pid


def command(pid: int) -> bytes:
    """Its command, words separated by NUL, or the title that it gave itself."""
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def threads(pid: int) -> list[int]:
    """Ids of its threads, the first of which is its own."""
    return [int(path.name) for path in Path(f"/proc/{pid}/task").iterdir()]


def environment(pid: int) -> list[bytes]:
    """Its environment variables when it started, as ``NAME=value``."""
    return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
