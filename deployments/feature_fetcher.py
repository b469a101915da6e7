"""FeatureFetcher: the deployment of the fetching stage."""

from __future__ import annotations

import contextlib

from ray import serve

from deployments.handle_calls import with_request_ids
from deployments.messages import pack
from deployments.ray_runtime import replica_setup
from deployments.stages.fetching import UserFetcher
from deployments.stages.spans import traced_fetcher
from deployments.telemetry import metrics
from deployments.telemetry.measured_store import measured
from deployments.telemetry.metric_snapshot import MetricsSnapshot
from recommender.errors import StoreError
from recommender.stores import open_store


@serve.deployment
class FeatureFetcher:
    """Deployment that reads the users of a micro-batch from the store in one round trip.

    Parameters
    ----------
    store_url
        Where the store is.
    """

    async def __init__(self, store_url: str) -> None:  # type: ignore[misc]  # Serve awaits it
        replica_setup.begin()
        store = measured(open_store(store_url))
        # connects now, so that the first request does not run out of time for it
        with contextlib.suppress(StoreError):
            await store.fetch([])
        self._users = traced_fetcher(UserFetcher(store))

    @with_request_ids
    async def fetch_many(self, user_ids: list[str | None]) -> bytes:
        """States of users, None for an anonymous one; msgpack of `Fetched`."""
        return pack(await self._users.fetch(user_ids))

    async def counted(self) -> MetricsSnapshot:
        """What this replica has counted."""
        return metrics.counted()
