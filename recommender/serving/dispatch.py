"""Dispatch of read requests: the function that answers each type of `recommender.schema.ReadRequest`.

A request travels from the route to a predictor as it is. A new one needs a type in the schema, a case here, a route,
and a function in the client. Recommendations are not among them: they travel in micro-batches, see `Recommender`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import msgspec

from recommender.schema import (
    LeaderboardRequest,
    PopularRequest,
    RankQuery,
    ReadRequest,
    SearchRequest,
    SimilarItemsRequest,
    SimilarUsersRequest,
    UserState,
)
from recommender.serving.recommender import Recommender
from recommender.serving.request_cost import is_heavy
from recommender.serving.similarity import find_similar_items, find_similar_users
from recommender.serving.trends.leaderboards import Leaderboards
from recommender.stores.protocols import FeatureStore

_to_json = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class ReadContext:
    """What requests are answered from.

    Parameters
    ----------
    recommender
        Of the version that serves.
    leaderboards
        Makes its leaderboards current; gives them and the names of the parts that are not.
    store
        For what was deleted since the snapshot.
    states
        Stored states of the users that `recommender.schema.users_of` names.
    degraded
        Parts that could not be asked.
    run_heavy
        Runs long work beside the event loop, one piece at a time.
    """

    recommender: Recommender
    leaderboards: Callable[[], Awaitable[tuple[Leaderboards, list[str]]]]
    store: FeatureStore
    states: Sequence[UserState]
    degraded: Sequence[str]
    run_heavy: Callable[[Callable[[], bytes]], Awaitable[bytes]]


async def answer_request(request: ReadRequest, context: ReadContext) -> bytes | None:
    """JSON of the answer; None where nothing is known of what the request names."""
    recommender = context.recommender
    match request:
        case RankQuery():
            return await _rank(request, context)
        case PopularRequest():
            return _to_json(recommender.popular(request.k, request.filter))
        case LeaderboardRequest():
            leaderboards, degraded = await context.leaderboards()
            return _to_json(leaderboards.top(request.name, request.window_s, request.k, request.filter, degraded))
        case SearchRequest():
            await asyncio.to_thread(recommender.prepare_text_search)  # once a version
            return await context.run_heavy(lambda: _to_json(recommender.find_items(request.text, request.k)))
        case SimilarItemsRequest():
            return _or_none(
                await find_similar_items(recommender, context.store, request.item_id, request.k, request.filter)
            )
        case SimilarUsersRequest():
            return await _similar_users(request, context)


async def _rank(request: RankQuery, context: ReadContext) -> bytes:
    def rank() -> bytes:
        return _to_json(context.recommender.rank(request, context.states[0], context.degraded))

    return await context.run_heavy(rank) if is_heavy(request) else rank()


async def _similar_users(request: SimilarUsersRequest, context: ReadContext) -> bytes | None:
    await asyncio.to_thread(context.recommender.prepare_similar_users)  # once a version
    [state] = context.states
    found = await find_similar_users(
        context.recommender, context.store, request.user_id, state, request.k, context.degraded
    )
    return _or_none(found)


def _or_none(found: msgspec.Struct | None) -> bytes | None:
    return None if found is None else _to_json(found)
