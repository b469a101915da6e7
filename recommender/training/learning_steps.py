"""Learning steps: one full or incremental training over what was consumed, up to a result to publish."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from recommender.errors import StoreError, TrainingError
from recommender.feature_space import Features
from recommender.ids import UNKNOWN
from recommender.models.feedback import Feedback
from recommender.models.lightfm_recommender import LFMRecommender
from recommender.serving.snapshot import Snapshot
from recommender.storage.archive.archive import Archive
from recommender.storage.archive.segment import Segment
from recommender.storage.registry import Registry, VersionInfo, VersionMeta
from recommender.storage.registry.data_health import DataHealth
from recommender.stores.protocols import Side, Store, User
from recommender.training.base_version import BaseVersions, Begun, last_full_at
from recommender.training.catalogue_mirror import CatalogueMirror
from recommender.training.data_changes import with_changes
from recommender.training.data_survey import survey
from recommender.training.forgetting import ForgetSettings, Remembered, StoredRecords, remember
from recommender.training.full import Progress, TrainingData, train_full
from recommender.training.history_choices import choices_of
from recommender.training.incremental import IncrementSettings, News, train_increment
from recommender.training.log_consumer import ConsumedLog
from recommender.training.model_settings import ModelSettings
from recommender.training.publishing import TrainingResult, newest_timestamp
from recommender.training.snapshot_builder import still_withdrawn
from recommender.training.store_pages import features_of, pages_of, users_of

logger = logging.getLogger("recommender.training.pipeline")

LEFT_ITEMS = "left_items"
"""In a snapshot's meta: deleted items that have left the model. Who clicks on one that is on a page somewhere brings
its row back, but it is not returned, whether or not the store still knows of the deletion."""
REMEMBERED_DELETIONS = 10_000
"""So many of these, the newest."""


@dataclass(frozen=True)
class LearningSettings:
    """How versions are trained; see `recommender.training.pipeline.TrainingPipeline`."""

    model: ModelSettings
    increment: IncrementSettings
    feedback: Feedback
    holdout: float
    margin: float
    approximate_above: int | None
    forget: ForgetSettings = field(default_factory=ForgetSettings)
    clock: Callable[[], float] = time.time
    """Seconds since the epoch, by which something is old."""


class LearningSteps:
    """Trains over what was consumed; knows the catalogue, and publishes nothing.

    Parameters
    ----------
    registry, archive, store
        What is read.
    bases
        Where the model that an increment changes is at hand.
    catalogue
        Of the store's items; it is followed before each training.
    settings
        How versions are trained.
    """

    def __init__(
        self,
        registry: Registry,
        archive: Archive,
        store: Store,
        bases: BaseVersions,
        catalogue: CatalogueMirror,
        settings: LearningSettings,
    ) -> None:
        self._registry = registry
        self._archive = archive
        self._store = store
        self._bases = bases
        self._catalogue = catalogue
        self._settings = settings

    async def full(
        self, segments: Sequence[Segment], consumed: ConsumedLog, begun: Begun, progress: Progress
    ) -> TrainingResult:
        """Train anew over all that was learned; what was deleted, and what is to be forgotten, leaves the archive."""
        await self._catalogue.follow(self._store)
        # one full training later: until then nobody is left who clicks on what was on a page when it was deleted
        purged = self._catalogue.deleted_through(begun.base.meta.items_purged if begun.base else 0)
        learned = await asyncio.to_thread(self._archive.read, segments)
        users = [user async for user in users_of(self._store)]
        kept = await self._remembered(learned, users)
        if kept.interactions.empty and not learned.empty:
            raise TrainingError(
                "all interactions are of deleted items or older than training.forget says: nothing is left"
            )
        segments = await asyncio.to_thread(self._archive.replace, segments, kept.interactions)
        said = self._settings.feedback.weighed(kept.interactions)
        features = {user.user_id: user.features or {} for user in users}
        await self._free_names("users", features.values())
        entries = [entry for entry in self._catalogue.entries.values() if entry.item_id not in kept.items]
        await self._free_names("items", (entry.features for entry in entries))
        data = TrainingData(said, features, entries, self._deleted(begun.snapshot))
        trained = await asyncio.to_thread(
            train_full,
            data,
            self._settings.model,
            holdout=self._settings.holdout,
            meta=self._meta(consumed, self._left(begun.snapshot)),
            serving=begun.snapshot,
            margin=self._settings.margin,
            approximate_above=self._settings.approximate_above,
            choices=choices_of(begun.base.meta) if begun.base else None,
            progress=progress,
        )
        about = VersionMeta(
            consumed.last_offset,
            self._catalogue.sequence,
            items_purged=self._catalogue.sequence,
            mode="full",
            full_at=time.time(),
            trained_on=data.trained_on(),
            data=await asyncio.to_thread(self._data_health, learned, features, begun),
            newest_timestamp=newest_timestamp(learned),
        )
        return TrainingResult(trained, segments, about, purged, kept)

    async def increment(
        self, segments: Sequence[Segment], consumed: ConsumedLog, begun: Begun, progress: Progress
    ) -> TrainingResult:
        """Go on from the base with what it has not learned."""
        await self._catalogue.follow(self._store)
        base, parent = begun.parent()
        rows = consumed.remaining()
        users = await features_of(self._store, rows["user_id"].drop_duplicates().tolist())
        forgotten = list(consumed.deleted)
        deleted = self._deleted(parent.snapshot)
        news = News(self._settings.feedback.weighed(rows), users, self._catalogue.entries, deleted, forgotten)
        about = VersionMeta(
            consumed.last_offset,
            self._catalogue.sequence,
            items_purged=base.meta.items_purged,
            mode="incremental",
            full_at=last_full_at(await asyncio.to_thread(self._registry.versions)),
            interactions_since_full=base.meta.interactions_since_full + len(rows),
            trained_on=_grown_counts(base, rows, parent.model),
            data=await asyncio.to_thread(self._data_health, rows, users, begun),
            newest_timestamp=newest_timestamp(rows, base.meta.newest_timestamp),
        )
        self._bases.drop()  # its model is changed now, whatever comes of it
        trained = await asyncio.to_thread(
            train_increment,
            parent,
            news,
            self._settings.increment,
            holdout=self._settings.holdout,
            margin=self._settings.margin,
            approximate_above=self._settings.approximate_above,
            meta={**self._meta(consumed, _left_items(parent.snapshot)), "trained_on": about.trained_on},
            progress=progress,
        )
        return TrainingResult(trained, segments, about)

    async def forget_items(self, item_ids: Sequence[str]) -> None:
        """Drop the notes of deleted items that are in neither archive nor model, once every kept version has them."""
        versions = await asyncio.to_thread(self._registry.versions)
        known = min(version.meta.items_sequence for version in versions if version.status != "rejected")
        told = set(self._catalogue.deleted_through(known)).intersection(item_ids)
        for page in pages_of(told):
            await self._store.forget_items(page)
        self._catalogue.forget(told)

    async def expire(self, forgotten: Remembered) -> None:
        """Drop the records that a published version has forgotten, where they have not changed since."""
        for users in pages_of(forgotten.users.items()):
            await self._store.expire_users(dict(users))
        for items in pages_of(forgotten.items.items()):
            await self._store.expire_items(dict(items))

    def _data_health(self, rows: pd.DataFrame, users: Mapping[str, Features], begun: Begun) -> DataHealth:
        """What a training saw of the data, beside the last training of its kind that was on the way to this one."""
        learned = begun.base.meta.log_offset if begun.base else -1
        new = rows[rows["offset"] > learned]
        items = {item_id: entry.features for item_id, entry in self._catalogue.entries.items()}
        found = survey(new, users, items, begun.snapshot)
        earlier = (each.meta for each in self._registry.versions() if each.meta.mode == begun.mode)
        health = with_changes(found, next((meta.data for meta in earlier if meta.data is not None), None))
        for change in health.changes:
            logger.warning("the data has changed: %s", change)
        return health

    async def _remembered(self, learned: pd.DataFrame, users: Sequence[User]) -> Remembered:
        """What of the interactions is kept, by the settings and by what the store says."""
        records = StoredRecords(
            {user.user_id: user.updated_at for user in users},
            self._catalogue.withdrawn,
            self._catalogue.entries,
            self._catalogue.deleted,
        )
        return await asyncio.to_thread(remember, learned, records, self._settings.forget, self._settings.clock())

    def _left(self, before: Snapshot | None) -> list[str]:
        """Deleted items that leave the model or have left it before, the newest."""
        newest = self._catalogue.newest_deleted(REMEMBERED_DELETIONS)
        before_them = [each for each in _left_items(before) if each not in self._catalogue.entries]
        return list(dict.fromkeys([*newest, *before_them]))[:REMEMBERED_DELETIONS]

    async def _free_names(self, of: Side, records: Iterable[Features]) -> None:
        """Have the store forget what kind of feature a name was that nobody has any more."""
        with suppress(StoreError):  # it is forgotten the next time
            await self._store.forget_feature_kinds(of, {name for record in records for name in record})

    def _deleted(self, before: Snapshot | None) -> list[str]:
        """Items that are not to be returned, as far as the catalogue has no word of them."""
        withdrawn = [*_left_items(before), *still_withdrawn(before, self._catalogue.entries)]
        return [*self._catalogue.deleted, *(each for each in withdrawn if each not in self._catalogue.entries)]

    def _meta(self, consumed: ConsumedLog, left_items: Sequence[str]) -> dict[str, Any]:
        """What a snapshot says of itself."""
        return {
            LEFT_ITEMS: list(left_items),
            "log_offset": consumed.last_offset,
            "items_sequence": self._catalogue.sequence,
            "feedback": self._settings.feedback.to_meta(),
        }


def _left_items(snapshot: Snapshot | None) -> list[str]:
    """Deleted items that have left the model of a version, as far as it remembers."""
    return list(snapshot.meta.get(LEFT_ITEMS, ())) if snapshot else []


def _grown_counts(base: VersionInfo, rows: pd.DataFrame, model: LFMRecommender) -> dict[str, int]:
    """Counts for the manifest; an upper bound where users were deleted since the last full training."""
    users, items = rows["user_id"].drop_duplicates(), rows["item_id"].drop_duplicates()
    new_users = int((model.users.ids.indices_of(users.tolist()) == UNKNOWN).sum())
    new_items = int((model.items.ids.indices_of(items.tolist()) == UNKNOWN).sum())
    before = base.meta.trained_on
    return {
        "interactions": before.get("interactions", 0) + len(rows),
        "users": before.get("users", 0) + new_users,
        "items": before.get("items", 0) + new_items,
    }
