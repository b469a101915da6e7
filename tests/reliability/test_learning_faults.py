"""A log with poison in it, two trainers on one folder, a disk that is full, a backlog at its cap."""

import time
import uuid

import pytest
import redis

from recommender.storage import atomic_files
from tests.support.rows import Row
from tests.support.steady_load import SteadyLoad
from tests.support.waiting import settle

pytestmark = pytest.mark.reliability

KEY = b"{rec}:"


def poison(raw: redis.Redis, share: float, good: list[dict], post) -> int:
    """Write bad entries as another writer's mistake would, beside good ones; how many."""
    n_bad = round(len(good) * share / (1 - share))
    for _ in range(n_bad):
        offset = raw.incr(KEY + b"log:last")
        raw.xadd(KEY + b"log", {"d": b"\x01no event"}, id=f"{offset}-0")
    assert post({"interactions": good}).status_code == 202
    return n_bad


@pytest.mark.parametrize(("share", "health"), [(0.01, "ok"), (0.5, "degraded")])
def test_poison_is_set_aside_the_rest_is_learned_and_much_of_it_is_said(house, share, health):
    user = f"poison-{uuid.uuid4().hex[:8]}"
    good = [{"user_id": user, "item_id": f"i{number}"} for number in range(99)]
    with house.service.client() as client, redis.Redis(port=house.store.port) as raw:
        settle(client)
        before = raw.xlen(KEY + b"poison")
        # within one pass of the trainer, so that they are read together
        with atomic_files.locked(house.service.folder / "state" / "trainer.lock"):
            n_bad = poison(raw, share, good, lambda body: client.post("/v1/interactions", json=body))
            time.sleep(0.5)
        status = settle(client)
        learned = client.get(f"/v1/users/{user}/interactions", params={"limit": 200}).json()["interactions"]
        aside = raw.xlen(KEY + b"poison") - before
    lost = len(good) - len(learned)
    Row(f"{share:.0%} of the log is poison", "bytes in the stream", len(good), 0, lost, None, health).write()

    assert lost == 0
    assert aside == n_bad
    assert status["health"]["trainer"].startswith(health)


def test_a_second_trainer_on_the_folder_is_refused_and_what_waits_is_learned_afterwards(house):
    with house.service.client() as client:
        settle(client)
        with atomic_files.locked(house.service.folder / "state" / "trainer.lock"):
            client.post("/v1/interactions", json={"interactions": [{"user_id": "second", "item_id": "i1"}]})
            deadline = time.monotonic() + 20
            while (client.get("/v1/status").json()["last_training"] or {}).get("outcome") != "failed":
                assert time.monotonic() < deadline
                time.sleep(0.2)
            refused = client.get("/v1/status").json()
        to_serving = settle(client)
    Row("two trainers on one folder", "lock held by another process", 1, 0).write()

    assert "another trainer" in refused["last_training"]["reason"]
    assert refused["interactions_waiting"] == 1
    assert to_serving["last_training"]["outcome"] == "published"


def test_while_the_archive_cannot_be_written_serving_goes_on_and_learning_heals(house):
    archive = house.service.folder / "state" / "archive"
    with house.service.client() as client:
        settle(client)
        kept = archive.rename(archive.with_name("archive-aside"))
        archive.write_bytes(b"")  # a file where a folder belongs: root, too, cannot write into it
        with SteadyLoad(house.service.port, lambda n: f"/v1/users/u{n % 200}/recommendations", per_s=30) as load:
            posted = client.post("/v1/interactions", json={"interactions": [{"user_id": "no-disk", "item_id": "i1"}]})
            deadline = time.monotonic() + 20
            while (client.get("/v1/status").json()["last_training"] or {}).get("outcome") != "failed":
                assert time.monotonic() < deadline
                time.sleep(0.2)
            archive.unlink()
            kept.rename(archive)
            began = time.monotonic()
            to_serving = settle(client)
            recovery_s = time.monotonic() - began
    row = Row(
        "state folder cannot be written", "a file in its place", len(load.answers), len(load.failed()), None, recovery_s
    )
    row.write()

    assert posted.status_code == 202
    assert load.failed() == []
    assert to_serving["last_training"]["outcome"] == "published"
    assert recovery_s <= 10
