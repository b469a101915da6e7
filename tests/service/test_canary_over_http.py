"""A canary on the running service, under load: a spoiled one is rolled back by itself, a good one promoted."""

from dataclasses import replace
from pathlib import Path

import httpx
import msgspec
import numpy as np

from recommender.ids import IdTable
from recommender.serving.snapshot import Snapshot
from recommender.storage.registry import Artifact, Registry
from tests.support.running_service import RunningService
from tests.support.waiting import wait_for

USERS = [str(number) for number in range(1, 41)]


def try_version(registry: Registry, *, spoiled: bool) -> str:
    """Publish the active version again, with its items mixed up where it is to be spoiled, and have it tried."""
    active = registry.current().version
    artifact = registry.load(str(active), ("snapshot", "train_state"))
    snapshot = Snapshot.from_arrays(artifact.parts["snapshot"], artifact.meta.snapshot)
    if spoiled:
        ids = np.random.default_rng(0).permutation(list(snapshot.item_ids)).tolist()
        snapshot = replace(snapshot, item_ids=IdTable.from_ids(ids))
    parts = {**artifact.parts, "snapshot": snapshot.to_arrays()}
    meta = msgspec.structs.replace(artifact.meta, snapshot=snapshot.to_meta())
    version = registry.publish(Artifact(parts, meta), parent=active, status="ready")
    registry.hold(version)
    return version


class Shoppers:
    """Users who click where the best of an answer is among what the first model had for them."""

    def __init__(self, client: httpx.Client, users: list[str]) -> None:
        self._client, self.failed, self.asked = client, 0, 0
        self._liked = {user_id: self._best(user_id, 8) for user_id in users}

    def _best(self, user_id: str, k: int) -> set[str]:
        answer = self._client.get(f"/v1/users/{user_id}/recommendations?k={k}&exclude_seen=false")
        return {each["item_id"] for each in answer.json()["items"]}

    def go_round(self) -> None:
        clicks = []
        for user_id, liked in self._liked.items():
            answer = self._client.get(f"/v1/users/{user_id}/recommendations?k=3&exclude_seen=false")
            self.asked += 1
            self.failed += answer.status_code != 200
            first = answer.json()["items"][0]["item_id"]
            if first in liked:
                named = answer.json()["recommendation_id"]
                clicks.append({"user_id": user_id, "item_id": first, "event": "click", "recommendation_id": named})
        answer = self._client.post("/v1/interactions", json={"interactions": clicks})
        self.failed += bool(clicks) and answer.status_code != 202


def status_of(client: httpx.Client, version: str) -> dict:
    models = client.get("/v1/models").json()["models"]
    return next(each for each in models if each["version"] == version)


def test_a_spoiled_canary_is_rolled_back_by_itself_under_load_and_a_good_one_promoted(tmp_path: Path):
    training = {
        "full_every_s": None,
        "incremental_every_s": None,
        "canary": {"share": 0.5, "min_exposures": 60, "worse_by": 0.5, "at_most_s": 3600},
    }
    with RunningService(tmp_path, training=training).serving() as service, service.client() as client:
        registry = Registry(service.folder / "state" / "models")
        shoppers = Shoppers(client, USERS)
        first = registry.current().version
        outcomes = []
        for spoiled in (True, False):
            version = try_version(registry, spoiled=spoiled)
            rounds = 0
            while (told := status_of(client, version))["status"] == "canary" and (rounds := rounds + 1) < 120:
                shoppers.go_round()
            outcomes.append((version, told))
        # it is named active first, and served when all replicas have it
        wait_for(lambda: client.get("/v1/status").json()["model_version"] == outcomes[1][0], 20)
        status = client.get("/v1/status").json()

    (bad, told), (good, last) = outcomes
    assert told["status"] == "rolled_back"
    assert "worse beyond doubt: click_rate" in told["reason"]
    assert last["status"] == "active"
    assert (shoppers.failed, status["pinned"], status["model_version"]) == (0, False, good)
    assert first not in (bad, good)
    assert shoppers.asked > 200
