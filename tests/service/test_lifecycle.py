"""Starting and ending: what is left behind, and what comes back."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import httpx
import pytest

from tests.support.running_service import RunningService, alive, children_of, words

SMALL = "synthetic?n_users=200&n_items=100"


@pytest.fixture
def small(tmp_path):
    running = RunningService(tmp_path, dataset=SMALL).start()
    yield running
    running.stop()


def wait_for_none(pids: set[int], within_s: float) -> set[int]:
    deadline = time.monotonic() + within_s
    while alive(pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    return alive(pids)


def store_of(running: RunningService) -> set[int]:
    """The store's guardian, its reader and the server."""
    return {
        pid for guardian in running.processes() for pid in (guardian, *children_of(guardian)) if _is_store(guardian)
    }


def _is_store(pid: int) -> bool:
    return words(pid).startswith(b"/bin/sh") and b"--unixsocket" in words(pid)


def interactions_of(client: httpx.Client, user_id: str) -> list[str]:
    """Items that somebody interacted with, newest first, as soon as the store tells."""
    deadline = time.monotonic() + 10
    while (answer := client.get(f"/v1/users/{user_id}/interactions")).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return [each["item_id"] for each in answer.json()["interactions"]]


def test_a_killed_store_and_a_killed_service_lose_nothing_and_leave_nothing_and_ctrl_c_ends_it_all(small):
    small.wait_until_ready()
    event = {"interactions": [{"user_id": "late", "item_id": "i1", "event_id": "e"}]}
    with small.client() as client:
        before = client.get("/v1/users/u7/recommendations").json()
        client.post("/v1/interactions", json=event)
        (server,) = [pid for pid in store_of(small) if b"unixsocket:" in words(pid)]
        os.kill(server, signal.SIGKILL)

        assert client.get("/v1/users/u7/recommendations").status_code == 200
        assert interactions_of(client, "late") == ["i1"]

    store = store_of(small)
    os.kill(small.process.pid, signal.SIGKILL)
    small.process.wait()

    assert store
    assert wait_for_none(store, 20) == set()

    # what `make serve` does first: Ray's own HAProxy outlives the kill and would keep the port
    subprocess.run([sys.executable, "-m", "deployments.ray_runtime.orphans"], check=True)
    small.start().wait_until_ready()
    with small.client() as client:
        after = client.get("/v1/users/u7/recommendations").json()
        status = client.get("/v1/status").json()
        popular = client.get("/v1/popular", params={"window_s": 600}).json()
        assert client.post("/v1/interactions", json=event).json() == {"accepted": 0, "duplicates": 1}
    assert after["items"] == before["items"]
    assert status["last_training"] is None
    assert status["interactions_waiting"] == 1
    assert [(item["item_id"], item["score"]) for item in popular["items"]] == [("i1", 1)]

    everything = children_of(small.process.pid)
    small.stop(signal.SIGINT)

    assert wait_for_none(everything, 20) == set()


def test_a_misspelt_argument_is_refused_and_named(tmp_path):
    running = RunningService(tmp_path, dataset=SMALL, redis_ulr="embedded").start()
    try:
        deadline = time.monotonic() + 60
        while "redis_ulr" not in running.log.read_text() and time.monotonic() < deadline:
            time.sleep(0.2)
        assert "redis_ulr" in running.log.read_text()
        with running.client() as client, suppress(httpx.TransportError):
            assert client.get("/v1/popular").status_code == 503
    finally:
        running.stop()


def test_keys_open_the_service_by_scope(tmp_path):
    running = RunningService(tmp_path, dataset=SMALL)
    (tmp_path / "keys").write_text("read:key-that-reads\nwrite:key-that-writes\nadmin:key-that-rules\n")
    running.start(RECOMMENDER_API_KEYS_FILE=str(tmp_path / "keys"))
    interaction = {"interactions": [{"user_id": "u1", "item_id": "i1"}]}

    def status(key: str | None, method: str, path: str, **content: object) -> int:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        with running.client() as client:
            return client.request(method, path, headers=headers, **content).status_code

    try:
        running.wait_until_ready()
        assert status(None, "GET", "/healthz") == 200
        assert status(None, "GET", "/v1/popular") == 401
        assert status("wrong", "GET", "/v1/popular") == 401
        assert status("key-that-reads", "GET", "/v1/popular") == 200
        assert status("key-that-reads", "POST", "/v1/interactions", json=interaction) == 403
        assert status("key-that-writes", "POST", "/v1/interactions", json=interaction) == 202
        assert status("key-that-writes", "POST", "/v1/models", json={"mode": "full"}) == 403
        assert status("key-that-rules", "POST", "/v1/models", json={"mode": "full"}) == 202
        assert "key-that-" not in running.log.read_text()
    finally:
        running.stop()
