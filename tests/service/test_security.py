"""Keys and scopes."""

import hashlib
import pickle

import pytest

from deployments.args import AppArgs
from deployments.http.problems import Problem, _methods
from deployments.http.rate_limit import RateLimiter
from deployments.http.security import SCOPES, Caller, Keys, check, is_loopback, key_in, needed_scope
from deployments.ingress import build_api

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
    ("listed", "key", "name"),
    [
        ("admin:ann=secret", "secret", "ann"),
        ("admin:ann.o-1=c2VjcmV0==", "c2VjcmV0==", "ann.o-1"),
        ("admin:c2VjcmV0==", "c2VjcmV0==", f"admin-{hashlib.sha256(b'c2VjcmV0==').hexdigest()[:8]}"),
        ("admin:c2VjcmV0=", "c2VjcmV0=", f"admin-{hashlib.sha256(b'c2VjcmV0=').hexdigest()[:8]}"),
    ],
)
def test_a_key_may_have_a_name_and_the_padding_of_another_is_none(listed, key, name):
    assert Keys(listed).caller_of(f"Bearer {key}") == Caller(name, "admin")


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), (None, True), ("10.0.0.1", False), ("elsewhere", False)],
)
def test_loopback_addresses_are_recognised(host, expected):
    assert is_loopback(host) is expected


NEEDED = {
    ("POST", "/v1/recommendations"): "read",
    ("POST", "/v1/rank"): "read",
    ("POST", "/v1/interactions"): "write",
    ("POST", "/v1/users"): "write",
    ("POST", "/v1/items"): "write",
    ("PUT", "/v1/users/{user_id}"): "write",
    ("PUT", "/v1/items/{item_id}"): "write",
    ("DELETE", "/v1/users/{user_id}"): "write",
    ("DELETE", "/v1/items/{item_id}"): "write",
    ("POST", "/v1/models"): "admin",
    ("PUT", "/v1/models/active"): "admin",
    ("PUT", "/v1/experiments/{name}"): "admin",
    ("DELETE", "/v1/experiments/{name}"): "admin",
    ("POST", "/v1/experiments/{name}/end"): "admin",
    ("POST", "/v1/exposures"): "write",
    ("GET", "/v1/exposures"): "admin",
    ("POST", "/v1/placements/{name}/preview"): "admin",
    ("GET", "/v1/audit"): "admin",
    ("PUT", "/v1/placements/{name}"): "admin",
    ("DELETE", "/v1/placements/{name}"): "admin",
    ("GET", "/v1/users/{user_id}/forget"): "admin",
    ("POST", "/v1/users/{user_id}/forget"): "admin",
}
"""Of every route that is not a GET for readers; one that is missing here fails the test."""
OPEN_TO_ALL = ("/healthz", "/readyz", "/")


def routes() -> list[tuple[str, str]]:
    paths = build_api().openapi()["paths"]
    return sorted((method.upper(), path) for path, methods in paths.items() for method in methods)


@pytest.mark.parametrize(("method", "path"), routes())
def test_every_route_of_the_openapi_is_closed_to_narrower_scopes(method, path):
    filled = path.replace("{user_id}", "..%2Fadmin").replace("{item_id}", "healthz")
    given = {None: None, "nobody": "Bearer x", "read": "Bearer r1", "write": "Bearer w1", "admin": "Bearer a1"}
    statuses = {scope: status_of(KEYS, method, filled, key) for scope, key in given.items()}
    needed = None if path in OPEN_TO_ALL else NEEDED.get((method, path), "read" if method == "GET" else "missing")

    if needed is None:
        assert set(statuses.values()) == {200}
    else:
        allowed = SCOPES[SCOPES.index(needed) :]
        assert statuses == {scope: 200 if scope in allowed else 403 if scope in SCOPES else 401 for scope in given}


def test_neither_a_key_nor_what_it_was_given_as_is_kept():
    keys = Keys("read:the-secret,admin:another")

    assert "secret" not in repr(keys)
    assert "secret" not in repr(vars(keys))
    assert b"the-secret" not in pickle.dumps(vars(keys))
    assert repr(keys) == "<Keys: read, admin>"


def test_keys_come_from_a_file_one_a_line(tmp_path, monkeypatch):
    (tmp_path / "keys").write_text("read:r\nadmin:a,write:w\n")
    monkeypatch.setenv("RECOMMENDER_API_KEYS_FILE", str(tmp_path / "keys"))
    keys = Keys.from_environment()

    assert [keys.scope_of(f"Bearer {key}") for key in "rwax"] == ["read", "write", "admin", None]


def test_a_file_of_keys_that_is_missing_is_refused_instead_of_opening_the_service(tmp_path, monkeypatch):
    monkeypatch.setenv("RECOMMENDER_API_KEYS_FILE", str(tmp_path / "none"))

    with pytest.raises(ValueError, match="RECOMMENDER_API_KEYS_FILE"):
        Keys.from_environment()


def test_a_key_and_a_file_of_keys_at_once_are_refused_without_repeating_them(tmp_path, monkeypatch):
    monkeypatch.setenv("RECOMMENDER_API_KEYS", "read:secret")
    monkeypatch.setenv("RECOMMENDER_API_KEYS_FILE", str(tmp_path / "keys"))

    with pytest.raises(ValueError, match="not both") as refused:
        Keys.from_environment()
    assert "secret" not in str(refused.value)


def test_the_url_of_the_store_comes_from_a_file_and_is_shown_nowhere(tmp_path, monkeypatch):
    (tmp_path / "url").write_text("rediss://user:secret@host/0\n")
    monkeypatch.setenv("RECOMMENDER_REDIS_URL_FILE", str(tmp_path / "url"))
    args = AppArgs().with_environment()

    assert args.redis_url == "rediss://user:secret@host/0"
    assert "secret" not in repr(args)
    with pytest.raises(ValueError, match="redis_url") as refused:
        AppArgs(redis_url=["redis://user:secret@host"])
    assert "secret" not in str(refused.value)


def test_a_key_may_ask_at_its_rate_and_is_told_when_to_come_back():
    now = 0.0
    rates = RateLimiter(2, clock=lambda: now)
    rates.take(b"a")
    rates.take(b"a")
    rates.take(b"b")
    with pytest.raises(Problem) as refused:
        rates.take(b"a")
    now = 0.5
    rates.take(b"a")
    with pytest.raises(Problem):
        rates.take(b"a")

    assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "1"})


@pytest.mark.parametrize("given", ["0", "-1", "nan", "inf", "many"])
def test_a_rate_that_is_none_is_refused(monkeypatch, given):
    monkeypatch.setenv("RECOMMENDER_RATE_LIMIT", given)

    with pytest.raises(ValueError, match="RECOMMENDER_RATE_LIMIT"):
        RateLimiter.from_environment()


def test_however_a_key_is_written_into_the_header_it_has_one_rate():
    assert key_in("Bearer k") == key_in("bearer   k ") != key_in("Bearer l")
    assert key_in("Basic k") is None


def test_every_path_of_the_service_names_its_methods():
    api = build_api()
    for path, methods in api.openapi()["paths"].items():
        filled = path.replace("{user_id}", "1").replace("{item_id}", "1")
        scope = {"type": "http", "method": "TRACE", "path": filled, "root_path": "", "headers": [], "query_string": b""}

        assert {method.upper() for method in methods} <= set(_methods(api, scope))
