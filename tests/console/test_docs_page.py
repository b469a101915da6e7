"""The page of the API's description, in a real browser, without a graph behind it."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
import uvicorn

import deployments.http.access_middleware
from deployments.ingress import build_application


@pytest.fixture(params=["", "read:the-key"], ids=["without keys", "with keys"])
def url(request, monkeypatch) -> Iterator[str]:
    monkeypatch.setattr(deployments.http.access_middleware, "is_open_to_others", lambda: False)
    monkeypatch.setenv("RECOMMENDER_API_KEYS", request.param)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(build_application(), log_level="error"))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def test_the_page_is_drawn_of_what_this_service_sends_alone(url, browser):
    asked, complaints = [], []
    context = browser.new_context()
    context.add_init_script("sessionStorage.setItem('api-key', 'the-key')")
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: line.type == "error" and complaints.append(line.text))
    page.goto(f"{url}/docs")
    page.get_by_text("/v1/users/{user_id}/recommendations", exact=True).first.click()
    page.get_by_text("Try it out").first.wait_for()
    time.sleep(0.5)  # whatever it would still ask for
    context.close()

    assert {each.partition("/docs")[0].partition("/openapi")[0].partition("/console")[0] for each in asked} <= {url} | {
        each for each in asked if each.startswith("data:")
    }
    assert complaints == []


def test_its_files_need_no_key_and_are_not_sent_twice(url):
    with httpx.Client(base_url=url) as client:
        page = client.get("/docs")
        named = [part.partition('"')[0] for part in page.text.split('="') if part.startswith("docs/")]

        assert len(named) == 3
        assert "http" not in page.text
        assert "script-src 'self';" in page.headers["content-security-policy"]
        for name in named:
            first = client.get(name)
            assert first.status_code == 200
            assert client.get(name, headers={"if-none-match": first.headers["etag"]}).status_code == 304
        assert client.get("/docs/nothing.js").status_code == 404
