"""Kills a process before each of its file operations in turn, until one comes through.

Run as ``crash_points.py FOLDER ACTION``. Leaves ``FOLDER/0``, ``FOLDER/1``, ... as each death left it.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from recommender.storage.registry import Registry
from tests.support.shelves import artifact, registry_with

OPERATIONS = ("fsync", "rename", "open", "mkdir", "unlink", "rmdir")

ACTIONS = {
    "publish": lambda registry: registry.publish(artifact(4), parent="00000002", status="ready"),
    "activate": lambda registry: registry.activate("00000001", pinned=True),
    "advance": lambda registry: registry.advance(),
    "quarantine": lambda registry: registry.quarantine("00000002", "a test"),
    "prune": lambda registry: registry.prune(0),
}


def counted(before: Callable[[int], None]) -> None:
    """Call `before` with its number before each file operation of this process."""
    calls = 0

    def wrapped(operation):
        def call(*arguments, **named):
            nonlocal calls
            before(calls)
            calls += 1
            return operation(*arguments, **named)

        return call

    for name in OPERATIONS:
        setattr(os, name, wrapped(getattr(os, name)))


def survives(point: int, action: Callable[[], object]) -> bool:
    """Whether a child that dies before its operation number `point` comes through nevertheless."""
    child = os.fork()
    if child == 0:
        counted(lambda number: os.kill(os.getpid(), signal.SIGKILL) if number == point else None)
        action()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
    return os.WIFEXITED(status)


def crash_everywhere(folder: Path, action: str) -> None:
    for point in range(200):
        place = folder / str(point)
        registry = registry_with(place, "ready", "ready", "ready")
        registry.activate("00000002", pinned=False)
        if survives(point, lambda registry=registry: ACTIONS[action](registry)):
            return
    raise AssertionError(f"{action} never ends")


def crowd(folder: Path) -> None:
    """Four processes publish six versions each, at once."""
    children = []
    for process in range(4):
        if not (child := os.fork()):
            for turn in range(6):
                content = artifact(turn, model={"writer": f"{process}-{turn}"})
                Registry(folder).publish(content, parent=None, status="ready")
            os._exit(0)
        children.append(child)
    assert all(os.waitpid(child, 0)[1] == 0 for child in children)


if __name__ == "__main__":
    where, what = Path(sys.argv[1]), sys.argv[2]
    crowd(where) if what == "crowd" else crash_everywhere(where, what)
