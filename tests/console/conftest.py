"""One real service with keys, and a real browser, for all tests of the console."""

import os
import shutil
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.running_service import RunningService

KEYS = {"read": "read-key", "write": "write-key", "admin": "admin-key"}
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    keys = ",".join(":".join(each) for each in KEYS.items())
    with RunningService(tmp_path_factory.mktemp("console")).serving(RECOMMENDER_API_KEYS=keys) as running:
        yield running


@pytest.fixture
def client(service: RunningService) -> Iterator[httpx.Client]:
    with service.client() as client:
        client.headers["authorization"] = f"Bearer {KEYS['admin']}"
        yield client


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Debian's chromium. Not longer than a module: Playwright keeps an event loop in this thread while it runs.

    It has what processor time the service leaves: a store that is not read within 50 ms makes an answer degraded, and
    starting a browser takes both cores for longer than that.
    """
    found = shutil.which("chromium")
    if found is None:
        missing = "there is no chromium on this machine: `make browser` installs Debian's"
        (pytest.fail if os.environ.get("RECOMMENDER_BROWSER") == "required" else pytest.skip)(missing)
    patient = tmp_path_factory.mktemp("browser") / "chromium"
    patient.write_text(f'#!/bin/sh\nexec nice -n 10 "{found}" "$@"\n')
    patient.chmod(0o700)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=patient, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(service: RunningService, browser: Browser) -> Iterator[object]:
    """Opens a view in a tab of its own, with a key; whatever the browser complained of fails the test."""
    contexts, complaints = [], []

    def opened(view: str, key: str | None = KEYS["admin"], **options: object) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        contexts.append(context)
        context.set_default_timeout(10_000)
        if key is not None:
            context.add_init_script(f"sessionStorage.setItem('api-key', '{key}')")
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.on("console", lambda line: line.type in ("error", "warning") and complaints.append(line.text))
        page.goto(f"{service.url}/#/{view}")
        return page

    yield opened
    for context in contexts:
        context.close()
    # a browser writes of each answer that is an error; those are what the page puts into words
    assert [each for each in complaints if not each.startswith("Failed to load resource")] == []
