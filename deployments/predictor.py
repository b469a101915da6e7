"""Predictor: the deployment of the answering stage."""

from __future__ import annotations

import os
from typing import Any

from ray import serve

from deployments.handle_calls import with_request_ids
from deployments.messages import unpack_fetched, unpack_queries, unpack_request
from deployments.model_store import RegistryPlace
from deployments.ray_runtime import replica_setup
from deployments.stages.answering import QueryAnswerer
from deployments.stages.following import SnapshotFollower
from deployments.stages.spans import traced_answerer
from deployments.telemetry import metrics
from deployments.telemetry.measured_store import measured
from deployments.telemetry.metric_snapshot import MetricsSnapshot
from recommender.models.feedback import Feedback
from recommender.stores import open_store


@serve.deployment
class Predictor:
    """Deployment that answers micro-batches and read requests from the snapshot.

    Parameters
    ----------
    models
        Where versions are.
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
        models: RegistryPlace,
        store_url: str,
        explore: float = 0.0,
        feedback: Feedback | None = None,
        catalogue_wait_s: float = 1.0,
    ) -> None:
        replica_setup.begin()
        store = measured(open_store(store_url))
        self._answerer = traced_answerer(QueryAnswerer(store, feedback, catalogue_wait_s))
        self._follower = SnapshotFollower(models, store, self._answerer, explore, feedback)
        await self._follower.begin()

    @with_request_ids
    async def recommend_many(self, queries: bytes, fetched: bytes) -> list[bytes]:
        """One JSON answer a query."""
        return await self._answerer.recommend_many(unpack_queries(queries), unpack_fetched(fetched))

    @with_request_ids
    async def answer(self, request: bytes, fetched: bytes) -> bytes | None:
        """JSON of the answer to a `ReadRequest`; None where nothing is known of what it names."""
        return await self._answerer.answer(unpack_request(request), unpack_fetched(fetched))

    @with_request_ids
    async def returns_item(self, item_id: str, fetched: bytes) -> bool:
        """Whether an item may be among what is recommended."""
        return await self._answerer.returns_item(item_id, unpack_fetched(fetched))

    async def counted(self) -> MetricsSnapshot:
        """What this replica has counted."""
        return metrics.counted()

    async def status(self) -> dict[str, Any]:
        """Who this is and what it serves."""
        context = serve.get_replica_context()
        who = {"deployment": context.deployment, "replica": context.replica_tag, "pid": os.getpid()}
        return {**who, **self._answerer.status()}

    def check_health(self) -> None:
        """Serve asks this; a follower that has ended makes a replica that never learns again."""
        self._follower.check_health()
