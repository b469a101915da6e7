"""The OpenAPI document, without a service: it is what the routes say of themselves."""

import re
from pathlib import Path

import pytest
from openapi_spec_validator import validate

from deployments.ingress import build_api
from deployments.jobs.openapi_file import text

DOCUMENT = build_api().openapi()
OPERATIONS = {
    (method.upper(), path): operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}


def parameters(method: str, path: str) -> dict[str, dict]:
    return {each["name"]: each for each in OPERATIONS[method, path]["parameters"]}


def schema(reference: dict) -> dict:
    return DOCUMENT["components"]["schemas"][reference["$ref"].rpartition("/")[2]]


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=map(" ".join, OPERATIONS))
def test_every_operation_has_problems_and_a_description(operation):
    assert "application/problem+json" in operation["responses"]["422"]["content"]
    assert operation["description"]


def test_the_file_in_the_repository_is_the_document_and_valid():
    written = (Path(__file__).parents[2] / "docs" / "openapi.json").read_text(encoding="utf-8")

    assert written == text(), "run `make openapi`"
    validate(DOCUMENT)


def test_only_what_can_happen_is_documented():
    creating = {" ".join(operation) for operation, about in OPERATIONS.items() if "201" in about["responses"]}
    accepting = {" ".join(operation) for operation, about in OPERATIONS.items() if "202" in about["responses"]}

    assert creating == {
        "PUT /v1/users/{user_id}",
        "PUT /v1/items/{item_id}",
        "PUT /v1/placements/{name}",
        "PUT /v1/experiments/{name}",
    }
    assert accepting == {
        "POST /v1/interactions",
        "POST /v1/exposures",
        "POST /v1/models",
        "POST /v1/users/{user_id}/forget",
    }
    assert not any("200" in OPERATIONS[tuple(each.split(" "))]["responses"] for each in accepting)


def test_neighbours_are_described():
    items, users = (OPERATIONS["GET", f"/v1/{what}/similar"] for what in ("items/{item_id}", "users/{user_id}"))

    assert {"k", "filter", "item_id"} <= parameters("GET", "/v1/items/{item_id}/similar").keys()
    assert "filter" not in parameters("GET", "/v1/users/{user_id}/similar")
    for operation, answer in ((items, "items"), (users, "users")):
        assert "404" in operation["responses"]
        assert answer in schema(operation["responses"]["200"]["content"]["application/json"]["schema"])["properties"]


def test_both_ways_of_recommending_take_the_same():
    asked = parameters("GET", "/v1/users/{user_id}/recommendations")
    posted = DOCUMENT["components"]["schemas"]["RecommendationRequest"]["properties"]

    assert asked.keys() <= posted.keys()
    assert (asked["diversity"]["schema"]["minimum"], asked["diversity"]["schema"]["maximum"]) == (0, 1)
    assert (posted["diversity"]["minimum"], posted["diversity"]["maximum"]) == (0, 1)
    assert "next_cursor" in DOCUMENT["components"]["schemas"]["Recommendations"]["properties"]


def test_every_reference_leads_somewhere():
    named = set(re.findall(r"#/components/schemas/(\w+)", str(DOCUMENT)))

    assert named
    assert named <= DOCUMENT["components"]["schemas"].keys()
