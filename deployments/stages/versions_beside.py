"""Versions beside the active one: recommenders that answer the users of an experiment's variants."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

from recommender.errors import StoreError
from recommender.serving.catalogue_sync import CatalogueFollower, Changing
from recommender.serving.recommender import Recommender
from recommender.stores.protocols import FeatureStore

logger = logging.getLogger("recommender.predictor")


class VersionsBeside:
    """Recommenders of further versions, each with a catalogue that follows the store.

    They are mapped from the object store of the node as the active one is: a version costs a node its snapshot once,
    and each process the items that changed since.

    Parameters
    ----------
    store
        Where changes of the catalogue are.
    changing
        Held while a catalogue changes, as `CatalogueFollower` takes it.
    """

    def __init__(self, store: FeatureStore, changing: Changing) -> None:
        self._store, self._changing = store, changing
        self._served: dict[str, tuple[Recommender, CatalogueFollower]] = {}

    @property
    def names(self) -> frozenset[str]:
        """Versions that can answer."""
        return frozenset(self._served)

    def serve(self, recommender: Recommender) -> None:
        """Answer by this version too."""
        follower = CatalogueFollower(recommender.catalogue, self._store, self._changing)
        self._served[recommender.version] = recommender, follower

    def keep_only(self, versions: Collection[str]) -> None:
        """Let go of all others; a request in flight keeps what it began with."""
        self._served = {version: served for version, served in self._served.items() if version in versions}

    async def up_to(self, version: str | None, items_sequence: int, within_s: float) -> Recommender | None:
        """Recommender of a version that has seen the catalogue's changes, where it can in time; None for no such."""
        served = None if version is None else self._served.get(version)
        if served is None:
            return None
        try:
            await served[1].reach(items_sequence, within_s)
        except StoreError as error:
            logger.warning("answering with an older catalogue: %s", error)
        return served[0]

    async def follow(self) -> None:
        """Apply the changes of the catalogue that there are, to each of them."""
        await asyncio.gather(*(follower.follow() for _, follower in list(self._served.values())))
