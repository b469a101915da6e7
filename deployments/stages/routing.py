"""Query router: collects light queries into micro-batches, asks for heavy ones in parts, and says which way they go."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Sequence
from itertools import count
from typing import Any

from deployments.micro_batching import MAX_BATCH_SIZE, MicroBatcher
from deployments.stages.chain import Chain
from deployments.stages.near import Near
from deployments.stages.near_rule import NearRule
from deployments.telemetry import logs
from recommender.schema import Query, ReadRequest
from recommender.serving import request_cost

logger = logging.getLogger("recommender.ingress")

IDLE_WAIT_S = 0.001
"""How long a lone request waits for company before it goes along the chain; near it waits for none."""
PATIENCE_S = 0.015
"""How long it waits while a micro-batch is under way, with which the next one leaves."""
PART_MS = 250.0
"""Largest cost of a call to a predictor by `recommender.serving.request_cost`; more is asked for in parts."""
HEAVY_AT_ONCE = 2
"""Of these parts under way; the others wait here, and hold nobody up."""
TRIES = 5
"""Trips that are measured at the start; the shortest counts."""
MEASURE_EVERY_S = 0.5
TRIP_AGAIN_EVERY = 60
"""Of these, one trip: what was measured while the machine was busy starting is put right."""

Asked = tuple[Query, tuple[str, ...]]
"""A query, and the ids of the requests that it is for."""


class QueryRouter:
    """Brings queries to the stages and their answers back.

    Parameters
    ----------
    chain
        The way over the deployments.
    near
        The way in this process, where there is one.
    rule
        Which of them is taken.
    """

    def __init__(self, chain: Chain, near: Near | None = None, rule: NearRule | None = None) -> None:
        self._chain, self._near = chain, near
        self._rule = rule or NearRule("never")
        self._heavy = asyncio.Semaphore(HEAVY_AT_ONCE)
        self._batches: MicroBatcher[Asked, bytes] = MicroBatcher(
            self._batched, most=MAX_BATCH_SIZE, idle_wait_s=IDLE_WAIT_S, busy_wait_s=PATIENCE_S
        )

    async def answer_queries(self, queries: Sequence[Query]) -> list[bytes]:
        """JSON of each answer, in order; a lone light query shares a micro-batch with those of other requests."""
        cost_ms = self._near.cost_ms(queries) if self._near else math.inf
        if self._near and self._rule.is_near(cost_ms):
            with self._rule.under_way(cost_ms):
                if len(queries) == 1 and cost_ms <= request_cost.LIGHT_MS:
                    return [await self._near.recommend(queries[0])]
                return await self._near.recommend_many(queries)
        if len(queries) == 1 and request_cost.is_light(queries):
            return [await self._batches.ask((queries[0], logs.request_ids()))]
        return await self._along(queries)

    async def answer(self, request: ReadRequest) -> bytes | None:
        """JSON of the answer to one read request; None where nothing is known of what it names."""
        cost_ms = self._near.read_cost_ms(request) if self._near else math.inf
        if self._near and self._rule.is_near(cost_ms):
            with self._rule.under_way(cost_ms):
                return await self._near.answer(request)
        async with self._heavy if request_cost.is_heavy(request) else contextlib.nullcontext():
            return await self._chain.answer(request)

    async def returns_item(self, item_id: str) -> bool:
        """Whether an item may be among what is recommended."""
        return await self._chain.returns_item(item_id)

    @property
    def answers_near(self) -> bool:
        """Whether this process is one of those that answer."""
        return self._near is not None

    def status(self) -> dict[str, Any]:
        """The rule, and how many answers were given near and along the chain."""
        return {**self._rule.status(), "near": self._near.answered if self._near else 0, "chain": self._chain.answered}

    async def keep_measured(self) -> None:
        """Measure the trip along the chain, and a scan of each version's catalogue; never ends."""
        measured: str | None = None
        shortest: list[float] = []
        for turn in count():
            await asyncio.sleep(MEASURE_EVERY_S)
            if turn < TRIES or turn % TRIP_AGAIN_EVERY == 0 or not shortest:
                shortest = sorted([*shortest, *await self._trip_ms()])[:1]
                self._rule.hop_ms = min(shortest, default=self._rule.hop_ms)
            version = self._near.answerer.version if self._near else None
            if self._near and version != measured:
                measured = version
                self._rule.measured_scan(self._near.answerer.scan_cost())

    async def _trip_ms(self) -> list[float]:
        try:
            return [await self._chain.trip_ms()]
        except Exception as error:  # noqa: BLE001 (whatever it is, what was assumed holds until a trip succeeds)
            logger.info("the chain cannot be measured yet: %s", error)
            return []

    async def _batched(self, asked: Sequence[Asked]) -> list[bytes]:
        # a task of its own, that works for all of them
        logs.about([request_id for _, request_ids in asked for request_id in request_ids])
        return await self._along([query for query, _ in asked])

    async def _along(self, queries: Sequence[Query]) -> list[bytes]:
        """Along the chain; what is heavy in parts, few at a time."""
        if request_cost.is_light(queries):
            return await self._chain.recommend_many(queries)
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
