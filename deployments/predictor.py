"""Predictor: the deployment that answers from the shared snapshot."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from ray import serve

from deployments.handle_calls import with_request_ids
from deployments.messages import Fetched, answer, unpack_fetched, unpack_queries, unpack_request
from deployments.model_store import Published, model_store
from deployments.ray_runtime import replica_setup
from deployments.serial_executor import SerialExecutor
from deployments.telemetry import metrics
from deployments.telemetry.measured_store import measured
from deployments.telemetry.metric_snapshot import MetricsSnapshot
from recommender.errors import NotFittedError, StoreError
from recommender.models.feedback import Feedback
from recommender.schema import Query, UserState
from recommender.serving import request_cost
from recommender.serving.catalogue import Catalogue
from recommender.serving.catalogue_sync import CatalogueFollower, catch_up
from recommender.serving.dispatch import ReadContext, answer_request
from recommender.serving.recommender import Recommender
from recommender.serving.snapshot import Snapshot
from recommender.serving.trends.leaderboards import Leaderboards
from recommender.serving.trends.log_tail import LogTail, follow
from recommender.stores import open_store
from recommender.vector_search import row_sums
from recommender.vector_search.exact import warm_up

logger = logging.getLogger("recommender.predictor")

CATCH_UP_EVERY_S = 0.2
FOLLOW_EVERY_S = 1.0
"""What is asked for catches up by itself; this is so that there is never much to catch up with."""
ASK_AGAIN_AFTER_S = 0.2
SLICE_MS = 50.0
"""Cost of a slice of a heavy call by `recommender.serving.request_cost`; changes of the catalogue wait for so long."""


@serve.deployment
class Predictor:
    """Deployment that answers micro-batches and read requests from the snapshot.

    Parameters
    ----------
    models
        Folder of the registry.
    store_url
        Where the store is; changes of the catalogue are read from there.
    explore
        Share of the positions for items that nobody has interacted with.
    feedback
        Which interactions count for an item.
    catalogue_wait_s
        How long a request waits for changes of the catalogue that it should show.
    """

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self,
        models: str,
        store_url: str,
        explore: float = 0.0,
        feedback: Feedback | None = None,
        catalogue_wait_s: float = 1.0,
    ) -> None:
        replica_setup.begin()
        self._explore, self._feedback = explore, feedback
        self._registry = models
        self._models = model_store(models)
        self._store = measured(open_store(store_url))
        self._recommender: Recommender | None = None
        self._leaderboards: Leaderboards | None = None
        self._serving_since: float | None = None
        self._following = asyncio.Lock()
        self._heavy = SerialExecutor()
        self._catalogue_wait_s = catalogue_wait_s
        self._follower: CatalogueFollower | None = None
        # the code is the same whatever the width: it is compiled while the first model is still being trained
        await asyncio.to_thread(warm_up, 1)
        await asyncio.to_thread(row_sums.warm_up)
        # a new replica joins with a model, if there is one
        await self._take(await self._models.current.remote())
        self._tasks = [
            asyncio.create_task(self._follow_models()),
            asyncio.create_task(self._follow_catalogue()),
            asyncio.create_task(self._follow_log()),
        ]

    @with_request_ids
    async def recommend_many(self, queries: bytes, fetched: bytes) -> list[bytes]:
        """One JSON answer a query."""
        known = unpack_fetched(fetched)
        recommender, degraded = await self._up_to(known)
        asked = unpack_queries(queries)
        n_items = len(recommender.catalogue)
        if request_cost.is_light(asked, n_items):
            return _counted(_recommended(recommender, asked, known.states, degraded), degraded)
        answers: list[bytes] = []
        # in slices, so that others have their turn, and that who has gone is not worked for any longer
        for each in request_cost.slices(asked, SLICE_MS, n_items):
            work = partial(_recommended, recommender, asked[each], known.states[each], degraded)
            answers += _counted(await self._heavy.run(work), degraded)
        return answers

    @with_request_ids
    async def answer(self, request: bytes, fetched: bytes) -> bytes | None:
        """JSON of the answer to a `ReadRequest`; None where nothing is known of what it names."""
        known = unpack_fetched(fetched)
        recommender, degraded = await self._up_to(known)
        leaderboards = partial(self._counted_up_to, known)
        context = ReadContext(recommender, leaderboards, self._store, known.states, degraded, self._heavy.run)
        return await answer_request(unpack_request(request), context)

    @with_request_ids
    async def returns_item(self, item_id: str, fetched: bytes) -> bool:
        """Whether an item may be among what is recommended."""
        if self._recommender is None:
            return False
        recommender, _ = await self._up_to(unpack_fetched(fetched))
        return recommender.catalogue.returns(item_id)

    async def counted(self) -> MetricsSnapshot:
        """What this replica has counted."""
        return metrics.counted()

    async def status(self) -> dict[str, Any]:
        """Who this is and what it serves."""
        recommender = self._recommender
        return {
            "replica": serve.get_replica_context().replica_tag,
            "pid": os.getpid(),
            "model_version": recommender and recommender.version,
            "serving_since": self._serving_since,
            "items_sequence": recommender and recommender.catalogue.sequence,
        }

    def check_health(self) -> None:
        """Serve asks this; a follower that has ended makes a replica that never learns again."""
        for task in self._tasks:
            if task.done():
                raise RuntimeError(f"a follower ended: {task}")

    async def _up_to(self, known: Fetched) -> tuple[Recommender, list[str]]:
        """Recommender that has seen every change the fetcher saw: a write shows in the next answer.

        Where very many changes come at once it is waited for so long, and said that the catalogue is an older one.
        """
        recommender, follower = self._recommender, self._follower
        if recommender is None or follower is None:
            raise NotFittedError("no model serves yet; the first one is being trained")
        try:
            if await follower.reach(known.items_sequence, self._catalogue_wait_s):
                return recommender, known.degraded
        except StoreError as error:
            logger.warning("answering with an older catalogue: %s", error)
        return recommender, [*known.degraded, "catalogue"]

    async def _counted_up_to(self, known: Fetched) -> tuple[Leaderboards, list[str]]:
        """Leaderboards that have counted every interaction that the fetcher knew of."""
        if self._leaderboards is None:
            raise NotFittedError("no model serves yet; the first one is being trained")
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

    async def _take(self, published: Published | None) -> None:
        if published is None:
            return
        arrays, meta = await published.boxed[0]
        recommender = Recommender(Catalogue(Snapshot.from_arrays(arrays, meta)), self._explore, self._feedback)
        try:
            await catch_up(recommender.catalogue, self._store)  # nobody reads it yet
        except StoreError as error:
            logger.warning("starting with the catalogue of the snapshot: %s", error)
        if self._recommender is not None:
            metrics.show(metrics.MODEL_INFO, 0, model_version=self._recommender.version)
        # one assignment: a request in flight keeps the recommender it began with
        self._recommender, self._serving_since = recommender, time.time()
        self._follower = CatalogueFollower(recommender.catalogue, self._store, self._heavy.idle)
        offset, trail = recommender.snapshot.log_offset, self._leaderboards and self._leaderboards.trail
        self._leaderboards = Leaderboards(
            recommender, trail.behind(offset) if trail else LogTail(offset, self._feedback)
        )
        logger.info("serving model %s", published.version)

    async def _follow_models(self) -> None:
        while True:
            try:
                have = self._recommender and self._recommender.version
                await self._take(await self._models.wait_for.remote(have))
            except Exception:
                # the model store restarts by itself; what this replica has goes on serving
                logger.exception("asking the model store again")
                await asyncio.sleep(ASK_AGAIN_AFTER_S)
                self._models = model_store(self._registry)

    async def _follow_catalogue(self) -> None:
        while True:
            await asyncio.sleep(CATCH_UP_EVERY_S)
            if self._recommender is not None and self._follower is not None:
                # again and again: Ray drops a gauge that is not told for a while
                metrics.show(metrics.MODEL_INFO, 1, model_version=self._recommender.version)
                try:
                    await self._follower.follow()
                except StoreError as error:
                    logger.warning("cannot follow the catalogue: %s", error)
                    await asyncio.sleep(1)

    async def _follow_log(self) -> None:
        while True:
            await asyncio.sleep(FOLLOW_EVERY_S)
            if self._leaderboards is not None:
                try:
                    await self._follow_trail(self._leaderboards.trail)
                except StoreError as error:
                    logger.warning("cannot follow the log: %s", error)


class _Answered(NamedTuple):
    answers: list[bytes]
    kinds: Counter[tuple[str, str]]
    """How many there are of each strategy and case."""


def _recommended(
    recommender: Recommender, queries: Sequence[Query], states: Sequence[UserState], degraded: Sequence[str]
) -> _Answered:
    found = recommender.recommend_many(queries, states, degraded)
    return _Answered([answer(each) for each in found], Counter((each.strategy, each.case) for each in found))


def _counted(answered: _Answered, degraded: Sequence[str]) -> list[bytes]:
    """Count answers, once a kind and not once an answer, and give them on."""
    for (strategy, case), amount in answered.kinds.items():
        metrics.count(metrics.ANSWERS, amount, strategy=strategy, case=case)
    for part in degraded:
        metrics.count(metrics.DEGRADED, len(answered.answers), part=part)
    return answered.answers
