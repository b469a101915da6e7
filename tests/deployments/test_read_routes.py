"""Read requests over their whole way, from the URL to a predictor and back, in one process without Ray."""

import asyncio

import httpx
import msgspec
import pytest

from deployments.http.routes import recommendations
from deployments.http.service import Service
from deployments.ingress import build_application
from deployments.messages import Fetched, pack
from deployments.predictor import Predictor
from deployments.stages.answering import QueryAnswerer
from deployments.telemetry import metrics
from recommender.schema import RankQuery, UserState
from recommender.serving.catalogue import Catalogue
from recommender.serving.recommender import Recommender
from recommender.stores import MemoryStore
from tests.support.known_worlds import shared_snapshot


class Handle:
    """A deployment whose replica is an object of this process."""

    def __init__(self, replica) -> None:
        self._replica = replica

    def __getattr__(self, name):
        method = getattr(self._replica, name)
        return type("Method", (), {"remote": staticmethod(method)})


class Fetcher:
    async def fetch_many(self, _request_ids, user_ids):
        return pack(Fetched([UserState()] * len(user_ids), 0, [], 0))


@pytest.fixture
def recommender() -> Recommender:
    return Recommender(Catalogue(shared_snapshot()))


@pytest.fixture
def ask(monkeypatch, recommender):
    monkeypatch.setattr(metrics, "count", lambda *_, **__: None)
    monkeypatch.setenv("RECOMMENDER_API_KEYS", "admin:a")
    predictor = Predictor.func_or_class.__new__(Predictor.func_or_class)
    store = MemoryStore()

    async def answered(method: str, target: str, body: object, more: dict[str, str]) -> httpx.Response:
        predictor._answerer = QueryAnswerer(store, catalogue_wait_s=30.0)
        predictor._answerer.serve(recommender)
        service = Service(Handle(Fetcher()), Handle(predictor), None, None, store)
        monkeypatch.setattr(recommendations, "current", lambda: service)
        headers = {"authorization": "Bearer a", "content-type": "application/json", **more}
        transport = httpx.ASGITransport(build_application())
        async with httpx.AsyncClient(transport=transport, base_url="http://service", headers=headers) as client:
            return await client.request(method, target, content=msgspec.json.encode(body))

    return lambda target, body=None, headers=None: asyncio.run(
        answered("POST" if body else "GET", target, body, headers or {})
    )


def plain(struct):
    return msgspec.json.decode(msgspec.json.encode(struct))


def test_each_route_answers_what_the_library_does(ask, recommender):
    ranking = RankQuery(user_id="u3", items=(("i1", None), ("i4", None)))

    assert ask("/v1/popular?k=3").json() == plain(recommender.popular(3))
    assert ask("/v1/search?q=i1&k=3").json() == plain(recommender.find_items("i1", 3))
    assert ask("/v1/items/i1/similar?k=3").json() == plain(recommender.similar_items("i1", 3))
    assert ask("/v1/users/u3/similar?k=3").json() == plain(recommender.similar_users("u3", UserState(), 3))
    assert ask("/v1/trending?window_s=60").json()["items"] == []
    assert ask("/v1/popular?window_s=60").json()["model_version"] == recommender.version
    assert ask("/v1/rank", {"user_id": "u3", "items": ["i1", "i4"]}).json() == plain(recommender.rank(ranking))


def test_a_filter_travels_to_the_library(ask, recommender):
    only = ask("/v1/popular?k=50&filter=group:g1")
    none = ask("/v1/popular?k=50&filter=-group:g1")

    assert only.json() == plain(recommender.popular(50, ["group:g1"]))
    assert none.json() == plain(recommender.popular(50, ["-group:g1"]))


@pytest.mark.parametrize(
    ("target", "named"), [("/v1/items/nowhere/similar", "item"), ("/v1/users/nobody/similar", "user")]
)
def test_of_what_nobody_knows_there_is_none(ask, target, named):
    answer = ask(target)

    assert answer.status_code == 404
    assert answer.json()["detail"].startswith(f"there is no such {named}")


@pytest.mark.parametrize(
    "query", ["filter=Comedy", "filter=:a", "boost=genres:Comedy", "boost=genres:Comedy:inf", "cursor=not-one"]
)
def test_what_is_no_filter_boost_or_cursor_is_refused_before_anything_is_asked(ask, query):
    answer = ask(f"/v1/users/u3/recommendations?{query}")

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "target", ["/v1/popular?k=3", "/v1/items/i1/similar", "/v1/latest?k=5", "/v1/trending?window_s=60"]
)
def test_who_has_what_everybody_gets_is_told_so_and_is_sent_what_has_changed(ask, target):
    first = ask(target)
    tag = first.headers["etag"]
    again = [ask(target, headers={"if-none-match": each}) for each in (tag, f'W/{tag}, "other"', "*")]
    other = ask(target, headers={"if-none-match": '"other"'})

    assert first.headers["cache-control"] == other.headers["cache-control"] == "no-cache"
    assert {(each.status_code, each.content, each.headers["etag"]) for each in again} == {(304, b"", tag)}
    assert (other.status_code, other.content) == (200, first.content)


def test_what_is_one_users_has_no_tag(ask):
    assert "etag" not in ask("/v1/users/u3/recommendations").headers
