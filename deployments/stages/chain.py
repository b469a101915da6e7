"""The way along the chain: both stages in other processes, over Serve's handles."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ray.serve.handle import DeploymentHandle

from deployments.handle_calls import call_idempotent, call_long
from deployments.messages import pack
from deployments.telemetry import metrics
from recommender.schema import Query, ReadRequest, users_of
from recommender.serving import request_cost


class Chain:
    """Way of a request over the FeatureFetcher and Predictor deployments, by hedged calls.

    Parameters
    ----------
    fetcher, predictor
        The deployments.

    Attributes
    ----------
    answered : int
        Queries and read requests that came this way.
    """

    def __init__(self, fetcher: DeploymentHandle, predictor: DeploymentHandle) -> None:
        self._fetcher, self._predictor = fetcher, predictor
        self.answered = 0

    async def recommend_many(self, queries: Sequence[Query], *, is_long: bool = False) -> list[bytes]:
        """One JSON answer a query, in order.

        Parameters
        ----------
        is_long
            That an answer is not there does not mean that a replica is lost: another one is not asked as well.
        """
        self._count(len(queries))
        fetched = await self._fetch([query.user_id for query in queries])
        call = call_long if is_long else call_idempotent
        answers: list[bytes] = await call(self._predictor.recommend_many, pack(queries), fetched)
        return answers

    async def answer(self, request: ReadRequest) -> bytes | None:
        """JSON of the answer to one read request; None where nothing is known of what it names."""
        self._count(1)
        fetched = await self._fetch(users_of(request))
        call = call_long if request_cost.may_take_long(request) else call_idempotent
        answer: bytes | None = await call(self._predictor.answer, pack(request), fetched)
        return answer

    async def returns_item(self, item_id: str) -> bool:
        """Whether an item may be among what is recommended."""
        fetched = await self._fetch([])
        known: bool = await call_idempotent(self._predictor.returns_item, item_id, fetched)
        return known

    async def trip_ms(self) -> float:
        """Time of the shortest trip, in milliseconds: both hops, and next to nothing done at their ends."""
        begin = time.perf_counter()
        await self.returns_item("")
        return (time.perf_counter() - begin) * 1e3

    def _count(self, amount: int) -> None:
        self.answered += amount
        metrics.count(metrics.WAYS, amount, way="chain")

    async def _fetch(self, user_ids: list[str | None]) -> bytes:
        # what was fetched goes to the predictor as it came, unread
        fetched: bytes = await call_idempotent(self._fetcher.fetch_many, user_ids)
        return fetched
