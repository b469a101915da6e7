"""Query parameters that no route knows, on every route that there is; without a service: they are refused before it."""

import asyncio
from collections.abc import Callable

import httpx
import pytest

from deployments.ingress import build_api, build_application

OPERATIONS = [(method.upper(), path) for path, methods in build_api().openapi()["paths"].items() for method in methods]


@pytest.fixture
def ask(monkeypatch) -> Callable[[str, str], httpx.Response]:
    monkeypatch.setenv("RECOMMENDER_API_KEYS", "admin:a")
    transport = httpx.ASGITransport(build_application())
    headers = {"content-type": "application/json", "authorization": "Bearer a"}

    async def answer(method: str, target: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://service", headers=headers) as client:
            return await client.request(method, target, content=b"{}")

    return lambda method, target: asyncio.run(answer(method, target))


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=map(" ".join, OPERATIONS))
def test_every_route_refuses_a_parameter_that_it_does_not_know_and_names_it(ask, method, path):
    answer = ask(method, path.replace("{user_id}", "u").replace("{item_id}", "i") + "?colour=red")

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert "'colour'" in answer.json()["detail"]
    assert answer.json()["errors"][0]["loc"] == "query.colour"


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        ("/v1/users/196/recommendations?filters=genres:Horror", "filter"),
        ("/v1/users/196/recommendations?k=3&exclude-seen=false", "exclude_seen"),
        ("/v1/users/196/recommendations?K=3", "k"),
        ("/v1/users/196/recommendations?boosts=genres:Horror:1", "boost"),
        ("/v1/users?limits=3", "limit"),
        ("/v1/trending?window=60", "window_s"),
    ],
)
def test_the_nearest_parameter_is_named(ask, target, meant):
    assert f"did you mean '{meant}'?" in ask("GET", target).json()["detail"]


def test_where_none_is_near_all_are_named(ask):
    assert "there are k, filter" in ask("GET", "/v1/latest?colour=red").json()["detail"]


def test_a_name_of_any_length_is_cut_and_many_are_not_all_repeated(ask):
    answer = ask("GET", "/v1/popular?" + "&".join(f"{'x' * 100}{n}=1" for n in range(50)))

    assert answer.status_code == 422
    assert len(answer.content) < 4000
