"""Trainer and store are killed again and again while events come in; each is learned exactly once."""

import collections
import os
import random
import signal
import threading
import time

import httpx
import pytest

from tests.support.learned import learned_by
from tests.support.running_service import RunningService, children_of, words

# `make reliability` kills at full length
TRAINER_KILLS, STORE_KILLS, N_EVENTS = (20, 10, 5_000) if "RECOMMENDER_RELIABILITY" in os.environ else (8, 4, 2_000)
AT_ONCE = 10
OFTEN = {"incremental_every_s": 0.2, "full_every_s": 20, "min_interactions": 1, "keep_versions": 3}


@pytest.fixture
def running(tmp_path):
    world = "synthetic?n_users=100&n_items=60"
    with RunningService(tmp_path, dataset=world, training=OFTEN).serving() as service:
        yield service


class Sender(threading.Thread):
    """Sends every event until it is acknowledged, as a client with event ids may."""

    def __init__(self, service: RunningService) -> None:
        super().__init__()
        self.acknowledged: collections.Counter[tuple[str, str]] = collections.Counter()
        self.repeated = 0
        self.finish = threading.Event()
        self._service = service

    def run(self) -> None:
        chance = random.Random(1)
        with self._service.client() as client:
            for number in range(N_EVENTS // AT_ONCE):
                events = [
                    {
                        "user_id": f"s{chance.randrange(200)}",
                        "item_id": f"i{chance.randrange(60)}",
                        "event_id": f"event-{number}-{place}",
                    }
                    for place in range(AT_ONCE)
                ]
                self._send(client, events)
                self.acknowledged.update((event["user_id"], event["item_id"]) for event in events)
                if not self.finish.is_set():
                    time.sleep(0.12)

    def _send(self, client: httpx.Client, events: list[dict]) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                if client.post("/v1/interactions", json={"interactions": events}).status_code == 202:
                    return
            except httpx.TransportError:
                pass
            self.repeated += 1
            assert time.monotonic() < deadline
            time.sleep(0.1)


def processes_with(service: RunningService, title: bytes) -> list[int]:
    return [pid for pid in children_of(service.process.pid) if title in words(pid)]


def killed(service: RunningService, title: bytes, within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while not (found := processes_with(service, title)):
        assert time.monotonic() < deadline, title
        time.sleep(0.05)
    for pid in found:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.reliability
def test_every_acknowledged_event_is_learned_once_whoever_is_killed(running):
    chance = random.Random(2)
    sender = Sender(running)
    sender.start()
    for turn in range(TRAINER_KILLS):
        killed(running, b"ServeReplica:recommender:Trainer")
        if turn % (TRAINER_KILLS // STORE_KILLS) == 0:
            time.sleep(chance.uniform(0, 0.5))
            killed(running, b"valkey-server")
        # the trainer is back after two or three seconds; then it applies, saves or publishes
        time.sleep(chance.uniform(2.0, 4.0))
    sender.finish.set()
    sender.join()
    learned = learned_by(running)
    lost, doubled = sender.acknowledged - learned, learned - sender.acknowledged
    print(f"{TRAINER_KILLS} kills of the trainer, {STORE_KILLS} of the store, {sender.repeated} batches repeated;")
    print(f"{sender.acknowledged.total()} events acknowledged, {learned.total()} learned, ", end="")
    print(f"{lost.total()} lost, {doubled.total()} doubled, over {len(learned)} pairs of user and item")

    assert sender.acknowledged.total() == N_EVENTS
    assert (lost, doubled) == (collections.Counter(), collections.Counter())
