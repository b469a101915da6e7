"""Version previews: answers by versions that do not serve, for whoever compares them."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from deployments.messages import answer
from deployments.stages.fetching import UserFetcher
from recommender.errors import StoreError
from recommender.models.feedback import Feedback
from recommender.schema import Query
from recommender.serving.catalogue import Catalogue
from recommender.serving.catalogue_sync import catch_up
from recommender.serving.recommender import Recommender
from recommender.serving.snapshot import Snapshot

logger = logging.getLogger("recommender.ingress")

MOST_VERSIONS = 2
"""Side by side, in each process that was asked."""
UNASKED_S = 300.0
"""After which a version is let go of."""


class VersionPreviews:
    """Recommenders of the versions that were asked for last, mapped from the object store of the node.

    They are in this process alone, away from what serves: nothing follows them, counts them or shows them to users.

    Parameters
    ----------
    models
        The ModelStore.
    store
        Where users and changes of the catalogue are.
    feedback
        Which interactions count for an item.
    """

    def __init__(self, models: Any, store: Any, feedback: Feedback | None = None) -> None:
        self._models, self._store, self._feedback = models, store, feedback
        self._fetcher = UserFetcher(store)
        self._opened: dict[str, Recommender] = {}
        self._leaving: dict[str, asyncio.TimerHandle] = {}
        self._lock = asyncio.Lock()

    async def answer(self, query: Query, version: str) -> bytes:
        """JSON of an answer by a version, with the catalogue as it is now.

        Raises
        ------
        UnknownVersionError
            There is no such version.
        CorruptArtifactError
            It is not what was written.
        """
        known = await self._fetcher.fetch([query.user_id])
        async with self._lock:  # a catalogue does not change while it is read
            recommender = await self._recommender(version)
            degraded = [*known.degraded, *await self._catch_up(recommender)]
            [found] = await asyncio.to_thread(recommender.recommend_many, [query], known.states, degraded)
        return answer(found)

    async def _recommender(self, version: str) -> Recommender:
        recommender = self._opened.pop(version, None)
        if recommender is None:
            arrays, meta = await (await self._models.named.remote(version)).boxed[0]
            recommender = Recommender(Catalogue(Snapshot.from_arrays(arrays, meta)), feedback=self._feedback)
        self._opened[version] = recommender
        while len(self._opened) > MOST_VERSIONS:
            self._let_go(next(iter(self._opened)))
        if version in self._leaving:
            self._leaving[version].cancel()
        self._leaving[version] = asyncio.get_running_loop().call_later(UNASKED_S, self._let_go, version)
        return recommender

    async def _catch_up(self, recommender: Recommender) -> list[str]:
        try:
            await catch_up(recommender.catalogue, self._store)
        except StoreError as error:
            logger.warning("previewing with the catalogue of the snapshot: %s", error)
            return ["catalogue"]
        return []

    def _let_go(self, version: str) -> None:
        self._opened.pop(version, None)
        leaving = self._leaving.pop(version, None)
        if leaving is not None:
            leaving.cancel()
