"""Routes of recommendations, rankings, similar items and leaderboards (chapter 3 of the contract)."""

import msgspec
from fastapi import APIRouter, Request, Response

from deployments.http.body_reader import read
from deployments.http.conditional import shared_answer
from deployments.http.openapi import documented
from deployments.http.routes.parameters import (
    BoostAmounts,
    Diversity,
    Fallback,
    FilterClauses,
    ItemId,
    K,
    PlacementName,
    SessionId,
    ShownItems,
    Typed,
    UserId,
    WindowS,
    not_found,
    raw_answer,
)
from deployments.http.schemas import RankRequest, RecommendationRequests
from deployments.http.service import current
from deployments.http.vector_lengths import check_vectors
from recommender import schema
from recommender.schema import (
    LeaderboardRequest,
    PopularRequest,
    ReadRequest,
    SearchRequest,
    SimilarItemsRequest,
    SimilarUsersRequest,
)
from recommender.serving.newest_items import latest

router = APIRouter(tags=["recommending"])

_requests = msgspec.json.Decoder(RecommendationRequests)
_rank = msgspec.json.Decoder(RankRequest)

PATH = "/v1/users/{user_id}/recommendations"
SIMILAR = "/v1/items/{item_id}/similar"
NO_ITEM = "item, or nothing is known of it: it was not seen in training and has no learned feature"
NOBODY = b'"strategy":"none"'


class RecommendationResults(msgspec.Struct):
    """Answer of ``POST /v1/recommendations``, in the order of the requests."""

    results: list[schema.Recommendations]


async def answered(query: schema.Query) -> Response:
    """Answer to a query for one user."""
    body = await current().recommend(query)
    if (query.fallback == "none" or query.placement is not None) and NOBODY in body:
        raise not_found("user: nothing is known of them, and the request forbids a fallback")
    return raw_answer(body)


async def ask(request: ReadRequest, absent: str = "answer") -> Response:
    """Answer to any other read request; `absent` is what there is none of where it has no answer."""
    body = await current().ask(request)
    if body is None:
        raise not_found(absent)
    return raw_answer(body)


async def ask_shared(http: Request, request: ReadRequest, absent: str = "answer") -> Response:
    """The same of what everybody gets: whoever has it already is told so, see `conditional`."""
    body = await current().ask(request)
    if body is None:
        raise not_found(absent)
    return shared_answer(http, body)


@router.get(PATH, **documented(schema.Recommendations, 404))
async def recommend(
    user_id: UserId,
    filter_: FilterClauses,
    boost: BoostAmounts,
    shown: ShownItems,
    placement: PlacementName,
    session_id: SessionId,
    request: Request,
    k: K = 10,
    exclude_seen: bool = True,
    explain: bool = False,
    diversity: Diversity = 0.0,
    fallback: Fallback = "popular",
) -> Response:
    """Recommend items to a user, best first, by whatever is known of them.

    With `diversity` above 0 the items are chosen by maximal marginal relevance from the best 100, or 4 k where that
    is more, and come in the order of choice: the first is the best, and each keeps its true `score`. A `boost` adds to
    the scores of all items that have a feature, and stands in the explanation. `next_cursor` asks for the next page:
    the best of what no page before has shown. With a `placement` its settings hold for all that is not set here, and
    its rules are kept.
    """
    query = schema.Query(
        user_id=user_id,
        k=k,
        filter=filter_,
        exclude_seen=exclude_seen,
        explain=explain,
        diversity=diversity,
        boost=boost,
        shown=shown,
        fallback=fallback,
        placement=placement,
        session_id=session_id,
        given=frozenset(request.query_params),
    )
    return await answered(query)


@router.post("/v1/recommendations", **documented(RecommendationResults, 404, body=RecommendationRequests))
async def recommend_many(request: Request) -> Response:
    """Recommend for up to 256 users or anonymous sessions at once.

    With `fallback` none, a user of whom nothing is known gets the strategy none and no items.
    """
    asked = await read(request, _requests)
    queries = [each.query() for each in asked.requests]
    await check_vectors(current().store, "users", (query.features for query in queries))
    answers = await current().recommend_many(queries)
    return raw_answer(b'{"results":[' + b",".join(answers) + b"]}")


@router.post("/v1/rank", **documented(schema.Ranking, body=RankRequest))
async def rank(request: Request) -> Response:
    """Score exactly these items for one user: all sixteen cases in one place."""
    query = (await read(request, _rank)).query()
    await check_vectors(current().store, "users", [query.features])
    await check_vectors(current().store, "items", (features for _, features in query.items))
    return await ask(query)


@router.get(SIMILAR, **documented(schema.SimilarItems, 404, shared=True))
async def similar_items(request: Request, item_id: ItemId, filter_: FilterClauses, k: K = 10) -> Response:
    """Items like this one, by the cosine of their representations; the item itself is not among them."""
    return await ask_shared(request, SimilarItemsRequest(item_id=item_id, k=k, filter=filter_), NO_ITEM)


@router.get("/v1/users/{user_id}/similar", **documented(schema.SimilarUsers, 404))
async def similar_users(user_id: UserId, k: K = 10) -> Response:
    """Users of the active model like this one, by the cosine of their representations.

    A user who was not seen in training is compared by their features and recent interactions.
    """
    return await ask(
        SimilarUsersRequest(user_id=user_id, k=k),
        "user, or nothing is known of them: no interaction and no learned feature",
    )


@router.get("/v1/latest", **documented(schema.Latest, shared=True))
async def latest_items(request: Request, filter_: FilterClauses, k: K = 10) -> Response:
    """Available items by the time of their last change, newest first; filters look at the newest 10,000."""
    return shared_answer(request, msgspec.json.encode(await latest(current().store, k, filter_)))


@router.get("/v1/search", **documented(schema.FoundItems))
async def search_items(q: Typed, k: K = 10) -> Response:
    """Items that can be recommended by what someone has typed of a title or an id, the most fitting first.

    The item with exactly this id comes first, then titles and ids that begin so, titles with a word that begins so, and
    those that have it anywhere; the more popular first among each. Case does not matter.
    """
    return await ask(SearchRequest(text=q, k=k))


@router.get("/v1/popular", **documented(schema.Popular, shared=True))
async def popular(request: Request, filter_: FilterClauses, k: K = 10, window_s: WindowS | None = None) -> Response:
    """What everyone gets, best first; with `window_s` by the number of interactions in so many seconds up to now.

    An interaction counts in its window at once, by its `timestamp`; one of the future counts as of now. Those that
    were learned have their time to one part in 128 of their age, so that the edge of an hour is good to half a minute.
    Items without an interaction in the window are left out.
    """
    if window_s is None:
        return await ask_shared(request, PopularRequest(k=k, filter=filter_))
    return await ask_shared(request, LeaderboardRequest(name="popular", window_s=window_s, k=k, filter=filter_))


@router.get("/v1/trending", **documented(schema.Popular, shared=True))
async def trending(request: Request, filter_: FilterClauses, k: K = 10, window_s: WindowS = 86_400) -> Response:
    """Items whose part in the interactions of the last `window_s` seconds is larger than before, the surest first.

    `score` is the root of Dunning's log-likelihood ratio of the window against the 28 windows before it, or against
    all that was before where these have next to nothing; above 2 it is seldom chance. Items whose part has not grown
    are left out.
    """
    return await ask_shared(request, LeaderboardRequest(name="trending", window_s=window_s, k=k, filter=filter_))
