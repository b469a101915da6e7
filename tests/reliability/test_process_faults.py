"""Every process of the service is killed under load; what is left goes on, and what died comes back."""

import os
import signal
import time

import pytest

from tests.support.rows import FACTOR, Row, failed, seconds_until
from tests.support.running_service import children_of, words
from tests.support.steady_load import SteadyLoad
from tests.support.waiting import wait_for

pytestmark = pytest.mark.reliability

# title, seconds for one to be back
PARTS = {
    "predictor": (b"ServeReplica:recommender:Predictor", 15),
    "fetcher": (b"ServeReplica:recommender:FeatureFetcher", 15),
    "ingress": (b"ServeReplica:recommender:Ingress", 15),
    "trainer": (b"ServeReplica:recommender:Trainer", 10),
    "model store": (b"ray::ModelStore", 10),
    "controller": (b"ray::ServeController", 15),
    "proxy": (b"ray::HAProxyManager", 10),
}


def processes(house, title: bytes) -> set[int]:
    return {pid for pid in children_of(house.service.process.pid) if title in words(pid)}


def reading(number: int) -> str:
    return f"/v1/users/u{number % 200}/recommendations"


@pytest.mark.parametrize("part", PARTS)
def test_a_killed_process_costs_nothing_and_is_back(house, part):
    for _ in range(FACTOR):
        kill_one(house, part)


def kill_one(house, part: str) -> None:
    title, within_s = PARTS[part]
    wait_for(house.service_is_ready, 30)
    before = processes(house, title)
    victim = min(before)
    with SteadyLoad(house.service.port, reading, per_s=60) as load:
        time.sleep(1)
        began = time.time()
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: len(processes(house, title) - {victim}) >= len(before), 60)
        back_s = time.time() - began
        wait_for(house.service_is_ready, 30)
        time.sleep(2)
    bad = failed(load.answers)
    stalled_s = seconds_until(load.answers, began, lambda each: each.status == 200 and each.ms < 1000)
    note = f"last failed or slow answer after {stalled_s:.1f} s; {load.repeated} sent again"
    Row(f"{part} dies", "SIGKILL", len(load.answers), len(bad), None, back_s, note).write()

    assert bad == [], [(each.status, each.body, round(each.ms)) for each in bad]
    assert stalled_s <= 10
    assert back_s <= within_s
