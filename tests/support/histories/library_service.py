"""The service without its processes: the library's own objects over a real Valkey, and what may break them.

It does what `deployments` does with them, in one process and on a clock of its own, so that a seed is a history: the
same calls, the same faults between and inside the same steps, and a run of hours in seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import json
import math
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import msgspec
import redis

from deployments.http.problems import Problem
from deployments.http.routes import data
from recommender.datasets.synthetic import make
from recommender.errors import ArtifactError, CorruptArtifactError, RecommenderError, StoreError, StoreFullError
from recommender.models.feedback import Feedback
from recommender.schema import Query
from recommender.serving.catalogue import Catalogue
from recommender.serving.catalogue_sync import CatalogueFollower, catch_up
from recommender.serving.recommender import Recommender
from recommender.serving.snapshot import Snapshot
from recommender.storage.archive.archive import Archive
from recommender.storage.registry import Registry, VersionMeta
from recommender.storage.registry import registry as registry_module
from recommender.storage.registry.version_meta import Mode
from recommender.stores import open_store
from recommender.stores.protocols import Fetched, Interaction, Item
from recommender.training.incremental import IncrementSettings
from recommender.training.model_settings import ModelSettings
from recommender.training.pipeline import TrainingPipeline
from recommender.training.schedule import Schedule
from tests.support.histories.clients import (
    FIRST_S,
    N_GROUPS,
    N_ITEMS,
    N_USERS,
    Answer,
    Page,
    Refused,
    Unanswered,
    group_of,
)
from tests.support.histories.crashing import GROWING, Killed, failing, no_space
from tests.support.histories.recorded import ClockSet, Disturbed, Ending, History, Published, Row, StoreLost

SCHEDULE = Schedule(incremental_every_s=30.0, full_every_s=1800.0, min_interactions=1)
FEEDBACK = Feedback({"hide": -1.0, "seen": 0.0})
SETTINGS = ModelSettings(no_components=8, epochs=10, num_threads=1)
LOOKS_TO_SETTLE = 30
"""Within so many looks of the trainer, all that was accepted is learned once nothing breaks any more."""
PATIENCE_S = 5.0
MOST_OPERATIONS = 60
"""A training has about so many file operations."""


class Clock:
    """A clock that is set by faults, and one that nobody sets."""

    def __init__(self) -> None:
        self.true_s = datetime.now(UTC).timestamp()
        self.ahead_s = 0.0

    def time(self) -> float:
        """What the machine says."""
        return self.true_s + self.ahead_s

    @contextlib.contextmanager
    def everywhere(self) -> Iterator[None]:
        """The clock of everything in this process that asks for the time of day."""
        fake = SimpleNamespace(now=lambda zone: datetime.fromtimestamp(self.time(), zone))
        with mock.patch("time.time", self.time), mock.patch.object(registry_module, "datetime", fake):
            yield


class Interrupted:
    """A store, before each of whose calls something may happen."""

    def __init__(self, store: Any, happen: Callable[[], Awaitable[None]]) -> None:
        self._store, self._happen = store, happen

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if not inspect.iscoroutinefunction(method):
            return method

        async def call(*arguments: Any, **named: Any) -> Any:
            await self._happen()
            return await method(*arguments, **named)

        return call


async def nothing() -> None:
    """What happens before a call where nothing does."""


class LibraryService:
    """Answers clients, learns when told to look, and breaks when told to.

    Parameters
    ----------
    folder
        For models and archive.
    url
        Of an empty store.
    history
        Where versions and faults are recorded.
    chance
        Seeded.
    """

    def __init__(self, folder: Path, url: str, history: History, chance: random.Random) -> None:
        self._folder, self._url, self._history, self._chance = folder, url, history, chance
        self.clock = Clock()
        self._ticks = itertools.count()
        self._raw = redis.Redis.from_url(url)
        self._copy: tuple[float, dict[bytes, bytes]] | None = None
        self._store = open_store(url, fetch_timeout_s=10.0, timeout_s=10.0)
        self._registry = Registry(folder / "models")
        self._archive = Archive(folder / "archive")
        self._recommender: Recommender | None = None
        self._known_versions: set[str] = set()
        self.during: Callable[[], Awaitable[None]] = nothing
        self._start_trainer()

    def now(self) -> float:
        """Clock of the history: it counts."""
        return float(next(self._ticks))

    # what clients ask

    async def append(self, rows: Sequence[Row]) -> None:
        """See `clients.Service`."""
        events = [Interaction(*row[:4], row.event, f"e{row.timestamp:.0f}") for row in rows]
        with with_request_ids():
            await self._store.append(events)

    async def recommend(self, user_id: str, k: int) -> Answer:
        """See `clients.Service`; as FeatureFetcher and Predictor do it."""
        with with_request_ids():
            if self._recommender is None:
                raise Refused
            fetched = await self._store.fetch([user_id])
            recommender = await self._up_to(fetched)
            answer = recommender.recommend(Query(user_id=user_id, k=k), fetched.users[0])
        return Answer(tuple(item.item_id for item in answer.items), answer.model_version, tuple(answer.degraded))

    async def _up_to(self, fetched: Fetched) -> Recommender:
        """As a Predictor does it, which waits until its catalogue has come so far."""
        recommender = self._recommender
        assert recommender is not None
        follower = CatalogueFollower(recommender.catalogue, self._store, contextlib.nullcontext())
        assert await follower.reach(fetched.items_sequence, math.inf)
        return recommender

    async def interactions(self, user_id: str, cursor: str | None, limit: int) -> Page:
        """See `clients.Service`; by the route itself."""
        served = SimpleNamespace(store=self._store, history=self._learner.history, user_interactions=self._page)
        with with_request_ids(), mock.patch.object(data, "current", return_value=served):
            try:
                page = json.loads((await data.user_interactions(user_id, cursor, limit)).body)
            except Problem as problem:
                if problem.status != 404:
                    raise
                return [], None
        return [
            Row(user_id, each["item_id"], each["weight"], each["timestamp"], each.get("event"))
            for each in page["interactions"]
        ], page["next_cursor"]

    async def _page(self, user_id: str, cursor: str | None, limit: int) -> bytes | None:
        """As Service and Trainer do it."""
        try:
            # whoever asks while the store is put right waits for that, which here would wait for who asks
            async with asyncio.timeout(PATIENCE_S):
                page = await self._learner.user_interactions(user_id, cursor, limit)
        except TimeoutError as error:
            raise Unanswered from error
        return msgspec.json.encode(page) if page.interactions or cursor else None

    async def put_item(self, item_id: str, *, available: bool) -> None:
        """See `clients.Service`."""
        group = group_of(item_id)
        features = {"group": group, "tags": [group]}
        with with_request_ids():
            await self._store.put_items([Item(item_id, f"The {item_id}", features, available, self.clock.time())])

    async def delete_item(self, item_id: str) -> None:
        """See `clients.Service`."""
        with with_request_ids():
            if await self._store.delete_item(item_id):
                return
            fetched = await self._store.fetch([])
            if self._recommender is None or not (await self._up_to(fetched)).catalogue.returns(item_id):
                raise Refused
            await self._store.delete_item(item_id, without_record=True)

    async def delete_user(self, user_id: str) -> None:
        """See `clients.Service`."""
        with with_request_ids():
            await self._store.delete_user(user_id)

    async def activate(self, version: str | None) -> None:
        """See `clients.Service`."""
        if version is None:
            self._registry.follow()
        else:
            self._registry.activate(version, pinned=True)
        await self._refresh()

    # what a trainer does

    async def bootstrap(self) -> None:
        """First version, of the world of taste groups."""
        began = self.now()
        await self._learner.bootstrap(make(n_users=N_USERS, n_items=N_ITEMS, n_groups=N_GROUPS))
        self._record_versions(began)
        await self._refresh()

    async def look(self) -> None:
        """One look of the trainer."""
        began = self.now()
        try:
            if not self._served:
                await self._refresh()
                self._served = True
            if not self._reconciled:
                await self._learner.reconcile()
                self._reconciled = True
            mode = await self._learner.due(SCHEDULE)
            if mode is not None:
                await self._learn(mode)
        except RecommenderError as error:
            self._disturb(f"{type(error).__name__}: {error}", began)
        finally:
            self._record_versions(began)

    async def _learn(self, mode: Mode) -> None:
        began = self.now()
        try:
            await self._learner.learn(mode)
            await self._refresh()
        except Exception as error:  # noqa: BLE001 (whatever went wrong, the trainer looks again)
            self._disturb(f"{type(error).__name__}: {error}", began)

    async def _refresh(self) -> None:
        """As ModelStore and Predictor do it."""
        current = self._registry.advance()
        if self._recommender is not None and current.version == self._recommender.version:
            return
        loaded = self._registry.load_current()
        if loaded is None:
            return
        version, artifact = loaded
        snapshot = Snapshot.from_arrays(artifact.parts["snapshot"], {**artifact.meta.snapshot, "version": version})
        recommender = Recommender(Catalogue(snapshot))
        with contextlib.suppress(StoreError):
            await catch_up(recommender.catalogue, self._store)
        self._recommender = recommender

    def _start_trainer(self) -> None:
        self._reconciled = self._served = False
        self._learner = self._new_learner()

    def _new_learner(self, *, interrupted: bool = True) -> TrainingPipeline:
        return TrainingPipeline(
            Registry(self._folder / "models"),
            Archive(self._folder / "archive"),
            Interrupted(self._store, self._happen) if interrupted else self._store,
            SETTINGS,
            increment=IncrementSettings(epochs=3),
            feedback=FEEDBACK,
            holdout=0.0,
            keep_versions=3,
        )

    async def _happen(self) -> None:
        during, self.during = self.during, nothing
        try:
            await during()
        finally:
            self.during = during

    # what breaks

    async def lose_store(self) -> None:
        """Empty the store, or put back an older copy of it."""
        began = self.now()
        since, copy = self._copy if self._copy and self._chance.random() < 0.4 else (float("-inf"), {})
        self._raw.flushall()
        for key, value in copy.items():
            self._raw.restore(key, 0, value)
        base = self._learner.base()
        self._history.add(StoreLost(began=began, ended=self.now(), base=base and base.version, since=since))

    async def copy_store(self) -> None:
        """Keep a copy that the store may come back as, as a replica that lags."""
        self._copy = self.now(), {key: self._raw.dump(key) for key in self._raw.scan_iter()}  # type: ignore[union-attr]

    async def set_clock(self) -> None:
        """Set the machine's clock forward or back."""
        by_s = self._chance.choice([-1, 1]) * self._chance.uniform(60, 7200)
        self.clock.ahead_s += by_s
        now = self.now()
        self._history.add(ClockSet(began=now, ended=self.now(), by_s=by_s))

    async def kill_trainer(self) -> None:
        """Kill the trainer at one of its file operations; another takes its place."""
        began = self.now()
        with contextlib.suppress(Killed), failing(self._chance.randrange(MOST_OPERATIONS), Killed):
            await self.look()
        self._start_trainer()
        self._record_versions(began)
        self._disturb("the trainer was killed", began)

    async def fill_disk(self) -> None:
        """Fill the disk within a training."""
        began = self.now()
        with failing(self._chance.randrange(MOST_OPERATIONS), no_space, GROWING):
            await self.look()
        self._disturb("the disk was full", began)

    async def train_twice(self) -> None:
        """Have a second trainer learn while the first does, as with a bucket where a node was cut off."""
        began = self.now()
        self._second = self._new_learner(interrupted=False)
        self.during = self._learn_beside
        await self.look()
        self.during = nothing
        self._disturb("two trainers", began)

    async def _learn_beside(self) -> None:
        if self._chance.random() < 0.3:
            began = self.now()
            with contextlib.suppress(RecommenderError):
                mode = await self._second.due(SCHEDULE)
                if mode is not None:
                    await self._second.learn(mode)
            self._record_versions(began)

    def _disturb(self, what: str, began: float) -> None:
        self._history.add(Disturbed(began=began, ended=self.now(), what=what))

    # what is looked at

    async def settle(self) -> None:
        """Let the trainer look until nothing waits, and record what it has learned."""
        for _ in range(LOOKS_TO_SETTLE):
            self.clock.true_s += 31
            await self.look()
        base = self._learner.base()
        waiting = await self._learner.waiting()
        self._history.ending = Ending(self._learned(base.meta if base else VersionMeta()), waiting)

    def versions(self) -> list[str]:
        """Those that may be chosen."""
        return [each.version for each in self._registry.versions() if each.status != "rejected"]

    def _record_versions(self, began: float) -> None:
        for each in reversed(self._registry.versions()):
            if each.version not in self._known_versions:
                self._known_versions.add(each.version)
                self._history.add(
                    Published(
                        began=began,
                        ended=self.now(),
                        version=each.version,
                        parent=each.parent,
                        mode=each.meta.mode,
                        accepted=each.status != "rejected",
                        learned=self._learned(each.meta),
                        at_s=self.clock.true_s,
                    )
                )

    def _learned(self, meta: VersionMeta) -> Counter[float]:
        try:
            times = self._archive.read(meta.segments)["timestamp"]
        except CorruptArtifactError:
            return Counter()  # what a version cannot read it has not learned
        return Counter(times[times >= FIRST_S].tolist())

    async def close(self) -> None:
        """Let go of connections."""
        await self._store.close()
        self._raw.close()


@contextlib.contextmanager
def with_request_ids() -> Iterator[None]:
    """The library's errors as a client sees them."""
    try:
        yield
    except StoreFullError as error:
        raise Refused from error
    except (StoreError, ArtifactError) as error:
        raise Unanswered from error
