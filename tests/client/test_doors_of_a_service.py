"""Doors in and out of one real service with a real store, in the order in which somebody would go through them."""

import asyncio
import json
import logging
import time

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import ray
from click.testing import CliRunner
from pandas.testing import assert_frame_equal

from lightfm_serve import AsyncClient, NotFoundError, UnavailableError
from lightfm_serve.cli import main
from lightfm_serve.cli.batch import batch
from recommender.datasets import folder as folders
from tests.support.empty_service import KEY

# Ray leaves sockets and files to the collector when it is shut down
pytestmark = [pytest.mark.filterwarnings("ignore::ResourceWarning"), pytest.mark.filterwarnings("ignore:::ray")]


def run(command, *words):
    done = CliRunner().invoke(command, [str(word) for word in words], env={"RECOMMENDER_API_KEY": KEY})
    assert done.exit_code == 0, done.output
    return done


def exported(service, folder):
    run(main, "export", folder, "--url", service.url, "--json")
    return folders.load(folder)


def same(one, other):
    """Whether two data sets say the same, in whatever order."""
    for name in ("users", "items"):
        first, second = (getattr(each, name).sort_index().sort_index(axis=1) for each in (one, other))
        assert first.astype(object).where(first.notna(), None).to_dict() == (
            second.astype(object).where(second.notna(), None).to_dict()
        )
    first, second = (
        each.interactions.sort_values([*each.interactions]).reset_index(drop=True) for each in (one, other)
    )
    assert_frame_equal(first, second)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with whatever a folder can hold: types, lists, titles, repeated rows, odd ids."""
    folder, random = tmp_path_factory.mktemp("world"), np.random.default_rng(0)
    users = [f"u{n}" for n in range(60)]
    features = [
        f"{user},{age},{'true' if age > 40 else 'false'}" for user, age in zip(users, range(20, 80), strict=True)
    ]
    (folder / "users.csv").write_text("\n".join(["user_id,age,vip", *features, "a/b ж,,"]))
    items = pd.DataFrame(
        {
            "item_id": [f"i{n}" for n in range(40)],
            "title": [f"Item {n}" if n % 3 else None for n in range(40)],
            "available": [n != 7 for n in range(40)],
            "group": [[f"g{n % 4}", "all"] for n in range(40)],
            "code": [str(n) for n in range(40)],
        }
    )
    items.to_parquet(folder / "items.parquet", index=False)
    rows = [
        (user, f"i{(n + 4 * random.integers(10)) % 40}", random.choice([0.1, 1, 2.5]), 1e9 + n + k / 4, "view")
        for n, user in enumerate([*users, "only-here"])
        for k in range(20)
    ]
    rows += [("u1", "i1", 1, 5.0, "like")] * 3
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "weight", "timestamp", "event"])
    frame.to_csv(folder / "interactions.csv", index=False)
    return folder


def test_what_is_imported_comes_out_again_before_and_after_it_is_learned(service, client, world, tmp_path):
    words = ["import", world, "--url", service.url, "--json"]
    first = json.loads(run(main, *words).stdout)
    again = json.loads(run(main, *words, "--resume").stdout)

    assert (first["items"], first["users"], first["interactions"]) == (40, 61, 1223)
    assert (again["interactions"], again["duplicates"]) == (0, 1223)
    wanted = folders.load(world)
    same(exported(service, tmp_path / "waiting"), wanted)
    wait_until_learned(client)
    same(exported(service, tmp_path / "learned"), wanted)
    client.put_user("odd", {"age": "unknown"})
    client.add_interactions([{"user_id": "late", "item_id": "i1", "timestamp": 6.0, "event": "view"}])
    client.delete_user("only-here")
    later = exported(service, tmp_path / "later")
    assert (tmp_path / "later" / "users.jsonl").exists()
    assert "only-here" not in set(later.interactions["user_id"])
    assert len(later.interactions) == 1223 - 20 + 1
    assert later.users.loc["odd", "age"] == "unknown"
    back = json.loads(run(main, "import", tmp_path / "later", "--url", service.url, "--json").stdout)
    # what was posted had an event_id of its own
    assert (back["duplicates"], back["interactions"]) == (1203, 1)
    client.delete_user("odd")


def wait_until_learned(client, within_s=60):
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        try:
            client.ready()
        except UnavailableError:
            time.sleep(0.1)
            continue
        return
    raise AssertionError("nothing was learned")


def whole(client, user, within_s=30):
    """Answer that nothing is missing from: on a busy machine the store may miss its deadline."""
    end = time.monotonic() + within_s
    while (answer := client.recommend(user, k=5)).degraded and time.monotonic() < end:
        time.sleep(0.1)
    return answer


def test_every_call_answers_with_its_type(service, client):
    wait_until_learned(client)
    answer = client.recommend("u1", k=3, explain=True, filter=["group:all"], boost={"group:g1": 0.5})
    assert len(answer.items) == 3
    explained = sum(part.contribution for part in answer.items[0].explanation)
    assert explained == pytest.approx(answer.items[0].score, abs=1e-4)
    assert client.recommend("u1", k=2, cursor=client.recommend("u1", k=2).next_cursor).items

    async def both():
        async with AsyncClient(service.url, KEY) as other:
            return await asyncio.gather(other.recommend("u1", k=3), other.popular(k=3), other.status())

    mine, popular, status = asyncio.run(both())
    assert [each.item_id for each in mine.items] == [each.item_id for each in client.recommend("u1", k=3).items]
    assert len(popular.items) == 3
    assert status.model_version == client.active_model().version == client.models().models[0].version
    results = client.recommend_many([{"user_id": "u1", "k": 2}, {"recent": ["i1"]}]).results
    assert [each.strategy for each in results][1] == "recent"
    assert client.rank(["i1", {"item_id": "new", "features": {"group": ["g1"]}}], user_id="u1").items
    assert client.similar_items("i1").items
    assert client.similar_users("u1").users
    assert client.latest().items
    assert client.popular(window_s=86_400, filter=["group:all"]).model_version == status.model_version
    assert client.trending().model_version == status.model_version
    assert client.search("item 1").items[0].title.startswith("Item 1")
    assert client.metrics().replicas
    assert client.put_item("x/y", title="X", features={"group": ["g1"]}).available
    assert client.get_item("x/y").title == "X"
    assert client.list_items(limit=1).next_cursor
    assert client.delete_item("x/y") is None
    with pytest.raises(NotFoundError):
        client.get_item("x/y")
    assert client.put_users([{"user_id": "v"}]).created == 1
    assert client.get_user("v").features is None
    assert client.list_users(limit=1).next_cursor
    assert client.delete_user("v") is None
    assert client.user_interactions("u1", limit=2).next_cursor
    assert client.list_interactions(limit=2).next_cursor
    assert client.activate("latest").status == "active"
    assert client.healthy() == {"status": "ok"}


def test_a_frame_goes_in_and_a_second_time_changes_nothing(client):
    frame = pd.DataFrame({"user_id": ["f1", "f2"], "item_id": ["i1", "i2"], "timestamp": [1e9, 1e9 + 1]})
    users = pd.DataFrame({"user_id": ["f1", "f2"], "age": [33, np.nan]})

    assert client.import_frame(frame, users=users) == (2, 0, 2, 0)
    assert client.import_frame(frame) == (0, 0, 0, 2)
    assert client.get_user("f2").features == {}


@pytest.fixture
def cluster():
    """One Ray for both batches, beside that of the service."""
    ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    yield
    ray.shutdown()


@pytest.mark.usefixtures("cluster")
def test_a_batch_has_the_answers_of_the_service_and_goes_on_where_it_stopped(service, client, tmp_path):
    wait_until_learned(client)
    client.add_interactions([{"user_id": user, "item_id": "i3"} for user in ("f1", "f2", "late")])
    words = ["--model", service.folder / "state", "--out", tmp_path, "--k", 5, "--block", 20]
    words += ["--workers", 1, "--redis-url", "embedded"]
    run(batch, *words)
    parts = sorted(tmp_path.glob("part-*.parquet"))
    before = {path.name: path.stat().st_mtime_ns for path in parts}
    parts[1].unlink()
    (tmp_path / ".tmp-half").write_bytes(b"PAR1")
    again = json.loads(run(batch, *words, "--json").stdout)

    table = pq.read_table(tmp_path).to_pandas()
    assert set(table["user_id"]) >= {f"u{n}" for n in range(60)} | {"f1", "f2", "late"}
    # the first has neither features nor interactions, the second was erased
    assert not {"a/b ж", "only-here"} & set(table["user_id"])
    for user, rows in table.groupby("user_id"):
        answer = whole(client, user)
        assert rows["item_id"].tolist() == [item.item_id for item in answer.items], user
        assert rows["score"].tolist() == pytest.approx([item.score for item in answer.items], rel=1e-5)
        assert rows["rank"].tolist() == [1, 2, 3, 4, 5]
    after = {path.name: path.stat().st_mtime_ns for path in sorted(tmp_path.glob("part-*.parquet"))}
    assert {name for name in after if after[name] != before[name]} == {parts[1].name}
    assert again["done_before"] == again["users"] - 20
    other = CliRunner().invoke(main, ["batch", *(str(word) for word in [*words[:4], "--k", 6])])
    assert other.exit_code == 1
    assert "another batch" in other.output
