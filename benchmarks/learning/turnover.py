"""A year of turnover with `training.forget`: whether model, archive and store stop growing.

``python -m benchmarks.learning.turnover`` lets a year go by on a fast clock: each week a twentieth of the users and
items are new, as many users never come again, and of the items that go some are deleted, some made unavailable, and
some, which were never put, just not chosen any more. Two increments and a full training a week, all in this process.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.report import write
from recommender.storage.archive import backends
from recommender.storage.archive.archive import Archive
from recommender.storage.registry import Registry
from recommender.stores.memory_store import MemoryStore
from recommender.stores.protocols import Interaction, Item, User
from recommender.training.forgetting import DAY_S, ForgetSettings
from recommender.training.model_settings import ModelSettings
from recommender.training.pipeline import TrainingPipeline

SEED = 0
START_S = 1.7e9
SHARE = 0.05
"""Of users and items that are new and gone each week."""
FORGET = ForgetSettings(users_idle_days=28, items_gone_days=14, interactions_older_than_days=90)
KEEP_VERSIONS = 2


@dataclass
class Turnover:
    """A service's state on a fast clock, with users and items that come and go.

    Parameters
    ----------
    folder
        Of models and archive.
    n_users, n_items
        At any time.
    each
        Interactions of a user a week.
    forget
        What full trainings forget.
    """

    folder: Path
    n_users: int
    n_items: int
    each: int
    forget: ForgetSettings = FORGET
    week: int = 0
    store: MemoryStore = field(default_factory=MemoryStore)

    def __post_init__(self) -> None:
        self.registry, self.archive = Registry(self.folder / "models"), Archive(self.folder / "archive")
        self._chance = np.random.default_rng(SEED)
        self._pipeline = TrainingPipeline(
            self.registry,
            self.archive,
            self.store,
            ModelSettings(no_components=16, epochs=5, min_steps=0),
            margin=10,
            keep_versions=KEEP_VERSIONS,
            forget=self.forget,
            clock=lambda: self.now,
        )

    @property
    def now(self) -> float:
        """Seconds since the epoch, at the end of the week."""
        return START_S + (self.week + 1) * 7 * DAY_S

    async def pass_week(self) -> None:
        """Let people and things come and go, and learn from what they did: twice the new, then all."""
        await self._renew()
        for mode in ("incremental", "incremental", "full"):
            await self.store.append(self._interactions())
            await self._pipeline.learn(mode)  # type: ignore[arg-type]  # a mode each
            self.registry.advance()
        self.week += 1

    def sizes(self) -> dict[str, int]:
        """Of model, archive and store as they are now."""
        newest = self.registry.versions()[0]
        assert self._pipeline.newest() is not None
        snapshot = self.registry.load(newest.version, ("snapshot",)).parts["snapshot"]
        return {
            "model_users": len(snapshot["user_ids.offsets"]) - 1,
            "model_items": len(snapshot["item_ids.offsets"]) - 1,
            "interactions": sum(segment.rows for segment in newest.meta.segments),
            "artifact_bytes": newest.bytes,
            "models_bytes": _bytes_in(self.folder / "models"),
            "archive_bytes": _bytes_in(self.folder / "archive"),
        }

    async def stored(self) -> dict[str, int]:
        """Records of the store, notes of deleted items, and entries of the log."""
        items = await self.store.item_changes(0, 1 << 30)
        users, _ = await self.store.list_users(None, 1 << 30)
        return {
            "stored_users": len(users),
            "stored_items": sum(item is not None for *_, item in items.changes),
            "deletion_notes": sum(item is None for *_, item in items.changes),
            "log_entries": (await self.store.state()).length,
        }

    async def _renew(self) -> None:
        began = self.now - 7 * DAY_S
        users, items = self._new(self.n_users), self._new(self.n_items)
        await self.store.put_users([User(f"u{each}", {"cohort": str(each % 7)}, began) for each in users])
        put = [each for each in items if each % 3]
        await self.store.put_items(
            [Item(f"i{each}", f"item {each}", {"kind": str(each % 5)}, True, began) for each in put]
        )
        for each in self._gone(self.n_items):
            if each % 3 == 1:
                await self.store.delete_item(f"i{each}")
            elif each % 3 == 2:
                await self.store.put_items([Item(f"i{each}", None, None, False, began)])

    def _first(self, n: int) -> int:
        """Oldest that is still there, of users or items."""
        return int(self.week * SHARE * n)

    def _new(self, n: int) -> range:
        return range(self._first(n) + n - int(SHARE * n), self._first(n) + n) if self.week else range(n)

    def _gone(self, n: int) -> range:
        return range(max(0, self._first(n) - int(SHARE * n)), self._first(n)) if self.week else range(0)

    def _interactions(self) -> list[Interaction]:
        """A third of a week's."""
        n = self.n_users * self.each // 3
        users = self._first(self.n_users) + self._chance.integers(0, self.n_users, n)
        items = self._first(self.n_items) + self._chance.integers(0, self.n_items, n)
        times = np.sort(self.now - self._chance.random(n) * 7 * DAY_S)
        rows = zip(users.tolist(), items.tolist(), times.tolist(), strict=True)
        return [Interaction(f"u{user}", f"i{item}", 1.0, at) for user, item, at in rows]


async def run(weeks: int, n_users: int, n_items: int, each: int, forget: ForgetSettings) -> list[dict[str, Any]]:
    """Sizes at the end of each fourth week."""
    backends.YOUNG_S = 0.0  # on this clock a file is old at once
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        world = Turnover(Path(folder), n_users, n_items, each, forget)
        while world.week < weeks:
            began = time.process_time()
            await world.pass_week()
            if world.week % 4 == 0:
                sizes = {**world.sizes(), **await world.stored()}
                rows.append({"week": world.week, **sizes, "cpu_s": round(time.process_time() - began, 2)})
                print(rows[-1], flush=True)
    return rows


def main() -> None:
    """A year that forgets, and as long a one that does not as is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weeks", type=int, default=52)
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--items", type=int, default=1_000)
    parser.add_argument("--each", type=int, default=9, help="interactions of a user a week")
    asked = parser.parse_args()
    sizes = (asked.weeks, asked.users, asked.items, asked.each)
    rows = [
        {"forget": name, **row}
        for name, forget in (("on", FORGET), ("off", ForgetSettings()))
        for row in asyncio.run(run(*sizes, forget))
    ]
    write("turnover", SEED, rows)


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
