"""Restart: the service is killed as a whole and started while the store is down."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.support.rows import Row
from tests.support.store_servers import start_redis
from tests.support.waiting import settle

pytestmark = [pytest.mark.reliability, pytest.mark.ends_service]


def test_a_killed_service_starts_from_disk_while_the_store_is_down(house):
    service = house.service
    with service.client() as client:
        settle(client)
        before = client.get("/v1/users/u7/recommendations").json()
    os.kill(service.process.pid, signal.SIGKILL)
    service.process.wait()
    house.store.process.kill()
    house.store.process.wait()
    subprocess.run([sys.executable, "-m", "deployments.ray_runtime.orphans"], check=True)
    ready_s = service.start().wait_until_ready()
    with service.client() as client:
        after = client.get("/v1/users/u7/recommendations").json()
        refused = client.post("/v1/interactions", json={"interactions": [{"user_id": "u", "item_id": "i1"}]})
        health = client.get("/v1/status").json()["health"]
        house.store.process = start_redis(house.store.folder, house.store.port).process
        begin = time.monotonic()
        while client.get("/v1/users/u7/recommendations").json()["degraded"]:
            assert time.monotonic() < begin + 10
            time.sleep(0.05)
        recovery_s = time.monotonic() - begin
    note = f"ready {ready_s:.0f} s after the start, from disk"
    Row("whole service dies, store is down", "SIGKILL", 3, 0, None, recovery_s, note).write()

    assert before["degraded"] == []
    assert (after["model_version"], after["degraded"]) == (before["model_version"], ["features"])
    assert after["items"]
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert health["store"].startswith("down")
    assert recovery_s <= 5
