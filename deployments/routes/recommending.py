"""Chapter 3 of the contract: recommending."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response

from deployments.bodies import read
from deployments.openapi import documented
from deployments.problems import invalid
from deployments.routes.parameters import Fallback, Filters, K, UserId, not_found, raw_answer
from deployments.schemas import RankRequest, RecommendationRequests
from deployments.service import current
from recommender import queries
from recommender.filters import Filter

router = APIRouter(tags=["recommending"])

_requests = msgspec.json.Decoder(RecommendationRequests)
_rank = msgspec.json.Decoder(RankRequest)

NOBODY = b'"strategy":"none"'


class RecommendationResults(msgspec.Struct):
    """Answer of ``POST /v1/recommendations``, in the order of the requests."""

    results: list[queries.Recommendations]


@router.get("/v1/users/{user_id}/recommendations", **documented(queries.Recommendations, 404))
async def recommend(
    user_id: UserId,
    filters: Filters = [],  # noqa: B006 (FastAPI copies it)
    k: K = 10,
    exclude_seen: bool = True,
    explain: bool = False,
    diversity: Annotated[float, Query(ge=0, le=1)] = 0.0,
    fallback: Fallback = "popular",
) -> Response:
    """Recommend items to a user, best first, by whatever is known of them."""
    Filter.parse(filters)
    if diversity:
        raise invalid("query.diversity: above 0 is not supported yet", "query.diversity")
    query = queries.Query(
        user_id=user_id,
        k=k,
        filter=tuple(filters),
        exclude_seen=exclude_seen,
        explain=explain,
        fallback=fallback,
    )
    body = await current().recommend(query)
    if fallback == "none" and NOBODY in body:
        raise not_found("user: nothing is known of them, and the request forbids a fallback")
    return raw_answer(body)


@router.post("/v1/recommendations", **documented(RecommendationResults, body=RecommendationRequests))
async def recommend_many(request: Request) -> Response:
    """Recommend for up to 256 users or anonymous sessions at once.

    With `fallback` none, a user of whom nothing is known gets the strategy none and no items.
    """
    asked = await read(request, _requests)
    answers = await current().recommend_many([each.query() for each in asked.requests])
    return raw_answer(b'{"results":[' + b",".join(answers) + b"]}")


@router.post("/v1/rank", **documented(queries.Ranking, body=RankRequest))
async def rank(request: Request) -> Response:
    """Score exactly these items for one user: all sixteen cases in one place."""
    return raw_answer(await current().rank((await read(request, _rank)).query()))


@router.get("/v1/popular", **documented(queries.Popular))
async def popular(filters: Filters = [], k: K = 10) -> Response:  # noqa: B006 (FastAPI copies it)
    """What everyone gets, best first."""
    Filter.parse(filters)
    return raw_answer(await current().popular(k, filters))
