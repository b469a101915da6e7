"""The files of the console, without a service: who gets them, and with which headers."""

import asyncio

import httpx
import pytest

from deployments.http.security import needed_scope
from deployments.ingress import build_application


@pytest.fixture
def api(monkeypatch):
    monkeypatch.setenv("RECOMMENDER_API_KEYS", "read:r")
    transport = httpx.ASGITransport(build_application())

    async def ask(path: str, **headers: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://console") as client:
            return await client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return lambda path, **headers: asyncio.run(ask(path, **headers))


def test_the_page_and_all_that_it_names_come_without_a_key(api):
    page = api("/")
    named = [part.partition('"')[0] for part in page.text.split('="') if part.startswith("console/")]

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert {"console/main.js", "console/console.css", "console/theme.js"} <= set(named)
    for name in named:
        assert api(f"/{name}").status_code == 200, name


def test_nothing_comes_from_elsewhere_and_nothing_is_inline(api):
    page = api("/")
    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))

    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "http" not in page.text
    assert "style=" not in page.text
    assert page.headers["x-content-type-options"] == "nosniff"


def test_a_file_that_has_not_changed_is_not_sent_again(api):
    first = api("/console/main.js")
    again = api("/console/main.js", if_none_match=first.headers["etag"])

    assert first.headers["content-type"] == "text/javascript; charset=utf-8"
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["nothing.js", "..%2f__init__.py", "%2e%2e%2fapp.py", "py.typed"])
def test_only_files_of_the_console_are_there(api, name):
    answer = api(f"/console/{name}")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_only_reading_the_files_needs_no_key():
    assert needed_scope("GET", "/console/main.js") is None
    assert needed_scope("POST", "/console/main.js") == "write"
    assert needed_scope("GET", "/consoles") == "read"
    assert needed_scope("GET", "/v1/metrics") == "read"
