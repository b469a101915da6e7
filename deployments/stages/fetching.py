"""Fetching stage: reads the users of a micro-batch from the store."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from deployments.messages import Fetched
from recommender.errors import StoreError
from recommender.schema import UserState
from recommender.stores.protocols import FeatureStore

logger = logging.getLogger("recommender.feature_fetcher")


class UserFetcher:
    """Stage that reads what is stored of users, in one round trip for all of them.

    Parameters
    ----------
    store
        Where users are.
    """

    def __init__(self, store: FeatureStore) -> None:
        self._store = store

    async def fetch(self, user_ids: Sequence[str | None]) -> Fetched:
        """States of users in their order, an empty one for None, who is anonymous.

        A store that does not answer is said in ``degraded``, it is no error.
        """
        named = [user_id for user_id in user_ids if user_id is not None]
        try:
            found = await self._store.fetch(named)
        except StoreError as error:
            logger.warning("answering without stored features: %s", error)
            return Fetched([UserState() for _ in user_ids], 0, ["features"], 0)
        states = iter(found.users)
        known = [UserState() if user_id is None else next(states) for user_id in user_ids]
        return Fetched(known, found.items_sequence, [], found.last_offset, found.settings_number)
