"""What a request leaves behind: nothing that only Python's garbage collector could free."""

import asyncio
import gc

import msgspec
import pytest

from deployments.ingress import build_application
from recommender.serving.catalogue import Catalogue
from recommender.serving.recommender import Recommender
from tests.support.known_worlds import shared_snapshot
from tests.support.service_in_process import ServiceInProcess

N_REQUESTS = 50


@pytest.fixture
def application(monkeypatch):
    """The application over a service that knows the small world, asked without a client: clients leave cycles."""
    service = ServiceInProcess(monkeypatch, Recommender(Catalogue(shared_snapshot())))
    service.run((0, "GET", "/v1/popular"))
    return build_application()


async def ask(application, method: str, path: str, body: object) -> int:
    statuses = []

    async def receive():
        return {"type": "http.request", "body": b"" if body is None else msgspec.json.encode(body), "more_body": False}

    async def send(message):
        statuses.append(message.get("status"))

    headers = [(b"authorization", b"Bearer a"), (b"content-type", b"application/json")]
    scope = {"type": "http", "http_version": "1.1", "method": method, "path": path, "raw_path": path.encode()}
    await application({**scope, "query_string": b"", "headers": headers, "client": ("127.0.0.1", 1)}, receive, send)
    return statuses[0]


async def garbage_of(application, *request: object) -> int:
    """Objects in cycles that some requests have left, after others have filled what is kept between requests."""
    for _ in range(N_REQUESTS):
        assert await ask(application, *request) < 300
    gc.collect()
    gc.disable()
    try:
        for _ in range(N_REQUESTS):
            await ask(application, *request)
        return gc.collect()
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "request_",
    [
        ("GET", "/v1/users/u3/recommendations", None),
        ("GET", "/v1/items/i1/similar", None),
        ("GET", "/v1/popular", None),
        ("POST", "/v1/recommendations", {"requests": [{"user_id": "u3"}]}),
        ("POST", "/v1/rank", {"user_id": "u3", "items": ["i1", "i4"]}),
        ("POST", "/v1/interactions", {"interactions": [{"user_id": "u3", "item_id": "i1"}]}),
    ],
    ids=lambda request: request[1],
)
def test_a_request_leaves_no_cycles_of_objects(application, request_):
    assert asyncio.run(garbage_of(application, *request_)) < N_REQUESTS
