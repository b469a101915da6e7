"""Every process is killed while simulated users click; each click is attributed once, to the exposure it belongs to."""

import os
import signal
import threading
import time
from collections import Counter

import pytest

from lightfm_serve import Client, Retries, ServeError
from lightfm_serve.cli.simulate import simulator_of
from recommender.exposures.exposure import Exposure, ShownItem
from recommender.stores.protocols import Interaction, LogEntry
from tests.support.exposures import slow_attribution
from tests.support.running_service import RunningService, children_of, words
from tests.support.waiting import wait_for

WORLD = "synthetic?n_users=60&n_items=80"
VICTIMS = (b"valkey-server", b"ServeReplica:recommender:Trainer", b"ServeReplica:recommender:Ingress", b"Predictor")
PATIENT = Retries(attempts=10_000, patience_s=120)


@pytest.fixture
def running(tmp_path):
    with RunningService(tmp_path, dataset=WORLD).serving() as service:
        yield service


class Crowd(threading.Thread):
    """Simulated users who visit until they are told to stop; when they did, what they have clicked and when."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.finish = threading.Event()
        self.clicks: list = []
        self.visits: list[float] = []
        self.book = None
        self._url = url

    def run(self) -> None:
        with Client(self._url, retries=PATIENT) as client:
            simulator = simulator_of(client, 20, seed=3)
            send, self.book = simulator._send, simulator.book
            simulator._send = lambda clicks: (send(clicks), self.clicks.extend((each, time.time()) for each in clicks))
            while not self.finish.is_set():
                simulator.visit(f"sim-3-{self.book.visits % 20}")
                self.visits.append(time.time())


def kill(service: RunningService, title: bytes) -> None:
    found = [pid for pid in children_of(service.process.pid) if title in words(pid)]
    assert found, title
    os.kill(min(found), signal.SIGKILL)


def listed(client: Client) -> list:
    found, cursor = [], None
    while True:
        page = client.list_exposures(cursor=cursor, limit=1000)
        found += page.exposures
        cursor = page.next_cursor
        if cursor is None:
            return found


def settled(client: Client, clicks: list, within_s: float) -> list:
    """Exposures, once they say what a look through everything says."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            found = listed(client)
        except ServeError as error:  # what was killed may still be on its way back
            told, same = str(error), False
        else:
            one, other = attributed(found), expected(found, clicks)
            told, same = f"{one - other} and {other - one}", one == other
        if same:
            return found
        assert time.monotonic() < deadline, told
        time.sleep(1.0)


def expected(exposures: list, clicks: list) -> Counter:
    """What a look through everything says, of the exposures that the service has."""
    shown = [
        Exposure(
            each.recommendation_id, each.user_id, each.at, tuple(ShownItem(i.item_id, i.position) for i in each.items)
        )
        for each in reversed(exposures)
    ]
    log = [
        LogEntry(offset, Interaction(click.user_id, click.item_id, 1.0, at, "click", None, click.recommendation_id))
        for offset, (click, at) in enumerate(clicks, 1)
    ]
    return Counter(slow_attribution(shown, log).values())


def attributed(exposures: list) -> Counter:
    return Counter(
        {
            (each.recommendation_id, item.position): item.interactions["click"]
            for each in exposures
            for item in each.items
            if item.interactions
        }
    )


def test_whatever_is_killed_each_click_is_attributed_once(running):
    crowd, killed_at = Crowd(running.url), {}
    crowd.start()
    try:
        for victim in VICTIMS:
            before = len(crowd.clicks)
            wait_for(lambda before=before: len(crowd.clicks) > before + 10, 60)
            kill(running, victim)
            killed_at[victim] = time.time()
        before = len(crowd.clicks)
        wait_for(lambda: len(crowd.clicks) > before + 10, 120)
    finally:
        crowd.finish.set()
        crowd.join(180)
    with Client(running.url, retries=PATIENT) as client:
        exposures = settled(client, crowd.clicks, 180)

    lost = crowd.book.shown.keys() - {each.recommendation_id for each in exposures}
    assert len(crowd.clicks) > 50
    # an ingress that is killed takes what it has not written for a quarter of a second, and a moment's work of its loop
    waiting = sum(0 <= killed_at[b"ServeReplica:recommender:Ingress"] - visited <= 0.5 for visited in crowd.visits)
    assert len(lost) <= 3 + waiting
    assert max(Counter(each.recommendation_id for each in exposures).values()) == 1
