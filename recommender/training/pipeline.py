"""Training pipeline: what a trainer does, from the log to a published version. Knows disk and store, not Ray."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from recommender.datasets.dataset import Dataset
from recommender.models.feedback import Feedback
from recommender.storage.archive.archive import Archive
from recommender.storage.archive.interaction_pages import InteractionPage
from recommender.storage.archive.segment import Segment
from recommender.storage.archive.user_interactions import HistoryPage
from recommender.storage.registry import Registry, VersionInfo
from recommender.storage.registry.version_meta import Mode
from recommender.stores.protocols import Store
from recommender.training.base_version import BaseVersions, Begun, last_full_at
from recommender.training.catalogue_load import load_catalogue
from recommender.training.catalogue_mirror import CatalogueMirror
from recommender.training.forgetting import ForgetSettings
from recommender.training.full import Progress
from recommender.training.incremental import IncrementSettings
from recommender.training.index_builder import APPROXIMATE_ABOVE
from recommender.training.interaction_queries import HistoryRow, InteractionQueries
from recommender.training.learning_steps import LearningSettings, LearningSteps
from recommender.training.log_archiver import LogArchiver
from recommender.training.log_consumer import NOTHING, ConsumedLog
from recommender.training.model_settings import ModelSettings
from recommender.training.publishing import Learned, publish
from recommender.training.reconciliation import Reconciliation
from recommender.training.retention import Retention
from recommender.training.schedule import Schedule


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
    forget
        What full trainings forget; nothing when absent.
    attributed_through
        Offset of the log behind which interactions are still to be attributed to what was shown, and are not trimmed.
    clock
        Seconds since the epoch, by which something is old.
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
        forget: ForgetSettings | None = None,
        attributed_through: Callable[[], int] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._registry = registry
        self._archive = archive
        self._store = store
        catalogue = CatalogueMirror()
        how = LearningSettings(
            settings,
            increment or IncrementSettings(),
            feedback or Feedback(),
            holdout,
            margin,
            approximate_above,
            forget or ForgetSettings(),
            clock,
        )
        self.retention = Retention(registry, archive, store, keep_versions, self.reconcile, attributed_through)
        self._reconciliation = Reconciliation(store, archive, catalogue)
        self._bases = BaseVersions(registry)
        self._archiver = LogArchiver(registry, archive, store, self._reconciliation)
        self._steps = LearningSteps(registry, archive, store, self._bases, catalogue, how)
        self._queries = InteractionQueries(archive, store, self._bases, self._archiver, self.reconcile)

    def newest(self) -> VersionInfo | None:
        """Newest version that may serve."""
        return self._bases.newest()

    async def is_new(self) -> bool:
        """Whether nothing was ever learned here: no version, readable or not, and nothing trimmed from the log."""
        return (
            not await asyncio.to_thread(self._bases.has_had_versions)
            and not (await self._store.state()).trimmed_through
        )

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
        return self._bases.base()

    async def waiting(self) -> int:
        """Interactions in the log that the base has not learned."""
        return await self._queries.waiting()

    async def due(self, schedule: Schedule) -> Mode | None:
        """What should be learned now."""
        await self.reconcile()
        base = await self._bases.find()
        if base is None:
            if await asyncio.to_thread(self._bases.has_had_versions):
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
        await load_catalogue(self._store, dataset)
        after = await asyncio.to_thread(self._registry.highest)
        try:
            rows = dataset.interactions.assign(offset=0)
            segment = await asyncio.to_thread(self._archive.append, rows, first_offset=0, last_offset=0)
            del rows
            return await self._learn([segment], NOTHING, Begun("full", after=after), progress)
        except BaseException:
            await self._archiver.settle()
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
            begun = replace(await self._bases.begin(mode), after=after)
            progress("reading the log")
            segments, consumed = await self._archiver.consumed(begun)
            return await self._learn(segments, consumed, begun, progress)
        except BaseException:
            await self._archiver.settle()
            raise
        finally:
            self._reconciliation.end_training()

    async def drop_loaded(self) -> None:
        """Have no model in memory: versions were rewritten, and the next training reads its base again."""
        self._bases.drop()

    async def history(self, user_id: str, after_offset: int) -> list[HistoryRow]:
        """Learned interactions of a user, newest first; see `InteractionQueries.history`."""
        return await self._queries.history(user_id, after_offset)

    async def user_interactions(self, user_id: str, cursor: str | None, limit: int) -> HistoryPage:
        """Page of a user's interactions, learned or waiting, newest first."""
        return await self._queries.user_interactions(user_id, cursor, limit)

    async def interactions(self, cursor: str | None, limit: int) -> InteractionPage:
        """A page of all interactions, learned or waiting; see `recommender.storage.archive.interaction_pages`."""
        return await self._queries.interactions(cursor, limit)

    async def first_seen(self) -> dict[str, float]:
        """Time of the first learned interaction of each item, in seconds since the epoch."""
        return await self._queries.first_seen()

    async def _learn(self, segments: list[Segment], consumed: ConsumedLog, begun: Begun, progress: Progress) -> Learned:
        train = self._steps.full if begun.mode == "full" else self._steps.increment
        result = await train(segments, consumed, begun, progress)
        progress("publishing")
        learned = await publish(self._registry, result, consumed, begun)
        if learned.accepted:
            self._bases.keep(learned.version, result.trained)
        else:
            self._bases.drop()
        await self._archiver.settle()
        await self.retention.tidy()
        if learned.accepted and result.purged:
            await self._steps.forget_items(result.purged)
        if learned.accepted and result.kept:
            await self._steps.expire(result.kept)
        return learned
