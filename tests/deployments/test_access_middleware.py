"""What every request passes first: who may ask, from which page, how often, and with which method."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import msgspec
import pytest
from fastapi import FastAPI, Request

import deployments.http.access_middleware
from deployments.http import problems, rate_limit
from deployments.http.access_middleware import AccessMiddleware
from deployments.http.body_reader import read
from deployments.http.rate_limit import RateLimiter
from deployments.http.schemas import InteractionBodies

BODY = b'{"interactions": [{"user_id": "victim", "item_id": "promoted"}]}'
FOREIGN = [
    {"origin": "https://evil.example", "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
    {"origin": "https://evil.example"},
    {"origin": "http://127.0.0.1:3000"},
    {"origin": "null"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
    {"host": "rebound.evil.example:8000"},
    {"host": "127.0.0.1.evil.example"},
    {"host": "10.0.0.1:8000", "origin": "http://10.0.0.1:8000"},
]
OWN = [
    {},
    {"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"},
    {"host": "localhost:8000", "origin": "http://localhost:8000"},
    {"host": "[::1]:8000", "origin": "http://[::1]:8000"},
    {"sec-fetch-site": "none", "sec-fetch-mode": "navigate"},
]

_interactions = msgspec.json.Decoder(InteractionBodies)


@pytest.fixture(autouse=True)
def _without_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployments.http.access_middleware, "is_open_to_others", lambda: False)


def api() -> FastAPI:
    routes = FastAPI(openapi_url=None)
    problems.install(routes)

    @routes.post("/v1/interactions")
    async def write(request: Request) -> dict[str, int]:
        return {"accepted": len((await read(request, _interactions)).interactions)}

    @routes.get("/v1/users")
    async def users() -> dict[str, list[str]]:
        return {"users": ["everyone"]}

    @routes.get("/healthz")
    async def healthy() -> dict[str, str]:
        return {"status": "ok"}

    routes.add_middleware(AccessMiddleware)
    return routes


def asking(scene: Callable[[httpx.AsyncClient], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        transport = httpx.ASGITransport(api(), client=("127.0.0.1", 5555))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            await scene(client)

    asyncio.run(run())


def statuses(headers: dict[str, str]) -> tuple[int, int]:
    """Of a GET and of a POST."""
    found = []

    async def scene(client: httpx.AsyncClient) -> None:
        found.append((await client.get("/v1/users", headers=headers)).status_code)
        sent = {"content-type": "application/json", **headers}
        found.append((await client.post("/v1/interactions", content=BODY, headers=sent)).status_code)

    asking(scene)
    return found[0], found[1]


@pytest.mark.parametrize("headers", FOREIGN)
def test_without_keys_no_page_of_another_origin_and_no_other_name_of_this_machine_is_answered(headers):
    assert statuses(headers) == (403, 403)


@pytest.mark.parametrize("headers", OWN)
def test_without_keys_this_machine_and_the_page_of_the_service_are_answered(headers):
    assert statuses(headers) == (200, 200)


def test_a_link_from_elsewhere_can_be_followed_since_that_page_does_not_see_the_answer():
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}

    assert statuses(link) == (200, 403)


def test_a_probe_may_ask_for_health_by_any_name():
    async def scene(client: httpx.AsyncClient) -> None:
        assert (await client.get("/healthz", headers={"host": "10.0.0.7:8000"})).status_code == 200

    asking(scene)


def test_with_keys_the_key_is_the_proof_wherever_the_request_comes_from(monkeypatch):
    monkeypatch.setenv("RECOMMENDER_API_KEYS", "write:k")

    assert statuses({"host": "shop.example", "authorization": "Bearer k"}) == (200, 200)
    assert statuses({"host": "shop.example", "origin": "https://shop.example", "authorization": "Bearer k"}) == (
        200,
        200,
    )
    assert statuses(FOREIGN[0]) == (401, 401)


@pytest.mark.parametrize("sent", [{}, {"content-type": ""}, {"content-type": "text/plain"}])
def test_a_body_that_does_not_say_that_it_is_json_is_refused(sent):
    async def scene(client: httpx.AsyncClient) -> None:
        answer = await client.post("/v1/interactions", content=BODY, headers=sent)

        assert answer.status_code == 415
        assert "content-type: application/json" in answer.json()["detail"]

    asking(scene)


def test_a_made_up_key_does_not_pass_the_rate_of_its_address(monkeypatch):
    monkeypatch.setenv("RECOMMENDER_RATE_LIMIT", "1")

    async def scene(client: httpx.AsyncClient) -> None:
        headers = [{"authorization": f"Bearer {number}"} for number in range(50)]
        answers = [(await client.get("/v1/users", headers=each)).status_code for each in headers]

        assert answers[0] == 200
        assert answers.count(429) > 45

    asking(scene)


def test_buckets_are_bounded(monkeypatch):
    monkeypatch.setattr(rate_limit, "MOST_BUCKETS", 100)
    limited = RateLimiter(1)
    for number in range(1_000):
        limited.take(str(number).encode())

    assert len(limited._buckets) == 100


def test_head_is_answered_as_get_without_the_body():
    async def scene(client: httpx.AsyncClient) -> None:
        for path in ("/v1/users", "/healthz"):
            got, head = await client.get(path), await client.head(path)

            assert head.status_code == 200
            assert head.headers == got.headers
            assert head.content == b""

    asking(scene)


def test_a_path_says_what_it_can_be_asked():
    async def scene(client: httpx.AsyncClient) -> None:
        options = await client.options("/v1/users")
        wrong = await client.put("/v1/users")

        assert (options.status_code, options.content) == (204, b"")
        assert wrong.status_code == 405
        assert options.headers["allow"] == wrong.headers["allow"] == "GET, OPTIONS, HEAD"
        assert (await client.options("/v1/interactions")).headers["allow"] == "POST, OPTIONS"
        assert (await client.options("/nothing")).status_code == 404

    asking(scene)
