"""Learner: what a trainer does, from the log to a published version. Knows disk and store, not Ray."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar

import msgspec
import pandas as pd
from cachetools import LRUCache

from recommender.datasets.dataset import Dataset, feature_records, withdrawn
from recommender.errors import CorruptArtifactError, NewerSchemaError, RecommenderError, TrainingError
from recommender.ids import UNKNOWN
from recommender.models.checkpoint import model_from_arrays
from recommender.models.feedback import Feedback
from recommender.models.lightfm_recommender import LFMRecommender
from recommender.serving.snapshot import Snapshot
from recommender.storage.archive import interaction_pages
from recommender.storage.archive.archive import Archive
from recommender.storage.archive.interaction_pages import InteractionPage
from recommender.storage.archive.segment import Segment
from recommender.storage.archive.user_interactions import (
    HistoryCursor,
    HistoryPage,
    Row,
    learned_rows,
    page_of,
    waiting_rows,
)
from recommender.storage.registry import Registry, VersionInfo, VersionMeta
from recommender.storage.registry.version_meta import Mode
from recommender.stores.protocols import (
    FeatureMap,
    FeatureStore,
    Item,
    Store,
    User,
)
from recommender.training.catalogue_mirror import CatalogueMirror
from recommender.training.full import ModelSettings, Progress, Trained, TrainingData, train_full
from recommender.training.incremental import IncrementSettings, News, train_increment
from recommender.training.index_builder import APPROXIMATE_ABOVE
from recommender.training.log_consumer import NOTHING, ConsumedLog, consume
from recommender.training.promotion_gate import Verdict
from recommender.training.publishing import artifact_of, choices_of, newest_timestamp
from recommender.training.reconciliation import Reconciliation
from recommender.training.retention import Retention
from recommender.training.schedule import Schedule
from recommender.training.snapshot_builder import still_withdrawn

logger = logging.getLogger("recommender.training.pipeline")

PUT_AT_ONCE = 1_000
USERS_READ = 16
"""Users whose learned interactions are at hand, for whoever turns their pages."""

T = TypeVar("T")
HistoryRow = tuple[int, str, float, float, str | None]
"""Offset, item, weight, timestamp and event of a learned interaction."""


class Learned(NamedTuple):
    """How a training ended."""

    version: str
    mode: Mode
    accepted: bool
    reason: str | None


@dataclass(frozen=True)
class Begun:
    """Where a training begins.

    Parameters
    ----------
    mode
        How it goes on.
    base
        Version that it goes on from; None for the first.
    serving
        What was loaded of the base: its snapshot for a full training, model and snapshot for an increment.
    pinned
        Version that somebody has pinned.
    after
        Fencing token: highest number of a version when it began.
    at
        When, by the monotonic clock.
    """

    mode: Mode
    base: VersionInfo | None = None
    serving: Snapshot | Trained | None = None
    pinned: str | None = None
    after: int | None = None
    at: float = field(default_factory=time.monotonic)

    @property
    def snapshot(self) -> Snapshot | None:
        """Snapshot of the base."""
        return self.serving.snapshot if isinstance(self.serving, Trained) else self.serving

    def parent(self) -> tuple[VersionInfo, Trained]:
        """Base of an increment, with its model."""
        if self.base is None or not isinstance(self.serving, Trained):
            raise TrainingError("an increment goes on from a version; train a full one first")
        return self.base, self.serving

    def learned_users(self) -> list[str]:
        """Users that the base has learned of."""
        return list(self.snapshot.user_ids) if self.snapshot else []


class TrainingPipeline:
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
    increment
        How a version goes on from another.
    feedback
        How interactions are read; all are likings when absent.
    holdout
        Share of the newest interactions that judge a version.
    margin
        How much worse than the version that serves a new one may be, in ndcg@10.
    keep_versions
        How many to keep for a rollback.
    approximate_above
        Items from which on a version has an index; None for never.
    """

    def __init__(
        self,
        registry: Registry,
        archive: Archive,
        store: Store,
        settings: ModelSettings,
        *,
        increment: IncrementSettings | None = None,
        feedback: Feedback | None = None,
        holdout: float = 0.1,
        margin: float = 0.01,
        keep_versions: int = 5,
        approximate_above: int | None = APPROXIMATE_ABOVE,
    ) -> None:
        self._registry = registry
        self._archive = archive
        self._store = store
        self._settings = settings
        self._increment = increment or IncrementSettings()
        self._feedback = feedback or Feedback()
        self._holdout = holdout
        self._margin = margin
        self.retention = Retention(registry, archive, store, keep_versions, self.reconcile)
        self._approximate_above = approximate_above
        self._catalogue = CatalogueMirror()
        self._reconciliation = Reconciliation(store, archive, self._catalogue)
        self._parent: tuple[str, Trained] | None = None
        self._read_users: LRUCache[tuple[str | None, str], list[Row]] = LRUCache(USERS_READ)

    def newest(self) -> VersionInfo | None:
        """Newest version that may serve."""
        return next((version for version in self._registry.versions() if version.status != "rejected"), None)

    async def is_new(self) -> bool:
        """Whether nothing was ever learned here: no version, readable or not, and nothing trimmed from the log."""
        return not await asyncio.to_thread(self._has_had_versions) and not (await self._store.state()).trimmed_through

    def _has_had_versions(self) -> bool:
        registry = self._registry
        return self.base() is not None or registry.has_unreadable() or registry.newest_quarantined() is not None

    async def reconcile(self) -> None:
        """Make sure that a store which was replaced does not give out offsets that were learned already.

        Interactions with such offsets would be taken for learned and never be.
        """
        await self._reconciliation.look(await asyncio.to_thread(self._registry.versions))

    @property
    def store_resets(self) -> int:
        """How often the store was found to have less than it had had."""
        return self._reconciliation.resets

    def base(self) -> VersionInfo | None:
        """Version that the next one builds on: the newest that may serve.

        Where an older one was pinned, what came of the others since is passed over: they were rolled back.
        """
        return self._base_and_pin()[0]

    def _base_and_pin(self) -> tuple[VersionInfo | None, str | None]:
        """Base, and the pinned version that it is or builds on."""
        ready = {version.version: version for version in self._registry.versions() if version.status != "rejected"}
        current = self._registry.current()
        if not current.pinned or current.version not in ready:
            return next(iter(ready.values()), None), None
        rolled_back = self._registry.newest_when_pinned() or current.version
        since = (each for each in ready.values() if int(each.version) > int(rolled_back))
        base = next((each for each in since if _builds_on(each, current.version, ready)), ready[current.version])
        return base, current.version

    async def _base(self) -> VersionInfo | None:
        # disk or network: neither may hold up who else is answered meanwhile
        return await asyncio.to_thread(self.base)

    async def waiting(self) -> int:
        """Interactions in the log that the base has not learned."""
        base = await self._base()
        return (await self._store.state()).last_offset - (base.meta.log_offset if base else 0)

    async def due(self, schedule: Schedule) -> Mode | None:
        """What should be learned now."""
        await self.reconcile()
        base = await self._base()
        if base is None:
            if await asyncio.to_thread(self._has_had_versions):
                return "full"
            return "full" if (await self._store.state()).last_offset >= schedule.min_interactions else None
        versions = await asyncio.to_thread(self._registry.versions)
        # the newest by number: the one with the latest time may be from before the machine's clock was set back
        last, full_at = versions[0], last_full_at(versions)
        unseen = (await self._store.state()).last_offset - last.meta.log_offset
        since_full = unseen + base.meta.interactions_since_full
        changed = (await self._store.fetch([])).items_sequence - last.meta.items_sequence
        return schedule.due(time.time(), full_at, last.created_at.timestamp(), unseen, since_full, changed)

    async def bootstrap(self, dataset: Dataset, progress: Progress = lambda _: None) -> Learned:
        """Fill an empty state from a data set and train the first version."""
        progress("storing users and items")
        now = time.time()
        users = (User(user_id, features, now) for user_id, features in feature_records(dataset.users))
        for page in _pages(users):
            await self._store.put_users(page)
        for items in _pages(_items(dataset, now)):
            await self._store.put_items(items)
        rows = dataset.interactions.assign(offset=0)
        after = await asyncio.to_thread(self._registry.highest)
        try:
            segment = await asyncio.to_thread(self._archive.append, rows, first_offset=0, last_offset=0)
            return await self._learn_full([segment], NOTHING, Begun("full", after=after), progress)
        except BaseException:
            await self._settle()
            raise

    async def learn(self, mode: Mode, progress: Progress = lambda _: None) -> Learned:
        """Consume the log and train; a first training is a full one.

        Whether the result may serve is in the answer and in the manifest. Where it may not, what it learned
        waits for the next. A training that fails leaves nothing behind.

        Raises
        ------
        StaleTrainingError
            Another trainer has published meanwhile.
        CorruptArtifactError
            What it goes on from is damaged.
        TrainingError
            There is nothing to learn from.
        StoreError
            The store does not answer; nothing has changed.
        """
        await self.reconcile()
        after = await asyncio.to_thread(self._registry.highest)
        try:
            begun = replace(await self._begin(mode), after=after)
            progress("reading the log")
            segments, consumed = await self._consumed(begun)
            learn = self._learn_full if begun.mode == "full" else self._learn_increment
            return await learn(segments, consumed, begun, progress)
        except BaseException:
            await self._settle()
            raise

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
        frame = await asyncio.to_thread(
            self._archive.read_user, _segments(await self._source(await self._base())), user_id
        )
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

    async def user_interactions(self, user_id: str, cursor: str | None, limit: int) -> HistoryPage:
        """Page of a user's interactions, learned or waiting, newest first."""
        at = HistoryCursor.parse(cursor)
        if await self.waiting() < 0:
            await self.reconcile()  # until then what the store says of a deletion is older than what was learned
        # first what waits: what is learned and trimmed meanwhile is then among what was learned
        waiting = await waiting_rows(self._store, user_id, at, limit + 1)
        learned = await self._learned_rows(user_id)
        deleted_at = (await self._store.fetch([user_id])).users[0].deleted_at
        return page_of(user_id, waiting, learned, deleted_at, at, limit)

    async def _learned_rows(self, user_id: str) -> list[Row]:
        """Learned interactions of a user; those of users who are read page by page are read once a version."""
        base = await self._base()
        key = base.version if base else None, user_id
        if key not in self._read_users:
            frame = await asyncio.to_thread(self._archive.read_user, _segments(base), user_id)
            self._read_users[key] = await asyncio.to_thread(learned_rows, frame)
        return self._read_users[key]

    async def interactions(self, cursor: str | None, limit: int) -> InteractionPage:
        """A page of all interactions, learned or waiting; see `recommender.storage.archive.interaction_pages`."""
        base = await self._source(await self._base())
        learned = interaction_pages.LearnedPart(_segments(base), base.meta.log_offset if base else -1)
        at = interaction_pages.InteractionCursor.parse(cursor)
        return await interaction_pages.page_of(learned, self._archive, self._store, at, limit)

    async def _begin(self, mode: Mode) -> Begun:
        """Version to go on from: the base, or where it is damaged the newest before it.

        Raises
        ------
        CorruptArtifactError
            There were versions, and none can be read.
        """
        while True:
            base, pinned = await asyncio.to_thread(self._base_and_pin)
            if base is None:
                break
            try:
                serving = await (self._snapshot_of(base) if mode == "full" else self._loaded(base))
                return Begun(mode, base, serving, pinned)
            except NewerSchemaError:
                raise
            except CorruptArtifactError as error:
                if not await asyncio.to_thread(self._set_aside, base.version, str(error)):
                    # the only one: what it serves is left alone, and all it learned is in the archive
                    return Begun("full", base, None, pinned)
        return Begun("full", await asyncio.to_thread(self._lost), None)

    def _set_aside(self, version: str, reason: str) -> bool:
        """Quarantine a damaged version, unless it is the last that may serve."""
        ready = [each.version for each in self._registry.versions() if each.status != "rejected"]
        if ready == [version]:
            return False
        logger.error("version %s is corrupt and goes into quarantine: %s", version, reason)
        self._registry.quarantine(version, reason)
        return True

    def _lost(self) -> VersionInfo | None:
        """Version in quarantine of which only what it learned can be used; None where nothing was learned yet."""
        if not self._registry.has_unreadable():
            return None if self._registry.versions() else self._registry.newest_quarantined()
        raise CorruptArtifactError(
            "there are versions of the model, and none can be read; to learn from the beginning would forget what they"
            " learned: restore `models` of state_dir from a backup, or go back to the release that wrote them"
        )

    async def _consumed(self, begun: Begun) -> tuple[list[Segment], ConsumedLog]:
        """Segments with all that happened, and what of it the base has not learned."""
        source = await self._source(begun.base)
        consumed = await consume(self._store, source.meta.log_offset if source else 0)
        segments = await self._archived(source, consumed)
        if begun.base is None or source is None or source.version == begun.base.version:
            return segments, consumed
        behind = begun.base.meta.log_offset
        rows = await asyncio.to_thread(self._archive.read, segments)
        known = set(rows["user_id"][rows["offset"] <= behind])
        # the log entries of their deletion are gone, and so is all that they did before
        deleted = {user: behind for user in begun.learned_users() if user not in known}
        return segments, replace(consumed, rows=rows[rows["offset"] > behind], deleted={**deleted, **consumed.deleted})

    async def _source(self, base: VersionInfo | None) -> VersionInfo | None:
        """Version whose segments have all that is not in the log any more: the base, unless it is far behind."""
        trimmed = (await self._store.state()).trimmed_through
        if base is None or base.meta.log_offset >= trimmed:
            return base
        versions = [base, *await asyncio.to_thread(self._registry.versions)]
        return max(versions, key=lambda each: each.meta.log_offset)

    async def _archived(self, base: VersionInfo | None, consumed: ConsumedLog) -> list[Segment]:
        """Segments with what was consumed, without what was deleted."""
        segments = _segments(base)
        rows = consumed.remaining()
        if len(rows):
            first, last = int(rows["offset"].iloc[0]), int(rows["offset"].iloc[-1])
            added = await asyncio.to_thread(self._archive.append, rows, first_offset=first, last_offset=last)
            segments = [*segments, added]
        if consumed.deleted:
            segments = await asyncio.to_thread(self._archive.erase, segments, consumed.deleted)
        return await asyncio.to_thread(self._archive.compact_newest, segments)

    def _meta(self, consumed: ConsumedLog) -> dict[str, Any]:
        """What a snapshot says of itself."""
        return {
            "log_offset": consumed.last_offset,
            "items_sequence": self._catalogue.sequence,
            "feedback": self._feedback.to_meta(),
        }

    async def _learn_full(
        self, segments: Sequence[Segment], consumed: ConsumedLog, begun: Begun, progress: Progress
    ) -> Learned:
        await self._catalogue.follow(self._store)
        # one full training later: until then their rows say that they are deleted, whatever becomes of the store, and
        # nobody is left who clicks on what was on a page when that was done
        purged = self._catalogue.deleted_through(begun.base.meta.items_purged if begun.base else 0)
        segments = await asyncio.to_thread(self._archive.compact, segments, purged)
        interactions = await asyncio.to_thread(self._archive.read, segments)
        users = {user.user_id: user.features or {} async for user in _all_users(self._store)}
        said = self._feedback.weighed(interactions)
        entries = self._catalogue.entries
        data = TrainingData(said, users, list(entries.values()), self._deleted(begun.snapshot))
        trained = await asyncio.to_thread(
            train_full,
            data,
            self._settings,
            holdout=self._holdout,
            meta=self._meta(consumed),
            serving=begun.snapshot,
            margin=self._margin,
            approximate_above=self._approximate_above,
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
            newest_timestamp=newest_timestamp(interactions),
        )
        learned = await self._publish(trained, segments, consumed, about, begun, progress)
        if learned.accepted:
            await self._forget_items(purged)
        return learned

    def _deleted(self, before: Snapshot | None) -> list[str]:
        """Items that are not to be returned, as far as the catalogue has no word of them."""
        return [*self._catalogue.deleted, *still_withdrawn(before, self._catalogue.entries)]

    async def _forget_items(self, item_ids: Sequence[str]) -> None:
        """Drop the notes of deleted items that are in neither archive nor model, once every kept version has them."""
        versions = await asyncio.to_thread(self._registry.versions)
        known = min(version.meta.items_sequence for version in versions if version.status != "rejected")
        told = set(self._catalogue.deleted_through(known)).intersection(item_ids)
        for page in _pages(told):
            await self._store.forget_items(page)
        self._catalogue.forget(told)

    async def _learn_increment(
        self, segments: Sequence[Segment], consumed: ConsumedLog, begun: Begun, progress: Progress
    ) -> Learned:
        await self._catalogue.follow(self._store)
        base, parent = begun.parent()
        rows = consumed.remaining()
        users = await self._features_of(rows["user_id"].drop_duplicates().tolist())
        forgotten = list(consumed.deleted)
        deleted = self._deleted(parent.snapshot)
        news = News(self._feedback.weighed(rows), users, self._catalogue.entries, deleted, forgotten)
        about = VersionMeta(
            consumed.last_offset,
            self._catalogue.sequence,
            items_purged=base.meta.items_purged,
            mode="incremental",
            full_at=last_full_at(await asyncio.to_thread(self._registry.versions)),
            interactions_since_full=base.meta.interactions_since_full + len(rows),
            trained_on=_grown_counts(base, rows, parent.model),
            newest_timestamp=newest_timestamp(rows, base.meta.newest_timestamp),
        )
        self._parent = None  # its model is changed now, whatever comes of it
        trained = await asyncio.to_thread(
            train_increment,
            parent,
            news,
            self._increment,
            holdout=self._holdout,
            margin=self._margin,
            approximate_above=self._approximate_above,
            meta={**self._meta(consumed), "trained_on": about.trained_on},
            progress=progress,
        )
        return await self._publish(trained, segments, consumed, about, begun, progress)

    async def _publish(
        self,
        trained: Trained,
        segments: Sequence[Segment],
        consumed: ConsumedLog,
        about: VersionMeta,
        begun: Begun,
        progress: Progress,
    ) -> Learned:
        progress("publishing")
        verdict = trained.verdict
        meta = msgspec.structs.replace(
            about,
            segments=tuple(segments),
            poison=consumed.poison,
            pinned=begun.pinned,
            gaps=tuple(consumed.gaps),
            training_s=round(time.monotonic() - begun.at, 3),
        )
        version = await asyncio.to_thread(
            self._registry.publish,
            artifact_of(trained, meta),
            parent=begun.base.version if begun.base else None,
            status="ready" if verdict.accepted else "rejected",
            reason=None if verdict.accepted else verdict.reason,
            after=begun.after,
        )
        self._parent = (version, trained) if verdict.accepted else None
        await self._settle()
        await self.retention.tidy()
        return Learned(version, about.mode, verdict.accepted, verdict.reason)

    async def _settle(self) -> None:
        """Remove segments that this training wrote and no version names; a failure is told, it loses nothing."""
        try:
            await asyncio.to_thread(self._settle_segments)
        except (RecommenderError, OSError) as error:
            logger.warning("segments of a training that came to nothing stay until the next is tidied up: %s", error)

    def _settle_segments(self) -> None:
        # also after a failure: what was published may be there although no answer came
        versions = self._registry.versions(anew=True)
        self._archive.settle({segment.name for version in versions for segment in version.meta.segments})

    async def _snapshot_of(self, base: VersionInfo) -> Snapshot | None:
        """Snapshot of the base, which is all that a full training needs of it."""
        if self._parent is not None and self._parent[0] == base.version:
            return self._parent[1].snapshot
        artifact = await asyncio.to_thread(self._registry.load, base.version)
        return Snapshot.from_arrays(artifact.parts["snapshot"], artifact.meta.snapshot)

    async def _loaded(self, base: VersionInfo) -> Trained:
        """Model and snapshot of the base: those at hand, or from disk."""
        if self._parent is None or self._parent[0] != base.version:
            artifact = await asyncio.to_thread(self._registry.load, base.version, ("snapshot", "train_state"))
            snapshot = Snapshot.from_arrays(artifact.parts["snapshot"], artifact.meta.snapshot)
            model = model_from_arrays(artifact.parts["train_state"], artifact.meta.model)
            verdict = Verdict(accepted=True, reason=None, users=0)
            self._parent = base.version, Trained(model, snapshot, verdict, choices=choices_of(artifact.meta))
        return self._parent[1]

    async def _features_of(self, user_ids: Sequence[str]) -> dict[str, FeatureMap]:
        features: dict[str, FeatureMap] = {}
        for page in _pages(user_ids):
            users = await self._store.get_users(page)
            features |= {user.user_id: user.features or {} for user in users if user}
        return features


def _builds_on(version: VersionInfo, ancestor: str, versions: Mapping[str, VersionInfo]) -> bool:
    if version.meta.pinned == ancestor:
        return True
    current: VersionInfo | None = version  # an earlier release did not write what was pinned
    while current is not None and current.version != ancestor:
        current = versions.get(current.parent or "")
    return current is not None


def last_full_at(versions: Sequence[VersionInfo]) -> float:
    """When the last full training ended, whatever came of it; by versions, newest first, of which there is one."""
    for version in versions:
        if version.meta.full_at is not None:
            return version.meta.full_at
        if version.meta.mode == "full":
            return version.created_at.timestamp()
    # a release that did not write it has removed the full one since
    return versions[-1].created_at.timestamp()


def _segments(version: VersionInfo | None) -> list[Segment]:
    return list(version.meta.segments) if version else []


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


def _items(dataset: Dataset, now: float) -> Iterable[Item]:
    titles = dataset.items["title"] if "title" in dataset.items else pd.Series(dtype=str)
    unavailable = withdrawn(dataset.items)
    for item_id, features in feature_records(dataset.items):
        title = titles.get(item_id)
        yield Item(item_id, title if isinstance(title, str) else None, features, item_id not in unavailable, now)


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
