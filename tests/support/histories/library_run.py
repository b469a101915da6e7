"""One history of the library: a seed decides what clients do, what breaks, and when.

``python -m tests.support.histories.library_run SEED [STEPS]`` runs one and tells what was violated.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

from recommender.stores import EmbeddedValkey
from tests.support.histories.clients import Client, group_of
from tests.support.histories.history_checker import Promises, Verdict, check
from tests.support.histories.library_service import SCHEDULE, LibraryService
from tests.support.histories.recorded import History

STEPS = 120
FAULTS = ("lose_store", "copy_store", "set_clock", "kill_trainer", "fill_disk", "train_twice", "roll_back")


class Run:
    """A service, a client, and the order of things."""

    def __init__(self, folder: Path, url: str, seed: int, faults: Collection[str] = FAULTS) -> None:
        self._chance = random.Random(seed)
        self._faults = sorted(faults)
        self.history = History()
        self._service = LibraryService(folder, url, self.history, self._chance)
        self._client = Client(self._service, self.history, self._chance, self._service.now)

    async def go(self, steps: int) -> Verdict:
        """Run to the end, and check."""
        with self._service.clock.everywhere():
            await self._service.bootstrap()
            for _ in range(steps):
                self._service.clock.true_s += self._chance.uniform(1, 60)
                await self._step()
            await self._client.choose(None)
            await self._client.send_all_again()
            await self._client.look_at_all()
            await self._service.settle()
            await self._client.look_at_all()
        await self._service.close()
        return check(self.history, Promises(group_of, SCHEDULE.full_every_s or 0.0))

    async def _step(self) -> None:
        chance = self._chance.random()
        if chance < 0.6:
            await self._client.step()
        elif chance < 0.9 or not self._faults:
            await self._look()
        else:
            await self._break(self._chance.choice(self._faults))

    async def _look(self) -> None:
        """A look of the trainer, within which clients go on and the store may be lost."""
        self._service.during = self._meanwhile
        await self._service.look()
        self._service.during = _nothing

    async def _meanwhile(self) -> None:
        chance = self._chance.random()
        if chance < 0.15:
            await self._client.step()
        elif chance < 0.17 and "lose_store" in self._faults:
            await self._service.lose_store()

    async def _break(self, fault: str) -> None:
        if fault == "roll_back":
            await self._client.choose(self._chance.choice([None, *self._service.versions()]))
        else:
            act: Callable[[], Awaitable[None]] = getattr(self._service, fault)
            await act()


async def _nothing() -> None:
    """What happens before a call of the trainer where nothing does."""


def run_seed(
    seed: int, url: str, folder: Path, steps: int = STEPS, faults: Collection[str] = FAULTS
) -> tuple[Run, Verdict]:
    """Run one history."""

    async def go() -> tuple[Run, Verdict]:
        run = Run(folder, url, seed, faults)
        return run, await run.go(steps)

    return asyncio.run(go())


def main() -> None:
    seed, steps = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else STEPS
    faults = sys.argv[3].split(",") if len(sys.argv) > 3 else FAULTS
    with tempfile.TemporaryDirectory() as folder:
        store = EmbeddedValkey(Path(folder) / "store")
        store.start()
        try:
            run, verdict = run_seed(seed, store.url, Path(folder), steps, faults)
        finally:
            store.stop()
    print(run.history.told())
    for finding in verdict.excused:
        print("excused:", finding.promise, finding.seen[:300])
    for finding in verdict.violations:
        print("VIOLATED:", finding.promise, finding.seen[:600])


if __name__ == "__main__":
    main()
