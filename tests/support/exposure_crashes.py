"""Kills the process that takes over exposures before each of its steps in turn, and lets another one go on.

Run as ``exposure_crashes.py FOLDER``. A step is a statement for the ledger or a file operation of the archive.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path

from recommender.exposures import ExposureFollower, ExposureKeeper, follower
from recommender.exposures.exposure import pack
from recommender.stores import MemoryStore
from tests.support.crash_points import counted
from tests.support.exposures import NOW, clicked, exposure

SHOWN = [exposure(f"r{number}", f"u{number % 3}", ["a", "b"], NOW + number) for number in range(6)]
LOG = [
    clicked("ab"[number % 2], NOW + 10 + number, f"u{number % 3}", named)
    for number, named in enumerate([None, "r1", None, "r3", None, "unknown"])
]


class Counting:
    """A database that dies before a statement."""

    def __init__(self, database, before) -> None:
        self._database, self._before = database, before

    def __getattr__(self, name):
        return getattr(self._database, name)

    def execute(self, *arguments):
        self._before()
        return self._database.execute(*arguments)

    def executemany(self, *arguments):
        self._before()
        return self._database.executemany(*arguments)


async def store_with_all() -> MemoryStore:
    store = MemoryStore()
    await store.append_exposures([pack(each) for each in SHOWN])
    await store.append(LOG)
    await store.delete_user("u2")
    return store


def follow(folder: Path, die_at: int | None = None) -> None:
    """Take over all that there is, and archive it; with `die_at` up to this step."""
    steps = 0

    def before(*_) -> None:
        nonlocal steps
        if steps == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        steps += 1

    async def work() -> None:
        keeper = ExposureKeeper(folder, keep_days=36_500)
        if die_at is not None:
            keeper.ledger._database = Counting(keeper.ledger._database, before)
            counted(before)
        await ExposureFollower(keeper, await store_with_all()).follow()
        keeper.archive(NOW + 100, at_once=True)
        keeper.close()

    follower.SETTLE_S = 0.0
    asyncio.run(work())


def survives(folder: Path, point: int) -> bool:
    child = os.fork()
    if child == 0:
        follow(folder, point)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
    return os.WIFEXITED(status)


def state(folder: Path) -> object:
    keeper = ExposureKeeper(folder, keep_days=36_500)
    cells = keeper.ledger.read("SELECT exposures, shown FROM cells")
    events = keeper.ledger.read("SELECT event, position, interactions, hits FROM cell_events ORDER BY event, position")
    shown = [(each.recommendation_id, keeper.as_json([(offset, each)])) for offset, each in keeper.page(None, 99).rows]
    keeper.close()
    return cells, events, shown


if __name__ == "__main__":
    where, every = Path(sys.argv[1]), int(sys.argv[2])
    follow(where / "whole")
    whole = state(where / "whole")
    for point in range(0, 10_000, every):
        place = where / str(point)
        came_through = survives(place, point)
        follow(place)
        assert state(place) == whole, (point, state(place), whole)
        shutil.rmtree(place)
        if came_through:
            print(f"{point} steps")
            break
