"""Snapshot follower: gives the answering stage each new version, and keeps it at what the store has since."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable

from deployments.model_store import Published, RegistryPlace, model_store
from deployments.stages.answering import QueryAnswerer
from recommender.errors import StoreError
from recommender.models.feedback import Feedback
from recommender.serving.catalogue import Catalogue
from recommender.serving.catalogue_sync import catch_up
from recommender.serving.recommender import Recommender
from recommender.serving.snapshot import Snapshot
from recommender.stores.protocols import Store
from recommender.vector_search import row_sums
from recommender.vector_search.exact import warm_up

logger = logging.getLogger("recommender.predictor")

CATCH_UP_EVERY_S = 0.2
FOLLOW_EVERY_S = 1.0
"""What is asked for catches up by itself; this is so that there is never much to catch up with."""
TRIALS_EVERY_S = 5.0
ASK_AGAIN_AFTER_S = 0.2


class SnapshotFollower:
    """Follows the ModelStore by long polling, and the store, for one answering stage.

    Parameters
    ----------
    registry
        Where versions are, which names the ModelStore.
    store
        Where changes of the catalogue are.
    answerer
        What is kept up to date.
    explore, feedback
        As `recommender.serving.recommender.Recommender` takes them.
    """

    def __init__(
        self,
        registry: RegistryPlace,
        store: Store,
        answerer: QueryAnswerer,
        explore: float = 0.0,
        feedback: Feedback | None = None,
    ) -> None:
        self._registry, self._models = registry, model_store(registry)
        self._store, self._answerer = store, answerer
        self._explore, self._feedback = explore, feedback
        self._serial, self._who = 0, secrets.token_hex(8)
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self, *, with_log: bool = True) -> None:
        """Take what serves now, if anything does, and follow from then on.

        Parameters
        ----------
        with_log
            Whether interactions are counted between requests too, for leaderboards.
        """
        # the code is the same whatever the width: it is compiled while the first model is still being trained
        await asyncio.to_thread(warm_up, 1)
        await asyncio.to_thread(row_sums.warm_up)
        # a new replica joins with a model, if there is one
        await self._take(await self._models.current.remote())
        followed = [self._follow_models(), _again(self._answerer.follow_catalogue, CATCH_UP_EVERY_S, "catalogue")]
        followed.append(_again(self._answerer.follow_trials, TRIALS_EVERY_S, "trials of explored items"))
        followed.append(_again(self._follow_versions, FOLLOW_EVERY_S, "versions of experiments"))
        if with_log:
            followed.append(_again(self._answerer.follow_log, FOLLOW_EVERY_S, "log"))
        self._tasks = [asyncio.create_task(each) for each in followed]

    def check_health(self) -> None:
        """Raise where a task has ended; that makes a replica that never learns again."""
        for task in self._tasks:
            if task.done():
                raise RuntimeError(f"a follower ended: {task}")

    async def _take(self, published: Published | None) -> None:
        if published is None:
            return
        if published.version == self._answerer.version:
            self._answerer.beside.keep_only(set())  # versions were rewritten, these too
        self._answerer.serve(await self._opened(published))
        self._serial = published.serial
        logger.info("serving model %s", published.version)

    async def _opened(self, published: Published) -> Recommender:
        arrays, meta = await published.boxed[0]
        recommender = Recommender(Catalogue(Snapshot.from_arrays(arrays, meta)), self._explore, self._feedback)
        try:
            await catch_up(recommender.catalogue, self._store)  # nobody reads it yet
        except StoreError as error:
            logger.warning("starting with the catalogue of the snapshot: %s", error)
        return recommender

    async def _follow_versions(self) -> None:
        """Serve the versions that experiments ask for beside the active one, and no others."""
        wanted, beside = await self._answerer.wanted_versions(), self._answerer.beside
        beside.keep_only(wanted)
        for version in sorted(wanted - beside.names):
            try:
                beside.serve(await self._opened(await self._models.named.remote(version)))
                logger.info("serving model %s beside", version)
            except Exception:
                # its users are answered by the active one, and are not counted, until it is there
                logger.exception("model %s cannot be served beside", version)

    async def _next_published(self) -> Published | None:
        waiting = self._models.wait_for.remote(self._answerer.version, self._serial, self._who)
        published: Published | None = await waiting
        return published

    async def _follow_models(self) -> None:
        while True:
            try:
                await self._take(await self._next_published())
            except Exception:
                # the model store restarts by itself; what this replica has goes on serving
                logger.exception("asking the model store again")
                await asyncio.sleep(ASK_AGAIN_AFTER_S)
                self._models = model_store(self._registry)


async def _again(follow: Callable[[], Awaitable[None]], every_s: float, what: str) -> None:
    """Follow for ever."""
    while True:
        await asyncio.sleep(every_s)
        try:
            await follow()
        except StoreError as error:
            logger.warning("cannot follow the %s: %s", what, error)
            await asyncio.sleep(1)
