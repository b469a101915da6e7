"""Processes of this machine, read from /proc; elsewhere than on Linux none are found.

What is asked of a process that has ended meanwhile raises OSError. psutil would be a compiled dependency more for six
functions of a line each, and nothing that we install brings it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
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


def descendants(pid: int) -> dict[int, int]:
    """Processes that a process started, and those that they did, each with its `birth`."""
    found: dict[int, int] = {}
    for each in everyone():
        with contextlib.suppress(OSError):
            if pid in ancestors(each):
                found[each] = birth(each)
    return found


def birth(pid: int) -> int:
    """When a process was started, in ticks since the machine was: another that has its id now was born later."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def still(born: Mapping[int, int]) -> list[int]:
    """Which of some processes have not ended; one that only waits to be reaped has."""
    living = []
    for pid, when in born.items():
        with contextlib.suppress(OSError):
            if birth(pid) == when and command(pid):
                living.append(pid)
    return living
