"""Learner: what a trainer does, from the log to a published version. Knows disk and store, not Ray."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
import pandas as pd

from recommender.archive import Archive, Segment
from recommender.dataset import Dataset, feature_records
from recommender.model_state import model_to_arrays, model_to_meta
from recommender.registry import Artifact, Registry, VersionInfo
from recommender.snapshot_builder import CatalogueEntry
from recommender.stores.base import FeatureStore, Interaction, InteractionLog, Item, Poison, User, UserDeleted
from recommender.training import ModelSettings, Progress, Trained, TrainingData, train_full

logger = logging.getLogger("recommender.learner")

PAGE = 10_000
WEIGHTS = (1e-6, 1e6)
"""Interaction weights beyond these are learned as these: a float32 holds no 1e300."""
PUT_AT_ONCE = 1_000

T = TypeVar("T")
HistoryRow = tuple[int, str, float, float, str | None]
"""Offset, item, weight, timestamp and event of a learned interaction."""


class Store(FeatureStore, InteractionLog, Protocol):
    """Both protocols, as the stores implement them."""


@dataclass(frozen=True)
class Consumed:
    """What was read from the log."""

    rows: pd.DataFrame
    first_offset: int
    last_offset: int
    deleted: Mapping[str, int] = field(default_factory=dict)
    poison: int = 0


class Learner:
    """Turns what happened into versions of the model.

    The offset of the newest interaction learned is part of the version that learned it, so that model
    and offset move together: nothing is learned twice or lost, whatever dies in between.

    Parameters
    ----------
    registry, archive
        On disk.
    store
        Log and features.
    settings
        Of the model.
    holdout
        Share of the newest interactions that judge a version.
    keep_versions
        How many to keep for a rollback.
    """

    def __init__(
        self,
        registry: Registry,
        archive: Archive,
        store: Store,
        settings: ModelSettings,
        *,
        holdout: float = 0.1,
        keep_versions: int = 5,
    ) -> None:
        self._registry = registry
        self._archive = archive
        self._store = store
        self._settings = settings
        self._holdout = holdout
        self._keep_versions = keep_versions

    def newest(self) -> VersionInfo | None:
        """Newest version that may serve."""
        return next((version for version in self._registry.versions() if version.status != "rejected"), None)

    async def reconcile(self) -> None:
        """Make sure that a store which was replaced does not give out offsets that were learned already.

        Interactions with such offsets would be taken for learned and never be.
        """
        versions = self._registry.versions()
        if not versions:
            return
        learned = max(int(version.meta["log_offset"]) for version in versions)
        changed = max(int(version.meta["items_sequence"]) for version in versions)
        if (await self._store.state()).last_offset < learned:
            logger.warning("the store is not the one that was learned from; it goes on behind offset %d", learned)
            await self._store.advance(learned, changed)

    async def waiting(self) -> int:
        """Interactions in the log that the newest version has not learned."""
        newest = self.newest()
        state = await self._store.state()
        return state.last_offset - (int(newest.meta["log_offset"]) if newest else 0)

    async def bootstrap(self, dataset: Dataset, progress: Progress = lambda _: None) -> str:
        """Fill an empty state from a data set and train the first version."""
        progress("storing users and items")
        now = time.time()
        users = (User(user_id, features, now) for user_id, features in feature_records(dataset.users))
        for page in _pages(users):
            await self._store.put_users(page)
        for items in _pages(_items(dataset, now)):
            await self._store.put_items(items)
        rows = dataset.interactions.assign(offset=0, event=None)
        segment = await asyncio.to_thread(self._archive.append, rows, first_offset=0, last_offset=0)
        return await self._learn([segment], 0, progress)

    async def learn_full(self, progress: Progress = lambda _: None) -> str:
        """Consume the log and train on everything; returns the new version.

        Raises
        ------
        TrainingError
            There is nothing to learn from, or the result is unusable.
        StoreError
            The store does not answer; nothing has changed.
        """
        newest = self.newest()
        offset = int(newest.meta["log_offset"]) if newest else 0
        segments = [Segment.from_json(each) for each in newest.meta["segments"]] if newest else []
        progress("reading the log")
        consumed = await self._consume(offset)
        if len(consumed.rows):
            appended = await asyncio.to_thread(
                self._archive.append,
                consumed.rows,
                first_offset=consumed.first_offset,
                last_offset=consumed.last_offset,
            )
            segments = [*segments, appended]
        if consumed.deleted:
            segments = await asyncio.to_thread(self._archive.erase, segments, consumed.deleted)
        return await self._learn(segments, consumed.last_offset, progress)

    async def history(self, user_id: str, after_offset: int) -> list[HistoryRow]:
        """Learned interactions of a user, newest first.

        Parameters
        ----------
        user_id
            Known or not.
        after_offset
            Of the user's deletion: what came before does not count, what was imported (offset 0) only
            where this is 0.
        """
        newest = self.newest()
        segments = [Segment.from_json(each) for each in newest.meta["segments"]] if newest else []
        frame = await asyncio.to_thread(self._archive.read_user, segments, user_id)
        kept = frame[frame["offset"] > after_offset] if after_offset else frame
        newest_first = kept.sort_values("timestamp", ascending=False, kind="stable")
        return [
            (
                row.offset,
                row.item_id,
                row.weight,
                row.timestamp,
                row.event if isinstance(row.event, str) else None,
            )
            for row in newest_first.itertuples()
        ]

    async def _consume(self, after: int) -> Consumed:
        """Everything in the log behind `after` up to its end as it is now."""
        until = (await self._store.state()).last_offset
        rows: list[tuple[int, Interaction]] = []
        deleted: dict[str, int] = {}
        poison, position = 0, after
        while position < until:
            page = await self._store.read(position, PAGE)
            if not page:
                break
            for entry in page:
                if isinstance(entry.event, UserDeleted):
                    deleted[entry.event.user_id] = entry.offset
                elif isinstance(entry.event, Poison):
                    poison += 1
                    logger.error("log entry %d cannot be read and is skipped: %s", entry.offset, entry.event.reason)
                else:
                    rows.append((entry.offset, entry.event))
            position = page[-1].offset
        return Consumed(_frame(rows), after + 1, max(position, until), deleted, poison)

    async def _learn(self, segments: Sequence[Segment], log_offset: int, progress: Progress) -> str:
        started = time.monotonic()
        data, items_sequence = await self._data(segments)
        meta = {"log_offset": log_offset, "items_sequence": items_sequence}
        trained = await asyncio.to_thread(
            train_full, data, self._settings, holdout=self._holdout, meta=meta, progress=progress
        )
        progress("publishing")
        parent = self.newest()
        artifact = _artifact(trained, data, segments, meta, time.monotonic() - started)
        version = await asyncio.to_thread(
            self._registry.publish, artifact, parent=parent.version if parent else None, status="ready"
        )
        await self._tidy()
        return version

    async def _data(self, segments: Sequence[Segment]) -> tuple[TrainingData, int]:
        interactions = await asyncio.to_thread(self._archive.read, segments)
        users = {user.user_id: user.features or {} async for user in _all_users(self._store)}
        catalogue: list[CatalogueEntry] = []
        deleted: list[str] = []
        sequence, more = 0, True
        while more:
            page = await self._store.item_changes(sequence, PAGE)
            for _, item_id, item in page.changes:
                if item is None:
                    deleted.append(item_id)
                else:
                    catalogue.append(CatalogueEntry(item_id, item.features or {}, item.title, item.available))
            sequence, more = page.last_sequence, page.more
        latest = {entry.item_id: entry for entry in catalogue}
        return TrainingData(interactions, users, list(latest.values()), set(deleted) - set(latest)), sequence

    async def _tidy(self) -> None:
        """Drop what no kept version needs: old versions, their segments, the log that all have learned."""
        await asyncio.to_thread(self._registry.prune, self._keep_versions)
        kept = [version for version in self._registry.versions() if version.status != "rejected"]
        named = {segment["name"] for version in kept for segment in version.meta["segments"]}
        await asyncio.to_thread(self._archive.prune, named)
        await self._store.trim(min(int(version.meta["log_offset"]) for version in kept))


def _artifact(
    trained: Trained, data: TrainingData, segments: Sequence[Segment], meta: Mapping[str, Any], seconds: float
) -> Artifact:
    return Artifact(
        parts={"snapshot": trained.snapshot.to_arrays(), "train_state": model_to_arrays(trained.model)},
        meta={
            **meta,
            "mode": "full",
            "segments": [segment.to_json() for segment in segments],
            "trained_on": data.trained_on(),
            "metrics": dict(trained.metrics),
            "newest_timestamp": float(data.interactions["timestamp"].max()),
            "training_s": round(seconds, 3),
            "snapshot": trained.snapshot.to_meta(),
            "model": model_to_meta(trained.model),
        },
    )


def _items(dataset: Dataset, now: float) -> Iterable[Item]:
    titles = dataset.items["title"] if "title" in dataset.items else pd.Series(dtype=str)
    for item_id, features in feature_records(dataset.items):
        title = titles.get(item_id)
        yield Item(item_id, title if isinstance(title, str) else None, features, True, now)


def _frame(rows: Sequence[tuple[int, Interaction]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "offset": pd.Series([offset for offset, _ in rows], dtype="int64"),
            "user_id": [each.user_id for _, each in rows],
            "item_id": [each.item_id for _, each in rows],
            "weight": np.clip([each.weight for _, each in rows], *WEIGHTS).astype(np.float32),
            "timestamp": pd.Series([each.timestamp for _, each in rows], dtype="float64"),
            "event": [each.event for _, each in rows],
        }
    )


def _pages(records: Iterable[T]) -> Iterable[list[T]]:
    page: list[T] = []
    for record in records:
        page.append(record)
        if len(page) == PUT_AT_ONCE:
            yield page
            page = []
    if page:
        yield page


async def _all_users(store: FeatureStore) -> Any:
    cursor: str | None = None
    while True:
        users, cursor = await store.list_users(cursor, PUT_AT_ONCE)
        for user in users:
            yield user
        if cursor is None:
            return
