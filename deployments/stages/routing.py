"""Query router: collects light queries into micro-batches, asks for heavy ones in parts, and says which way they go."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from deployments.micro_batching import MicroBatcher
from deployments.stages.chain import Chain
from deployments.telemetry import logs
from recommender.schema import Query, ReadRequest
from recommender.serving import request_cost

MAX_BATCH_SIZE = 32
"""Requests that travel together; the predictor scores them in one pass over the item block."""
IDLE_WAIT_S = 0.001
"""How long a lone request waits for company."""
PATIENCE_S = 0.015
"""How long it waits while a micro-batch is under way, with which the next one leaves."""
PART_MS = 250.0
"""Largest cost of a call to a predictor by `recommender.serving.request_cost`; more is asked for in parts."""
HEAVY_AT_ONCE = 2
"""Of these parts under way; the others wait here, and hold nobody up."""


class QueryRouter:
    """Brings queries to the stages and their answers back.

    Parameters
    ----------
    chain
        The way over the deployments.
    """

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._heavy = asyncio.Semaphore(HEAVY_AT_ONCE)
        self._batches = MicroBatcher(
            self._batched, most=MAX_BATCH_SIZE, idle_wait_s=IDLE_WAIT_S, busy_wait_s=PATIENCE_S
        )

    async def answer_queries(self, queries: Sequence[Query]) -> list[bytes]:
        """JSON of each answer, in order; a lone light query shares a micro-batch with those of other requests."""
        if not request_cost.is_light(queries):
            return await self._in_parts(queries)
        if len(queries) == 1:
            return [await self._batches.ask((queries[0], logs.request_ids()))]
        return await self._chain.recommend_many(queries)

    async def answer(self, request: ReadRequest) -> bytes | None:
        """JSON of the answer to one read request; None where nothing is known of what it names."""
        async with self._heavy if request_cost.is_heavy(request) else contextlib.nullcontext():
            return await self._chain.answer(request)

    async def returns_item(self, item_id: str) -> bool:
        """Whether an item may be among what is recommended."""
        return await self._chain.returns_item(item_id)

    async def _batched(self, asked: list[tuple[Query, tuple[str, ...]]]) -> list[bytes]:
        # a task of its own, that works for all of them
        logs.about([request_id for _, request_ids in asked for request_id in request_ids])
        queries = [query for query, _ in asked]
        if request_cost.is_light(queries):
            return await self._chain.recommend_many(queries)
        return await self._in_parts(queries)

    async def _in_parts(self, queries: Sequence[Query]) -> list[bytes]:
        """What is heavy, in parts, few at a time."""
        # its parts come for their turn one after another, so that calls alternate
        own = asyncio.Semaphore(HEAVY_AT_ONCE)
        parts = [asyncio.create_task(self._part(queries[each], own)) for each in request_cost.slices(queries, PART_MS)]
        try:
            return [answer for part in await asyncio.gather(*parts) for answer in part]
        finally:
            for part in parts:
                part.cancel()

    async def _part(self, queries: Sequence[Query], own: asyncio.Semaphore) -> list[bytes]:
        async with own, self._heavy:
            return await self._chain.recommend_many(queries, is_long=True)
