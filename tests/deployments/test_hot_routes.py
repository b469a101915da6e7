"""Which requests are answered before FastAPI: the ones that nearly all are, and only those."""

import asyncio
import json
from pathlib import Path

import pytest

from deployments.http.problems import Problem
from deployments.http.routes import hot

PATHS = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text())["paths"]


def scope(method: str, target: str) -> dict[str, object]:
    path, _, query = target.partition("?")
    return {"type": "http", "method": method, "path": path, "query_string": query.encode()}


@pytest.mark.parametrize(
    ("method", "target", "path"),
    [
        ("GET", "/v1/users/u%2F1/recommendations", "/v1/users/{user_id}/recommendations"),
        ("GET", "/v1/users/u1/recommendations?k=5", "/v1/users/{user_id}/recommendations"),
        ("GET", "/v1/items/i1/similar?k=999", "/v1/items/{item_id}/similar"),
        ("GET", "/v1/popular", "/v1/popular"),
        ("POST", "/v1/recommendations", "/v1/recommendations"),
        ("POST", "/v1/rank", "/v1/rank"),
        ("POST", "/v1/interactions", "/v1/interactions"),
    ],
)
def test_a_hot_request_is_known_by_the_path_that_openapi_has(method, target, path):
    found = hot.find(scope(method, target))

    assert found is not None
    assert found.path == path
    assert method.lower() in PATHS[path]


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/v1/users/u1/recommendations?k=0"),
        ("GET", "/v1/users/u1/recommendations?k=1000"),
        ("GET", "/v1/users/u1/recommendations?k=5&k=6"),
        ("GET", "/v1/users/u1/recommendations?explain=true"),
        ("GET", "/v1/users/u/1/recommendations"),
        ("GET", "/v1/users//recommendations"),
        ("GET", "/v1/popular?window_s=60"),
        ("GET", "/v1/popular/"),
        ("PUT", "/v1/popular"),
        ("POST", "/v1/rank?k=5"),
        ("GET", "/v1/interactions"),
        ("POST", "/v1/models"),
    ],
)
def test_whatever_else_is_asked_goes_to_fastapi(method, target):
    assert hot.find(scope(method, target)) is None


def test_an_answer_that_takes_too_long_is_given_up_and_said_so(monkeypatch):
    async def never(_query):
        await asyncio.Event().wait()

    async def behind(*_):
        raise AssertionError("it is a hot route")

    async def send(_message) -> None:
        raise AssertionError("nothing is sent")

    monkeypatch.setattr(hot, "ANSWER_WITHIN_S", 0.01)
    monkeypatch.setattr(hot.recommendations, "answered", never)

    with pytest.raises(Problem) as problem:
        asyncio.run(hot.HotRoutes(behind)(scope("GET", "/v1/users/u1/recommendations"), None, send))

    assert problem.value.status == 504
    assert problem.value.headers == {"Retry-After": "1"}
