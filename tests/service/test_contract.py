"""The contract and OpenAPI, side by side, over the real service: every route answers as written."""

import json
import re
import time
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from jsonschema import Draft202012Validator

from tests.support.running_service import RunningService

DOCUMENT = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text())
OPERATIONS = {
    (method.upper(), path): operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}

USER, ITEM = "contract user/1", "contract item/1"
"""With what has to be encoded in a path."""
FEATURES = {"age": 24, "gender": "M"}
SCI_FI = {"genres": ["Sci-Fi"], "release_year": 1996}

WRITTEN = {
    "GET /v1/users/{user_id}/recommendations": "user_id strategy case items model_version recommendation_id"
    " ignored_features degraded items.item_id items.score items.case items.title",
    "POST /v1/recommendations": "results results.user_id results.strategy results.case results.items"
    " results.model_version results.recommendation_id results.ignored_features results.degraded",
    "POST /v1/rank": "items items.item_id items.score items.case unscored unscored.item_id unscored.case"
    " unscored.reason",
    "GET /v1/items/{item_id}/similar": "item_id items items.item_id items.score",
    "GET /v1/users/{user_id}/similar": "user_id users users.user_id users.score",
    "GET /v1/popular": "items items.item_id items.score",
    "POST /v1/interactions": "accepted duplicates",
    "PUT /v1/users/{user_id}": "user_id features updated_at",
    "GET /v1/users/{user_id}": "user_id features updated_at",
    "DELETE /v1/users/{user_id}": "",
    "PUT /v1/items/{item_id}": "item_id title features available updated_at",
    "GET /v1/items/{item_id}": "item_id title features available updated_at",
    "DELETE /v1/items/{item_id}": "",
    "GET /v1/users": "users next_cursor users.user_id users.updated_at",
    "GET /v1/items": "items next_cursor items.item_id items.available items.updated_at",
    "POST /v1/users": "",
    "POST /v1/items": "",
    "GET /v1/users/{user_id}/interactions": "interactions interactions.item_id interactions.weight"
    " interactions.timestamp",
    "GET /v1/models": "models.version models.created_at models.trained_on models.trained_on.interactions"
    " models.trained_on.users models.trained_on.items models.metrics models.metrics.ndcg@10"
    " models.metrics.precision@10 models.metrics.recall@10 models.metrics.auc models.status",
    "POST /v1/models": "",
    "GET /v1/models/active": "version",
    "PUT /v1/models/active": "version",
    "GET /v1/status": "replicas replicas.model_version interactions_waiting seconds_since_newest_learned"
    " last_training last_training.outcome health",
    "GET /healthz": "",
    "GET /readyz": "",
}
"""What the contract says of each route's answer, name by name; those of a list are those of its members."""


class Example(NamedTuple):
    """A request and what comes of it."""

    route: str
    status: int
    query: dict | None = None
    body: dict | None = None
    user_id: str = USER
    item_id: str = ITEM

    @property
    def operation(self) -> tuple[str, str]:
        method, path = self.route.split(" ")
        return method, path

    def __str__(self) -> str:
        return f"{self.route} {self.status} {json.dumps(self.query or self.body or {})[:60]}"


VARIANTS = [{"name": "control", "share": 0.5}, {"name": "diverse", "share": 0.5, "settings": {"diversity": 0.3}}]
RECOMMENDATIONS, BATCH, RANK = list(WRITTEN)[:3]
EXAMPLES = [
    Example("PUT /v1/users/{user_id}", 201, body={"features": FEATURES}),
    Example("PUT /v1/users/{user_id}", 200, body={"user_id": USER, "features": FEATURES}),
    Example("PUT /v1/users/{user_id}", 422, body={"user_id": "someone else"}),
    Example("GET /v1/users/{user_id}", 200),
    Example("GET /v1/users/{user_id}", 404, user_id="no such user"),
    Example("POST /v1/users", 200, body={"users": [{"user_id": USER, "features": FEATURES}]}),
    Example("GET /v1/users", 200, query={"limit": 2}),
    Example("GET /v1/users", 422, query={"cursor": "abc"}),
    Example("PUT /v1/items/{item_id}", 201, body={"title": "A title", "features": SCI_FI}),
    Example("PUT /v1/items/{item_id}", 200, body={"title": "A title", "features": SCI_FI, "available": True}),
    Example("GET /v1/items/{item_id}", 200),
    Example("GET /v1/items/{item_id}", 404, item_id="no such item"),
    Example("POST /v1/items", 200, body={"items": [{"item_id": ITEM, "title": "A title", "features": SCI_FI}]}),
    Example("GET /v1/items", 200, query={"limit": 2}),
    Example(
        "POST /v1/interactions",
        202,
        body={
            "interactions": [
                {"user_id": USER, "item_id": "50", "event_id": "contract-1"},
                {"user_id": USER, "item_id": ITEM, "weight": 2, "timestamp": "2026-01-01T00:00:00Z", "event": "view"},
            ]
        },
    ),
    Example("POST /v1/interactions", 422, body={"interactions": [{"user_id": USER, "item_id": "50", "weight": 0}]}),
    Example("GET /v1/interactions", 200, query={"limit": 2}),
    Example("GET /v1/interactions", 422, query={"cursor": "abc"}),
    Example("GET /v1/search", 200, query={"q": "star", "k": 2}),
    Example("GET /v1/search", 422, query={"k": 2}),
    Example("GET /v1/metrics", 200),
    Example("GET /v1/metrics/history", 200),
    Example("GET /v1/users/{user_id}/interactions", 200),
    Example("GET /v1/users/{user_id}/interactions", 404, user_id="no such user"),
    Example(RECOMMENDATIONS, 200),
    Example(RECOMMENDATIONS, 200, user_id="196"),
    Example(
        RECOMMENDATIONS,
        200,
        query={"k": 5, "exclude_seen": False, "filter": ["genres:Sci-Fi", "-genres:Horror"], "explain": True}
        | {"diversity": 0.3, "boost": "genres:Drama:0.5", "fallback": "none"},
    ),
    Example(RECOMMENDATIONS, 404, query={"fallback": "none"}, user_id="no such user"),
    Example(RECOMMENDATIONS, 422, query={"filter": "genres"}),
    Example(
        BATCH,
        200,
        body={
            "requests": [
                {"user_id": "196", "exclude": ["50"], "candidates": ["50", "172"], "k": 3, "explain": True},
                {"features": FEATURES, "recent": ["50"], "filter": ["genres:Drama"], "diversity": 0.5},
                {"user_id": "no such user", "fallback": "none", "exclude_seen": False},
            ]
        },
    ),
    Example(BATCH, 422, body={"requests": [{"user_id": "196"}, {"k": 0}]}),
    Example(
        RANK, 200, body={"user_id": "196", "items": ["50", {"item_id": "new-1", "features": SCI_FI}, "no such item"]}
    ),
    Example("GET /v1/items/{item_id}/similar", 200, query={"k": 3, "filter": "genres:Sci-Fi"}),
    Example("GET /v1/items/{item_id}/similar", 404, item_id="no such item"),
    Example("GET /v1/users/{user_id}/similar", 200, query={"k": 3}),
    Example("GET /v1/users/{user_id}/similar", 404, user_id="no such user"),
    Example("GET /v1/popular", 200, query={"k": 3, "filter": "genres:Sci-Fi"}),
    Example("GET /v1/popular", 200, query={"window_s": 3600}),
    Example("GET /v1/popular", 422, query={"window_s": 0}),
    Example("GET /v1/trending", 200),
    Example("GET /v1/trending", 422, query={"filter": "genres"}),
    Example("GET /v1/latest", 200, query={"k": 3}),
    Example("GET /v1/models", 200),
    Example("GET /v1/models/active", 200),
    Example("POST /v1/models", 202, body={"mode": "full"}),
    Example("POST /v1/models", 422, body={"mode": "partial"}),
    Example("PUT /v1/models/active", 200, body={"version": "latest"}),
    Example("PUT /v1/models/active", 404, body={"version": "99999999"}),
    Example("PUT /v1/placements/{name}", 201, body={"k": 3, "rules": [{"bury": "genres:Horror"}]}),
    Example("PUT /v1/placements/{name}", 200, body={"k": 4, "rules": [{"pin": "50", "position": 1}]}),
    Example(
        "PUT /v1/placements/{name}", 422, body={"rules": [{"pin": "50", "position": 1}, {"pin": "50", "position": 2}]}
    ),
    Example("GET /v1/placements/{name}", 200),
    Example("GET /v1/placements/{name}/history", 200),
    Example("GET /v1/placements", 200),
    Example("POST /v1/placements/{name}/preview", 200, body={"settings": {"k": 2}, "user_id": "196"}),
    Example(RECOMMENDATIONS, 200, query={"placement": "contract-1"}, user_id="196"),
    Example(RECOMMENDATIONS, 404, query={"placement": "no such place"}, user_id="196"),
    Example("PUT /v1/experiments/{name}", 201, body={"placement": "contract-1", "variants": VARIANTS}),
    Example("PUT /v1/experiments/{name}", 404, body={"placement": "no such place", "variants": VARIANTS}),
    Example("GET /v1/experiments/{name}", 200),
    Example("GET /v1/experiments", 200),
    Example("POST /v1/experiments/{name}/end", 200, body={}),
    Example("DELETE /v1/experiments/{name}", 204),
    Example("DELETE /v1/placements/{name}", 204),
    Example("GET /v1/placements/{name}", 404),
    Example("POST /v1/exposures", 202, body={"exposures": [{"user_id": USER, "items": ["50", "172"]}]}),
    Example("GET /v1/exposures", 200, query={"limit": 2}),
    Example("GET /v1/attribution", 200, query={"by": "version"}),
    Example("GET /v1/attribution", 422, query={"by": "weather"}),
    Example("GET /v1/audit", 200, query={"limit": 2}),
    Example("GET /metrics", 200),
    Example("GET /v1/status", 200),
    Example("GET /healthz", 200),
    Example("GET /readyz", 200),
    Example("DELETE /v1/items/{item_id}", 204),
    Example("DELETE /v1/items/{item_id}", 404, item_id="no such item"),
    Example("DELETE /v1/users/{user_id}", 204),
    Example("DELETE /v1/users/{user_id}", 404, user_id="no such user"),
    Example("POST /v1/users/{user_id}/forget", 202),
    Example("GET /v1/users/{user_id}/forget", 200),
    Example("GET /v1/users/{user_id}/forget", 404, user_id="no such user"),
]


@pytest.fixture(scope="module", autouse=True)
def idle(service: RunningService) -> None:
    """Other tests may have begun a training."""
    with service.client() as client:
        wait_until_idle(client)


def wait_until_idle(client: httpx.Client) -> None:
    deadline = time.monotonic() + 120
    while client.get("/v1/status").json()["training"] != "idle":
        assert time.monotonic() < deadline
        time.sleep(0.2)


def target(path: str, user_id: str = USER, item_id: str = ITEM) -> str:
    encoded = {name: httpx.QueryParams({"": an_id}) for name, an_id in (("user_id", user_id), ("item_id", item_id))}
    return path.format(name="contract-1", **{name: str(each)[1:].replace("+", "%20") for name, each in encoded.items()})


def check(answer: httpx.Response, operation: tuple[str, str], status: int) -> None:
    """An answer has its status, and the type and the shape that OpenAPI says."""
    assert answer.status_code == status, answer.text
    documented = OPERATIONS[operation]["responses"][str(status)]
    if "content" not in documented:
        assert answer.content == b""
        return
    schema = documented["content"][answer.headers["content-type"].partition(";")[0]]["schema"]
    if schema == {"type": "string"}:
        return
    Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(answer.json())
    if status >= 400:
        check_problem(answer, status)


def check_problem(answer: httpx.Response, status: int) -> None:
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem.keys() - {"errors"} == {"type", "title", "status", "detail"}
    assert (answer.status_code, problem["status"]) == (status, status)
    assert problem["detail"]
    assert all(each.keys() == {"loc", "msg"} for each in problem.get("errors", []))


def names_in(value: object, prefix: str = "") -> set[str]:
    """Names of an object and of what is in it, with dots; of a list those that all members have."""
    if isinstance(value, list):
        members = [names_in(each, prefix) for each in value]
        return set.intersection(*members) if members else set()
    if not isinstance(value, dict):
        return set()
    return {f"{prefix}{name}" for name in value}.union(
        *(names_in(each, f"{prefix}{name}.") for name, each in value.items())
    )


def test_openapi_and_the_examples_have_every_route_of_the_contract_and_each_other():
    documented = {" ".join(operation) for operation in OPERATIONS}

    assert WRITTEN.keys() <= documented
    assert {example.route for example in EXAMPLES if example.status < 300} == documented


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_a_route_answers_as_written(client, example):
    method, path = example.operation
    answer = client.request(
        method, target(path, example.user_id, example.item_id), params=example.query, json=example.body
    )
    if example.operation == ("POST", "/v1/models"):
        wait_until_idle(client)

    check(answer, example.operation, example.status)
    if example.status < 300 and example.route in WRITTEN and answer.content:
        assert set(WRITTEN.get(example.route, "").split()) <= names_in(answer.json())


def test_a_wrong_body_and_a_wrong_media_type_are_refused_by_every_route_that_takes_one(client):
    taking = [operation for operation, about in OPERATIONS.items() if "requestBody" in about]
    for method, path in taking:
        for content, headers, status in (
            (b"[]", {}, 422),
            (b"{", {}, 422),
            (
                b"{}" if "end" not in path and (method == "POST" or "models" in path) else b'{"no such field": 1}',
                {},
                422,
            ),
            (b"{}", {"content-type": "text/csv"}, 415),
        ):
            check(client.request(method, target(path), content=content, headers=headers), (method, path), status)

    assert len(taking) == 14


def test_a_parameter_out_of_range_is_refused_by_every_route_that_has_one(client):
    refused = 0
    for (method, path), about in OPERATIONS.items():
        for parameter in about.get("parameters", []):
            wrong = {"k": 1001, "limit": 0, "window_s": "soon", "diversity": 1.1, "explain": "perhaps"}
            if parameter["name"] in wrong:
                query = {parameter["name"]: wrong[parameter["name"]]}
                check(client.request(method, target(path), params=query), (method, path), 422)
                refused += 1

    assert refused >= 12


def test_another_method_and_another_path_are_problems_too(client):
    for path, methods in DOCUMENT["paths"].items():
        for method in {"get", "put", "post", "delete", "patch"} - methods.keys():
            check_problem(client.request(method, target(path)), 405)
    for path in ("/v1", "/v1/nothing", "/v1/users/1/nothing", "/v2/popular"):
        check_problem(client.get(path), 404)


def test_the_service_shows_the_document_that_is_in_the_repository(client):
    assert client.get("/openapi.json").json() == DOCUMENT
    assert re.search("swagger", client.get("/docs").text, re.IGNORECASE)
