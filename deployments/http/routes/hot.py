"""Hot routes: a router of the requests that nearly all are, asked before FastAPI.

FastAPI takes a good part of the time of such a request to look for its route and at its parameters. So recommendations,
rankings, similar items, the baseline and interactions with nothing set, or only `k`, are answered here by the same
functions that stand behind FastAPI's routes; whatever has another query goes on to those, which OpenAPI describes.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.http.problems import Problem
from deployments.http.routes import data, recommendations
from deployments.http.routes.parameters import id_of
from recommender.schema import PopularRequest, Query, SimilarItemsRequest

DEFAULT_K = 10
ANSWER_WITHIN_S = 10.0
AGAIN = {"Retry-After": "1"}
_PATH = re.compile(r"/v1/(?:users/([^/]+)/recommendations|items/([^/]+)/similar|popular)")
_QUERY = re.compile(rb"(?:k=([1-9][0-9]{0,2}))?")


class HotRoute(NamedTuple):
    """A path as OpenAPI has it, for metrics, and what answers."""

    path: str
    answer: Callable[[Request], Awaitable[Response]]


_POSTS = {
    each.path: each
    for each in (
        HotRoute("/v1/recommendations", recommendations.recommend_many),
        HotRoute("/v1/rank", recommendations.rank),
        HotRoute("/v1/interactions", data.add_interactions),
    )
}


class HotRoutes:
    """Router of the hot routes; what is none of them goes to the application behind.

    Parameters
    ----------
    app
        What comes behind.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        found = find(scope) if scope["type"] == "http" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = found
        try:
            # HAProxy has told Serve to keep no time for those that only read; it does for the others
            async with asyncio.timeout(ANSWER_WITHIN_S if scope["method"] == "GET" else None):
                response = await found.answer(Request(scope, receive))
        except TimeoutError:
            raise Problem(504, "the answer took too long; come back in a second", headers=AGAIN) from None
        await response(scope, receive, send)


def find(scope: Scope) -> HotRoute | None:
    """Hot route of a request whose path is undecoded; None where it has none."""
    query: bytes = scope["query_string"]
    if scope["method"] == "POST":
        return None if query else _POSTS.get(scope["path"])
    if scope["method"] != "GET":
        return None
    path, asked = _PATH.fullmatch(scope["path"]), _QUERY.fullmatch(query)
    if path is None or asked is None:
        return None
    return _reading(path[1], path[2], int(asked[1] or DEFAULT_K))


def _reading(user_id: str | None, item_id: str | None, k: int) -> HotRoute:
    if user_id is not None:

        async def recommend(_: Request) -> Response:
            return await recommendations.answered(Query(user_id=id_of(user_id, "user_id"), k=k))

        return HotRoute(recommendations.PATH, recommend)
    if item_id is not None:

        async def similar(http: Request) -> Response:
            request = SimilarItemsRequest(item_id=id_of(item_id, "item_id"), k=k)
            return await recommendations.ask_shared(http, request, recommendations.NO_ITEM)

        return HotRoute(recommendations.SIMILAR, similar)

    async def popular(http: Request) -> Response:
        return await recommendations.ask_shared(http, PopularRequest(k=k))

    return HotRoute("/v1/popular", popular)
