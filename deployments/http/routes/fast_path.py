"""Fast path: recommendations for a user with nothing set or only `k`, which nearly all requests are.

FastAPI takes a good part of the time of such a request to look at nine query parameters. So it is answered before
FastAPI's own route is asked, by the same code behind it; whatever has another query goes on to that route, which
OpenAPI describes.
"""

import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from deployments.http.routes.parameters import id_of
from deployments.http.routes.recommendations import PATH, answered
from recommender.schema import Query

_QUERY = re.compile(rb"(?:k=([1-9][0-9]{0,2}))?")


class FastPathRoute(Route):
    """``GET`` of recommendations whose query is empty or a `k` below 1000."""

    def __init__(self) -> None:
        super().__init__(PATH, _recommend, methods=["GET"], include_in_schema=False)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As any route, of these queries only."""
        if scope["type"] != "http" or scope["method"] != "GET" or not _QUERY.fullmatch(scope["query_string"]):
            return Match.NONE, {}
        match, child = super().matches(scope)
        return match, {**child, "route": self}


async def _recommend(request: Request) -> Response:
    user_id = id_of(request.path_params["user_id"], "user_id")
    found = _QUERY.fullmatch(request.scope["query_string"])
    k = found[1] if found else None
    return await answered(Query(user_id=user_id, k=int(k)) if k else Query(user_id=user_id))
