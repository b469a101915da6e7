"""Answering stage: answers queries and read requests from a snapshot and from what changed since."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from deployments.messages import NO_PLACEMENT, Fetched, answer
from deployments.serial_executor import SerialExecutor
from deployments.stages.answer_cache import Stand
from deployments.stages.versions_beside import VersionsBeside
from deployments.telemetry import metrics
from recommender.errors import NotFittedError, StoreError
from recommender.models.feedback import Feedback
from recommender.schema import Query, ReadRequest, UserState
from recommender.serving import request_cost
from recommender.serving.catalogue_sync import CatalogueFollower
from recommender.serving.dispatch import ReadContext, answer_request
from recommender.serving.exploration_trials import NO_TRIALS, unpack_trials
from recommender.serving.placements.settings_follower import SettingsFollower
from recommender.serving.recommender import Recommender
from recommender.serving.trends.leaderboards import Leaderboards
from recommender.serving.trends.log_tail import LogTail, follow
from recommender.stores.protocols import Store

logger = logging.getLogger("recommender.predictor")

SLICE_MS = 50.0
"""Cost of a slice of a heavy call by `recommender.serving.request_cost`; changes of the catalogue wait for so long."""
SCANS = 3
NO_MODEL = "no model serves yet; the first one is being trained"


class ScanCost(NamedTuple):
    """Cost of an answer in milliseconds of processor time, as it is and as it was estimated."""

    measured_ms: float
    estimated_ms: float


class QueryAnswerer:
    """Stage that answers micro-batches and read requests from the recommender that it was given last.

    Parameters
    ----------
    store
        Where changes of the catalogue and the newest interactions are read.
    feedback
        Which interactions count for an item.
    catalogue_wait_s
        Seconds that a request waits for changes of the catalogue that it should show.
    """

    def __init__(self, store: Store, feedback: Feedback | None = None, catalogue_wait_s: float = 1.0) -> None:
        self._store, self._feedback, self._catalogue_wait_s = store, feedback, catalogue_wait_s
        self._recommender: Recommender | None = None
        self._follower: CatalogueFollower | None = None
        self._leaderboards: Leaderboards | None = None
        self._serving_since: float | None = None
        self._trials = NO_TRIALS
        self._following = asyncio.Lock()
        self._settings = SettingsFollower(store)
        self._heavy = SerialExecutor()
        self.beside = VersionsBeside(store, self._heavy.idle)

    @property
    def version(self) -> str | None:
        """Version that answers; None before there is one."""
        return self._recommender.version if self._recommender else None

    @property
    def n_items(self) -> int:
        """Items of the catalogue; 0 before there is one."""
        return len(self._recommender.catalogue) if self._recommender else 0

    @property
    def is_random(self) -> bool:
        """Whether two answers to one query may differ, because newcomers are drawn into them."""
        return self._recommender is not None and self._recommender.explore_share > 0

    def stand(self) -> Stand:
        """What an answer is given from now."""
        return Stand(self.version, self._recommender.catalogue.sequence if self._recommender else 0)

    def scan_cost(self) -> ScanCost | None:
        """Cost of one answer that scores the whole catalogue, the cheapest of a few; None before there is a model."""
        if self._recommender is None or not self._recommender.snapshot.n_items:
            return None
        query = Query(recent=tuple(self._recommender.snapshot.item_ids.ids_of([0])))
        times = []
        for _ in range(SCANS):
            begin = time.thread_time()
            self._recommender.recommend(query)
            times.append(time.thread_time() - begin)
        return ScanCost(min(times) * 1e3, request_cost.cost_ms(query, self.n_items))

    def serve(self, recommender: Recommender) -> None:
        """Answer from this one from now on; a request in flight keeps the one that it began with."""
        if self._recommender is not None:
            metrics.show(metrics.MODEL_INFO, 0, model_version=self._recommender.version)
        self._recommender, self._serving_since = recommender, time.time()
        recommender.catalogue.trials = self._trials
        self._follower = CatalogueFollower(recommender.catalogue, self._store, self._heavy.idle)
        offset, trail = recommender.snapshot.log_offset, self._leaderboards and self._leaderboards.trail
        self._leaderboards = Leaderboards(
            recommender, trail.behind(offset) if trail else LogTail(offset, self._feedback)
        )

    async def recommend_many(self, queries: Sequence[Query], known: Fetched) -> list[bytes]:
        """One JSON answer a query, in order; what is heavy is answered in slices beside the event loop.

        A query for a placement that there is not has an empty one.

        Raises
        ------
        NotFittedError
            No model serves yet.
        """
        recommender, degraded = await self._up_to(known)
        own: dict[str | None, Recommender] = {None: recommender, recommender.version: recommender}
        has_placement = any(query.placement is not None for query in queries)
        settings, is_current = await self._settings.reach(known.settings_number)
        if has_placement or settings.experiments:
            queries = settings.applied(queries, current=is_current, versions={*self.beside.names, recommender.version})
            degraded = [*degraded, "placements"] if has_placement and not is_current else degraded
            for version in {query.model_version for query in queries} - own.keys():
                other = await self.beside.up_to(version, known.items_sequence, self._catalogue_wait_s)
                own[version] = other or recommender
        n_items = len(recommender.catalogue)
        if request_cost.is_light(queries, n_items):
            return _counted(_recommended(own, queries, known.states, degraded), degraded)
        answers: list[bytes] = []
        # in slices, so that others have their turn, and that who has gone is not worked for any longer
        for each in request_cost.slices(queries, SLICE_MS, n_items):
            work = partial(_recommended, own, queries[each], known.states[each], degraded)
            answers += _counted(await self._heavy.run(work), degraded)
        return answers

    async def answer(self, request: ReadRequest, known: Fetched) -> bytes | None:
        """JSON of the answer to a `ReadRequest`; None where nothing is known of what it names.

        Raises
        ------
        NotFittedError
            No model serves yet.
        """
        recommender, degraded = await self._up_to(known)
        leaderboards = partial(self._counted_up_to, known)
        context = ReadContext(recommender, leaderboards, self._store, known.states, degraded, self._heavy.run)
        return await answer_request(request, context)

    async def returns_item(self, item_id: str, known: Fetched) -> bool:
        """Whether an item may be among what is recommended."""
        if self._recommender is None:
            return False
        recommender, _ = await self._up_to(known)
        return recommender.catalogue.returns(item_id)

    def status(self) -> dict[str, Any]:
        """What answers, and since when."""
        recommender = self._recommender
        return {
            "model_version": recommender and recommender.version,
            "serving_since": self._serving_since,
            "items_sequence": recommender and recommender.catalogue.sequence,
            "items": recommender and recommender.catalogue.count_available(),
        }

    async def follow_catalogue(self) -> None:
        """Apply the changes of the catalogue that there are.

        Raises
        ------
        StoreError
            The store does not answer; what had been applied stays.
        """
        if self._recommender is not None and self._follower is not None:
            # again and again: Ray drops a gauge that is not told for a while
            metrics.show(metrics.MODEL_INFO, 1, model_version=self._recommender.version)
            await self._follower.follow()
            await self.beside.follow()

    async def wanted_versions(self) -> set[str]:
        """Versions beside the active one that variants of running experiments answer by.

        Raises
        ------
        StoreError
            The store does not answer.
        """
        settings, _ = await self._settings.reach((await self._store.fetch([])).settings_number)
        return settings.versions() - {str(self.version)}

    async def follow_trials(self) -> None:
        """Take over what came of explored items.

        Raises
        ------
        StoreError
            The store does not answer; what was known stays.
        """
        self._trials = unpack_trials(await self._store.get_trials())
        if self._recommender is not None:
            self._recommender.catalogue.trials = self._trials

    async def follow_log(self) -> None:
        """Count the interactions that the log has since.

        Raises
        ------
        StoreError
            The store does not answer; what had been read stays.
        """
        if self._leaderboards is not None:
            await self._follow_trail(self._leaderboards.trail)

    async def _up_to(self, known: Fetched) -> tuple[Recommender, list[str]]:
        """Recommender that has seen every change the fetcher saw: a write shows in the next answer.

        Where very many changes come at once it is waited for so long, and said that the catalogue is an older one.
        """
        recommender, follower = self._recommender, self._follower
        if recommender is None or follower is None:
            raise NotFittedError(NO_MODEL)
        try:
            if await follower.reach(known.items_sequence, self._catalogue_wait_s):
                return recommender, known.degraded
        except StoreError as error:
            logger.warning("answering with an older catalogue: %s", error)
        return recommender, [*known.degraded, "catalogue"]

    async def _counted_up_to(self, known: Fetched) -> tuple[Leaderboards, list[str]]:
        """Leaderboards that have counted every interaction that the fetcher knew of."""
        if self._leaderboards is None:
            raise NotFittedError(NO_MODEL)
        degraded = bool(known.degraded)
        if known.last_offset > self._leaderboards.trail.offset:
            try:
                await self._follow_trail(self._leaderboards.trail)
            except StoreError as error:
                logger.warning("answering without the newest interactions: %s", error)
                degraded = True
        return self._leaderboards, ["interactions"] if degraded else []

    async def _follow_trail(self, trail: LogTail) -> None:
        async with self._following:
            await follow(trail, self._store)


class _Answered(NamedTuple):
    answers: list[bytes]
    kinds: Counter[tuple[str, str]]
    """How many there are of each strategy and case."""


def _recommended(
    recommenders: Mapping[str | None, Recommender],
    queries: Sequence[Query],
    states: Sequence[UserState],
    degraded: Sequence[str],
) -> _Answered:
    """Answers of the version that each query wants; an empty one for a placement that there is not."""
    answers, kinds = [NO_PLACEMENT] * len(queries), Counter[tuple[str, str]]()
    for version, recommender in recommenders.items():
        numbers = [n for n, query in enumerate(queries) if query.model_version == version and not query.is_unknown]
        if numbers:
            asked = [queries[number] for number in numbers], [states[number] for number in numbers]
            found = recommender.recommend_many(*asked, degraded)
            kinds.update((each.strategy, each.case) for each in found)
            for number, each in zip(numbers, found, strict=True):
                answers[number] = answer(each)
    return _Answered(answers, kinds)


def _counted(answered: _Answered, degraded: Sequence[str]) -> list[bytes]:
    """Count answers, once a kind and not once an answer, and give them on."""
    for (strategy, case), amount in answered.kinds.items():
        metrics.count(metrics.ANSWERS, amount, strategy=strategy, case=case)
    for part in degraded:
        metrics.count(metrics.DEGRADED, len(answered.answers), part=part)
    return answered.answers
