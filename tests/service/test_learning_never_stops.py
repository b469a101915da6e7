"""From a click to the next answer, and to new weights on every replica, under constant load."""

import itertools
import random
import threading
import time

import httpx
import pytest

from tests.support.running_service import FAST_MODEL, N_INGRESSES_ANSWERING, RunningService
from tests.support.steady_load import SteadyLoad

N_USERS, N_ITEMS, N_GROUPS = 400, 200, 4
WORLD = f"synthetic?n_users={N_USERS}&n_items={N_ITEMS}&n_groups={N_GROUPS}"
BY_HAND = {"incremental_every_s": None, "full_every_s": None, "keep_versions": 10}
FORGETFUL = {"margin": 0.0, "incremental_epochs": 200, "replay": 0.0}
ANSWERING = N_INGRESSES_ANSWERING + 2
"""Those that have the model: two predictors, and the ingresses that answer what is small."""
# an item-item matrix is not led astray by what spoils LightFM's vectors, and a candidate has to be spoiled here
VECTORS_ALONE = {**FAST_MODEL, "item_item": False}


class Replicas:
    """Versions that each predictor said it serves, in order; looked at all the time."""

    def __init__(self, service: RunningService) -> None:
        self.versions: dict[str, list[str]] = {}
        self._service = service
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Replicas":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def steps_back(self) -> list[int]:
        """How often each replica went to an older version."""
        return [sum(new < old for old, new in itertools.pairwise(seen)) for seen in self.versions.values()]

    def _watch(self) -> None:
        with self._service.client() as client:
            while not self._stopped.wait(0.05):
                for replica in client.get("/v1/status").json()["replicas"]:
                    self.versions.setdefault(replica["replica"], []).append(replica["model_version"])


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("learning")
    service = RunningService(folder, dataset=WORLD, model=VECTORS_ALONE, training=BY_HAND | FORGETFUL)
    with service.serving():
        yield service


def group_of(number: int) -> int:
    return number % N_GROUPS


def trained(client: httpx.Client, mode: str) -> dict:
    """How a training by hand ended."""
    assert client.post("/v1/models", json={"mode": mode}).status_code == 202
    deadline = time.monotonic() + 120
    while (status := client.get("/v1/status").json())["training"] != "idle":
        assert time.monotonic() < deadline, status
        time.sleep(0.1)
    return status["last_training"]


def on_every_replica(client: httpx.Client, version: str, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while {each["model_version"] for each in client.get("/v1/status").json()["replicas"]} != {version}:
        assert time.monotonic() < deadline, f"{version} is not on every replica after {within_s} s"
        time.sleep(0.02)


def click(client: httpx.Client, user: str, *items: str) -> None:
    events = [{"user_id": user, "item_id": item} for item in items]
    answer = client.post("/v1/interactions", json={"interactions": events})
    assert (answer.status_code, answer.json()["accepted"]) == (202, len(items))


def recommended(client: httpx.Client, user: str, **query: object) -> dict:
    answer = client.get(f"/v1/users/{user}/recommendations", params={"k": 10, **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(answer: dict) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


def clicks_of_a_new_user_show_in_the_next_answer(client):
    before = recommended(client, "visitor")
    assert before["strategy"] == "popular"
    clicked = []
    for item in ("i2", "i6", "i10"):
        click(client, "visitor", item)
        clicked.append(item)
        after = recommended(client, "visitor")
        assert after["strategy"] == "recent"
        assert not set(clicked) & set(ids(after))
        assert ids(after) != ids(before)
    assert sum(group_of(int(item[1:])) == 2 for item in ids(after)) >= 6


def a_new_item_is_recommended_within_a_second_and_gone_at_once(client):
    features = {"features": {"group": "g2"}, "title": "Brand new"}
    assert client.put("/v1/items/fresh", json=features).status_code == 201
    begin = time.monotonic()
    query = {"requests": [{"recent": ["i2", "i6"], "candidates": ["fresh"], "k": 1}]}
    in_a_row = 0
    while in_a_row < 20:  # so many that both replicas are among them
        [answer] = client.post("/v1/recommendations", json=query).json()["results"]
        in_a_row = in_a_row + 1 if ids(answer) == ["fresh"] else 0
        assert time.monotonic() - begin < 1 or in_a_row
    assert answer["items"][0]["case"] == "VIII"
    for change in (
        lambda: client.put("/v1/items/fresh", json={**features, "available": False}),
        lambda: client.delete("/v1/items/fresh"),
    ):
        client.put("/v1/items/fresh", json=features)
        assert change().status_code in {200, 204}
        for _ in range(10):
            [answer] = client.post("/v1/recommendations", json=query).json()["results"]
            assert ids(answer) == []


def a_changed_feature_of_a_user_acts_on_the_next_request(client):
    lists = []
    for group in ("g0", "g3"):
        client.put("/v1/users/changing", json={"features": {"group": group}})
        answer = recommended(client, "changing")
        assert answer["case"] == "II"
        lists.append(ids(answer))
    assert lists[0] != lists[1]


def an_increment_serves_everywhere_and_knows_the_new_user(client):
    click(client, "visitor", *(f"i{number}" for number in range(14, 60, 4)))
    outcome = trained(client, "incremental")
    assert (outcome["mode"], outcome["outcome"]) == ("incremental", "published"), outcome
    on_every_replica(client, outcome["version"], within_s=1)
    assert client.get("/v1/status").json()["interactions_waiting"] == 0
    assert recommended(client, "visitor")["strategy"] == "personalized"
    return outcome["version"]


def a_worse_candidate_is_rejected(client, serving):
    # robots that click anything, learned so often that little else is left; then people as they are, who judge
    chance = random.Random(0)
    everything = [f"i{number}" for number in range(N_ITEMS)]
    robots = [(f"robot-{number}", item) for number in range(150) for item in chance.sample(everything, 60)]
    fitting = [(user, item) for user in range(N_USERS) for item in range(N_ITEMS) if group_of(user) == group_of(item)]
    people = [(f"u{user}", f"i{item}") for user, item in chance.sample(fitting, 1_050)]
    for pairs in (robots, people):
        events = [{"user_id": user, "item_id": item} for user, item in pairs]
        assert client.post("/v1/interactions", json={"interactions": events}).status_code == 202
    outcome = trained(client, "incremental")
    assert outcome["outcome"] == "rejected", outcome
    assert "ndcg@10 fell" in outcome["reason"]
    assert client.get("/v1/models/active").json()["version"] == serving
    listed = client.get("/v1/models").json()["models"]
    assert next(model for model in listed if model["version"] == outcome["version"])["status"] == "rejected"
    refused = client.put("/v1/models/active", json={"version": outcome["version"]})
    assert refused.status_code in {409, 422}


def test_three_clocks_run_at_once_and_no_request_fails(running):
    load = SteadyLoad(running.port, lambda turn: f"/v1/users/u{turn % N_USERS}/recommendations?k=5")
    with running.client() as client, Replicas(running) as replicas, load:
        clicks_of_a_new_user_show_in_the_next_answer(client)
        a_new_item_is_recommended_within_a_second_and_gone_at_once(client)
        a_changed_feature_of_a_user_acts_on_the_next_request(client)
        first = client.get("/v1/models/active").json()["version"]
        second = an_increment_serves_everywhere_and_knows_the_new_user(client)
        full = trained(client, "full")
        assert full["outcome"] == "published", full
        on_every_replica(client, full["version"], within_s=1)
        a_worse_candidate_is_rejected(client, full["version"])

        assert client.put("/v1/models/active", json={"version": first}).status_code == 200
        on_every_replica(client, first, within_s=1)
        newer = trained(client, "full")
        assert client.get("/v1/models/active").json()["version"] == first
        assert client.put("/v1/models/active", json={"version": "latest"}).status_code == 200
        on_every_replica(client, newer["version"] if newer["outcome"] == "published" else full["version"], within_s=1)
        while len(load.answers) < 2_000:
            time.sleep(0.1)

    assert load.failed() == []
    assert load.per_s >= 50
    assert first < second < full["version"]
    assert replicas.steps_back() == [1] * ANSWERING  # the rollback
    latencies = sorted(answer.ms for answer in load.answers)
    print(
        f"{len(latencies)} answers at {load.per_s:.0f} a second, all 200; p50 {latencies[len(latencies) // 2]:.1f} ms,"
    )
    print(f"p99 {latencies[len(latencies) * 99 // 100]:.1f} ms, longest {latencies[-1]:.1f} ms")
