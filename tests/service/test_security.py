"""Keys and scopes."""

import pytest

from deployments.problems import Problem
from deployments.security import Keys, check, is_loopback, needed_scope

KEYS = Keys("read:r1,write:w1,admin:a1,read:r2")


def status_of(keys: Keys, method: str, path: str, authorization: str | None, client: str = "10.0.0.1") -> int:
    try:
        check(keys, method, path, authorization, client)
    except Problem as problem:
        return problem.status
    return 200


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/users/1/recommendations", "rwa"),
        ("POST", "/v1/recommendations", "rwa"),
        ("POST", "/v1/rank", "rwa"),
        ("GET", "/openapi.json", "rwa"),
        ("POST", "/v1/interactions", "wa"),
        ("PUT", "/v1/items/1", "wa"),
        ("DELETE", "/v1/users/1", "wa"),
        ("POST", "/v1/models", "a"),
        ("PUT", "/v1/models/active", "a"),
    ],
)
def test_each_route_needs_its_scope_and_wider_ones_do(method, path, allowed):
    statuses = {scope: status_of(KEYS, method, path, f"Bearer {scope}1") for scope in "rwa"}

    assert statuses == {scope: 200 if scope in allowed else 403 for scope in "rwa"}


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer nope", "Basic r1", "Bearer r1x", "r1"])
def test_without_a_valid_key_the_answer_is_401(authorization):
    assert status_of(KEYS, "GET", "/v1/popular", authorization) == 401


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/"])
def test_health_and_the_console_need_no_key(path):
    assert needed_scope("GET", path) is None
    assert status_of(KEYS, "GET", path, None) == 200


def test_several_keys_of_one_scope_are_good():
    assert status_of(KEYS, "GET", "/v1/popular", "Bearer r2") == 200


def test_without_keys_only_this_machine_is_answered():
    assert status_of(Keys(""), "POST", "/v1/models", None, "127.0.0.1") == 200
    assert status_of(Keys(""), "GET", "/v1/popular", None, "10.0.0.1") == 403


@pytest.mark.parametrize("listed", ["secret", "root:secret", "read:", "read:a,:b"])
def test_a_malformed_list_of_keys_is_refused_without_repeating_it(listed):
    with pytest.raises(ValueError, match="RECOMMENDER_API_KEYS") as refused:
        Keys(listed)

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), (None, True), ("10.0.0.1", False), ("elsewhere", False)],
)
def test_loopback_addresses_are_recognised(host, expected):
    assert is_loopback(host) is expected
