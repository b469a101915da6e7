"""The near way: both stages in the process that took the request, over the snapshot that its node has mapped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from deployments.micro_batching import MAX_BATCH_SIZE, MicroBatcher
from deployments.stages.answer_cache import AnswerCache, Asked, Stand, is_anonymous, with_new_id
from deployments.stages.answering import QueryAnswerer
from deployments.stages.fetching import UserFetcher
from deployments.stages.near_rule import Mode
from deployments.telemetry import logs, metrics
from recommender.models.feedback import Feedback
from recommender.schema import PopularRequest, Query, ReadRequest, SimilarItemsRequest, users_of
from recommender.serving import request_cost

PATIENCE_S = 0.002
"""How long a query waits while a micro-batch is under way, with which the next one leaves."""


@dataclass(frozen=True)
class NearSettings:
    """When requests are answered near, and what answers are made with, as the Predictor's are."""

    mode: Mode = "never"
    explore: float = 0.0
    feedback: Feedback | None = None
    catalogue_wait_s: float = 1.0


class Near:
    """Way of a request that stays in this process.

    Parameters
    ----------
    fetcher, answerer
        The stages.

    Attributes
    ----------
    answered : int
        Queries and read requests that came this way.
    """

    def __init__(self, fetcher: UserFetcher, answerer: QueryAnswerer) -> None:
        self._fetcher, self.answerer = fetcher, answerer
        self.answered = 0
        self._cache = AnswerCache()
        self._batches: MicroBatcher[tuple[Query, tuple[str, ...]], bytes] = MicroBatcher(
            self._batched, most=MAX_BATCH_SIZE, idle_wait_s=0, busy_wait_s=PATIENCE_S
        )

    def cost_ms(self, queries: Sequence[Query]) -> float:
        """Estimated cost of queries in milliseconds; infinite before a model is here."""
        if self.answerer.version is None:
            return math.inf
        n_items = self.answerer.n_items
        return sum(request_cost.cost_ms(query, n_items) for query in queries)

    def read_cost_ms(self, request: ReadRequest) -> float:
        """The same of a read request; infinite too for one that needs an index or the log's end."""
        if self.answerer.version is None:
            return math.inf
        return request_cost.read_cost_ms(request, self.answerer.n_items)

    async def recommend(self, query: Query) -> bytes:
        """JSON of one answer; queries that are there at the same time are answered together, none waits for company."""
        if is_anonymous(query) and not self.answerer.is_random:
            return await self._for_everybody(query)
        return await self._batches.ask((query, logs.request_ids()))

    async def recommend_many(self, queries: Sequence[Query]) -> list[bytes]:
        """One JSON answer a query, in order."""
        self._count(len(queries))
        known = await self._fetcher.fetch([query.user_id for query in queries])
        return await self.answerer.recommend_many(queries, known)

    async def answer(self, request: ReadRequest) -> bytes | None:
        """JSON of the answer to one read request; None where nothing is known of what it names."""
        self._count(1)
        known = await self._fetcher.fetch(users_of(request))
        if known.degraded or not isinstance(request, PopularRequest | SimilarItemsRequest):
            return await self.answerer.answer(request, known)
        stand = Stand(self.answerer.version, known.items_sequence)
        answer = self._cache.get(request, stand)
        if answer is None:
            answer = await self.answerer.answer(request, known)
            self._keep(request, stand, answer)
        return answer

    async def _for_everybody(self, query: Query) -> bytes:
        self._count(1)
        known = await self._fetcher.fetch([None])
        stand = Stand(self.answerer.version, known.items_sequence)
        kept = None if known.degraded else self._cache.get(query, stand)
        if kept is not None:
            answer, what = with_new_id(kept)
            metrics.count(metrics.ANSWERS, strategy=what.strategy, case=what.case)
            return answer
        [answer] = await self.answerer.recommend_many([query], known)
        if not known.degraded:
            self._keep(query, stand, answer)
        return answer

    def _keep(self, asked: Asked, stand: Stand, answer: bytes | None) -> None:
        """Keep what was answered from this very stand: meanwhile another one may have come."""
        if answer is not None and self.answerer.stand() == stand:
            self._cache.put(asked, stand, answer)

    async def _batched(self, asked: Sequence[tuple[Query, tuple[str, ...]]]) -> list[bytes]:
        # a task of its own, that works for all of them
        logs.about([request_id for _, request_ids in asked for request_id in request_ids])
        return await self.recommend_many([query for query, _ in asked])

    def _count(self, amount: int) -> None:
        self.answered += amount
        metrics.count(metrics.WAYS, amount, way="near")
