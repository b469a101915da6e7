"""FeatureFetcher: the deployment that reads the users of a micro-batch from the store in one round trip."""

from __future__ import annotations

import contextlib
import logging

from ray import serve

from deployments.handle_calls import with_request_ids
from deployments.messages import Fetched, pack
from deployments.ray_runtime import replica_setup
from deployments.telemetry import metrics
from deployments.telemetry.measured_store import measured
from deployments.telemetry.metric_snapshot import MetricsSnapshot
from recommender.errors import StoreError
from recommender.schema import UserState
from recommender.stores import open_store

logger = logging.getLogger("recommender.feature_fetcher")


@serve.deployment
class FeatureFetcher:
    """Deployment that reads users from the store.

    Parameters
    ----------
    store_url
        Where the store is.
    """

    async def __init__(self, store_url: str) -> None:  # type: ignore[misc]  # Serve awaits it
        replica_setup.begin()
        self._store = measured(open_store(store_url))
        # connects now, so that the first request does not run out of time for it
        with contextlib.suppress(StoreError):
            await self._store.fetch([])

    @with_request_ids
    async def fetch_many(self, user_ids: list[str | None]) -> bytes:
        """States of users, None for an anonymous one; msgpack of `Fetched`.

        A store that does not answer is said in ``degraded``, it is no error.
        """
        named = [user_id for user_id in user_ids if user_id is not None]
        try:
            found = await self._store.fetch(named)
        except StoreError as error:
            logger.warning("answering without stored features: %s", error)
            return pack(Fetched([UserState() for _ in user_ids], 0, ["features"], 0))
        states = iter(found.users)
        known = [UserState() if user_id is None else next(states) for user_id in user_ids]
        return pack(Fetched(known, found.items_sequence, [], found.last_offset))

    async def counted(self) -> MetricsSnapshot:
        """What this replica has counted."""
        return metrics.counted()
