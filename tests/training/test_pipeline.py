"""From the log to a version: nothing twice, nothing lost, whoever was deleted forgotten."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from recommender.datasets import open_dataset
from recommender.dense_vectors.packing import pack_vector
from recommender.errors import TrainingError
from recommender.models.checkpoint import model_from_arrays
from recommender.serving.snapshot import Snapshot
from recommender.storage.archive.archive import Archive
from recommender.storage.registry import Registry, VersionMeta
from recommender.storage.registry import registry as registry_module
from recommender.storage.registry.manifest import NAME, _seal
from recommender.storage.registry.version_meta import Mode
from recommender.stores import MemoryStore
from recommender.stores.protocols import Interaction, Item, User
from recommender.training import learning_steps
from recommender.training import pipeline as learner_module
from recommender.training.base_version import last_full_at
from recommender.training.model_settings import ModelSettings
from recommender.training.pipeline import TrainingPipeline
from recommender.training.schedule import Schedule
from tests.support.asynchronous import asynchronous
from tests.support.shelves import registry_with

WORLD = "synthetic?n_users=60&n_items=40&n_interactions_per_user=8"
SETTINGS = ModelSettings(no_components=8, epochs=3)


class Household:
    """A learner and all it works with."""

    def __init__(self, folder: Path) -> None:
        self.registry = Registry(folder / "models")
        self.archive = Archive(folder / "archive")
        self.store = MemoryStore()
        self.learner = self.learner_of(self.store)

    def learner_of(self, store: MemoryStore) -> TrainingPipeline:
        return TrainingPipeline(self.registry, self.archive, store, SETTINGS, keep_versions=2)

    async def learn(self, mode: Mode = "full") -> Snapshot:
        version = (await self.learner.learn(mode)).version
        artifact = self.registry.load(version)
        return Snapshot.from_arrays(artifact.parts["snapshot"], {**artifact.meta.snapshot, "version": version})

    def trained_on(self) -> int:
        return self.learner.newest().meta.trained_on["interactions"]


@pytest.fixture
def house(tmp_path):
    return Household(tmp_path)


def clicks(user: str, *items: str) -> list[Interaction]:
    return [Interaction(user, item, 1.0, 2e9 + number) for number, item in enumerate(items)]


@asynchronous
async def test_a_bootstrap_stores_features_and_publishes_a_judged_version(house):
    dataset = open_dataset(WORLD)
    version, *_ = await house.learner.bootstrap(dataset)
    artifact = house.registry.load(version, ("snapshot", "train_state"))

    assert house.trained_on() == len(dataset.interactions)
    assert artifact.meta.metrics["auc"] > 0.6
    assert (await house.store.get_users(["u3"]))[0].features == {"group": "g3", "number": 3, "tags": ["g3", "half-1"]}
    assert (await house.store.get_items(["i3"]))[0].title == "Item 3"


@asynchronous
async def test_what_waits_is_learned_once(house):
    await house.learner.bootstrap(open_dataset(WORLD))
    before = house.trained_on()
    await house.store.append(clicks("new", "i1", "i2"))

    assert await house.learner.waiting() == 2
    snapshot = await house.learn()
    assert house.trained_on() == before + 2
    assert await house.learner.waiting() == 0
    assert snapshot.item_ids.ids_of(snapshot.learned_items("new")) == ["i1", "i2"]
    await house.learn()
    assert house.trained_on() == before + 2


@asynchronous
async def test_a_version_that_was_never_published_leaves_its_interactions_to_the_next(house, monkeypatch):
    await house.learner.bootstrap(open_dataset(WORLD))
    before = house.trained_on()
    await house.store.append(clicks("new", "i1"))
    publish = house.registry.publish

    def dies(*_, **__):
        raise OSError("killed")

    monkeypatch.setattr(house.registry, "publish", dies)
    with pytest.raises(OSError, match="killed"):
        await house.learner.learn("full")
    monkeypatch.setattr(house.registry, "publish", publish)
    await house.learn()

    assert house.trained_on() == before + 1


@asynchronous
async def test_a_deleted_user_is_not_in_the_next_version_and_later_clicks_count_again(house):
    await house.learner.bootstrap(open_dataset(WORLD))
    await house.store.delete_user("u5")
    await house.store.append(clicks("u5", "i7"))
    snapshot = await house.learn()

    assert snapshot.item_ids.ids_of(snapshot.learned_items("u5")) == ["i7"]
    assert [row[1] for row in await house.learner.history("u5", 1)] == ["i7"]


@asynchronous
@pytest.mark.parametrize("modes", [("full", "full"), ("incremental", "incremental"), ("incremental", "full")])
async def test_every_interaction_is_in_the_counts_by_time_once(house, modes):
    dataset = open_dataset(WORLD)
    await house.learner.bootstrap(dataset)
    counts = []
    for mode in modes:
        await house.store.append([Interaction("u1", "i7", 1.0, 1.74e9 + n) for n in range(3)])
        snapshot = await house.learn(mode)
        since = snapshot.activity.since(1.72e9)
        recent = snapshot.activity.counted(slice(since, None), snapshot.n_items)
        counts.append((recent[snapshot.item_ids.index_of("i7")], recent.sum()))

    assert dataset.interactions["timestamp"].max() < 1.71e9
    assert counts == [(3, 3), (6, 6)]
    assert snapshot.activity.counts.sum() == len(dataset.interactions) + 6


@asynchronous
async def test_a_deleted_item_is_in_no_snapshot_as_available(house):
    await house.learner.bootstrap(open_dataset(WORLD))
    await house.store.delete_item("i3")
    await house.store.append(clicks("u1", "i4"))
    grown, anew = await house.learn("incremental"), await house.learn("full")

    assert not grown.available[grown.item_ids.index_of("i3")]
    assert grown.available.sum() == len(grown.item_ids) - 1
    assert "i3" not in anew.item_ids
    assert anew.available.all()


@asynchronous
async def test_the_log_is_kept_as_long_as_a_kept_version_needs_it(house):
    await house.learner.bootstrap(open_dataset(WORLD))
    await house.store.append(clicks("new", "i1"))
    await house.learn()
    kept = (await house.store.state()).length
    await house.store.append(clicks("new", "i2"))
    await house.learn()
    await house.learn()

    assert kept == 1
    assert (await house.store.state()).length == 0
    assert len(house.registry.versions()) <= 3


@asynchronous
async def test_a_replaced_store_goes_on_behind_what_was_learned(house):
    await house.learner.bootstrap(open_dataset(WORLD))
    await house.store.append(clicks("new", "i1", "i2", "i3"))
    await house.learn()
    before = house.trained_on()
    house.store = MemoryStore()
    house.learner = house.learner_of(house.store)
    await house.learner.reconcile()
    await house.store.append(clicks("newer", "i4"))

    assert await house.learner.waiting() == 1
    await house.learn()
    assert house.trained_on() == before + 1


@asynchronous
async def test_nothing_to_learn_from_is_a_clear_error(house):
    with pytest.raises(TrainingError, match="no interactions"):
        await house.learner.learn("full")


@asynchronous
async def test_history_is_newest_first(house):
    await house.store.append(clicks("new", *(f"i{n}" for n in range(30))))
    await house.learn()

    timestamps = [row[3] for row in await house.learner.history("new", 0)]
    assert timestamps == sorted(timestamps, reverse=True)
    assert len(timestamps) == 30


@asynchronous
async def test_the_stored_state_goes_on_training(house):
    version, *_ = await house.learner.bootstrap(open_dataset(WORLD))
    artifact = house.registry.load(version, ("train_state",))
    model = model_from_arrays(artifact.parts["train_state"], artifact.meta.model)

    assert model.items.ids.index_of("i3") >= 0
    assert np.isfinite(model.predict_online("u3", ["i3", "i7"])).all()


async def bootstrapped(house: Household) -> None:
    await house.learner.bootstrap(open_dataset(WORLD))


async def increment(house: Household) -> Snapshot:
    learned = await house.learner.learn("incremental")
    assert learned.accepted, learned.reason
    assert learned.mode == "incremental"
    artifact = house.registry.load(learned.version)
    return Snapshot.from_arrays(artifact.parts["snapshot"], artifact.meta.snapshot)


@asynchronous
async def test_an_increment_learns_new_users_items_and_features_once(house):
    await bootstrapped(house)
    before = house.trained_on()
    await house.store.put_items([Item("fresh", "Fresh", {"group": "g0", "mood": "new"}, True, 0.0)])
    await house.store.put_users([User("new", {"group": "g0", "likes": "novelty"}, 0.0)])
    await house.store.append(clicks("new", "fresh", "i4"))
    snapshot = await increment(house)

    assert house.trained_on() == before + 2
    assert await house.learner.waiting() == 0
    assert snapshot.user_index("new") >= 0
    assert snapshot.item_ids.index_of("fresh") < snapshot.n_known_items
    assert "mood=new" in list(snapshot.item_space.names)
    assert "likes=novelty" in list(snapshot.user_space.names)
    assert snapshot.item_ids.ids_of(snapshot.learned_items("new")) == ["fresh", "i4"]


@asynchronous
async def test_after_a_restart_the_next_increment_is_the_one_that_would_have_come(house):
    await bootstrapped(house)
    twin = Household.__new__(Household)
    await house.store.append(clicks("new", "i1", "i2"))
    await increment(house)
    await house.store.append(clicks("newer", "i3", "i5"))
    twin.learner = house.learner_of(house.store)
    assert house.learner._bases.at_hand is not None
    assert twin.learner._bases.at_hand is None
    twin.registry, twin.store = house.registry, house.store
    restarted = await increment(twin)
    house.registry.quarantine(house.registry.versions()[0].version, "a test")
    uninterrupted = await increment(house)

    assert np.array_equal(restarted.items.vectors, uninterrupted.items.vectors)
    assert np.array_equal(restarted.user_indicators.vectors, uninterrupted.user_indicators.vectors)


@asynchronous
async def test_an_increment_forgets_a_deleted_user_until_they_come_back(house):
    await bootstrapped(house)
    await house.store.delete_user("u5")
    await house.store.append(clicks("u6", "i7"))
    snapshot = await increment(house)

    assert snapshot.user_index("u5") == -1
    assert not len(snapshot.learned_items("u5"))
    assert await house.learner.history("u5", 0) == []
    await house.store.append(clicks("u5", "i9"))
    assert (await increment(house)).user_index("u5") >= 0


@asynchronous
async def test_what_a_user_did_before_their_deletion_in_the_same_batch_is_not_learned(house):
    await bootstrapped(house)
    await house.store.append(clicks("gone", "i1", "i2"))
    await house.store.delete_user("gone")
    snapshot = await increment(house)

    assert snapshot.user_index("gone") == -1
    assert await house.learner.history("gone", 0) == []


@asynchronous
async def test_changes_of_the_catalogue_alone_make_a_version_too(house):
    await bootstrapped(house)
    await house.store.put_items([Item("i3", "Renamed", {"group": "g3"}, False, 0.0)])
    await house.store.delete_item("i5")
    snapshot = await increment(house)

    index = snapshot.item_ids.index_of("i3")
    assert snapshot.titles.take([index]) == ["Renamed"]
    assert not snapshot.available[index]
    assert not snapshot.available[snapshot.item_ids.index_of("i5")]


def group_of(number: int) -> int:
    return number % 4


def liked(user: int, items: range, group: int) -> list[Interaction]:
    return [Interaction(f"u{user}", f"i{item}", 1.0, 2e9) for item in items if group_of(item) == group]


@asynchronous
async def test_a_candidate_that_is_worse_is_rejected_kept_and_its_interactions_wait(house):
    on_offer = range(80, 160)  # what nobody has seen yet: features alone tell it apart
    await house.store.put_items(
        [Item(f"i{n}", None, {"group": f"g{group_of(n)}"}, n in on_offer, 0.0) for n in range(160)]
    )
    for user in range(120):
        await house.store.append(liked(user, range(80), group_of(user)))
    await house.learn()
    serving = house.learner.base().version
    # somebody mixes up the features ...
    await house.store.put_items([Item(f"i{n}", None, {"group": f"g{group_of(n + 1)}"}, True, 0.0) for n in on_offer])
    for _ in range(6):
        for user in range(120):
            await house.store.append(liked(user, range(80), group_of(user)))
    for user in range(120):  # ... and the newest tenth judges by just that
        await house.store.append(liked(user, on_offer, group_of(user))[:13])
    learner = TrainingPipeline(house.registry, house.archive, house.store, SETTINGS, holdout=0.1, margin=0.0)
    learned = await learner.learn("incremental")

    assert not learned.accepted
    assert "ndcg@10 fell" in learned.reason
    newest = house.registry.versions()[0]
    assert (newest.status, newest.reason) == ("rejected", learned.reason)
    assert newest.meta.gate["candidate"] < newest.meta.gate["serving"]
    assert house.learner.base().version == serving
    assert await house.learner.waiting() == newest.meta.log_offset - house.learner.base().meta.log_offset > 0
    assert house.registry.current().version == serving


@asynchronous
async def test_a_model_that_explodes_is_rejected_with_the_reason(house):
    await bootstrapped(house)
    await house.store.append(clicks("new", "i1", "i2"))
    wild = ModelSettings(no_components=8, epochs=3, learning_rate=1e6)
    learned = await TrainingPipeline(house.registry, house.archive, house.store, wild).learn("full")

    assert not learned.accepted
    assert "lower model.learning_rate" in learned.reason
    assert await house.learner.waiting() == 2
    assert (await house.learner.learn("full")).accepted


@asynchronous
async def test_while_an_older_version_is_pinned_the_next_ones_build_on_it(house):
    house.learner = TrainingPipeline(house.registry, house.archive, house.store, SETTINGS, keep_versions=5)
    await bootstrapped(house)
    first = house.learner.base().version
    await house.store.append(clicks("new", "i1"))
    rolled_back = (await house.learner.learn("incremental")).version
    house.registry.activate(first, pinned=True)
    await house.store.append(clicks("new", "i2"))
    third = (await house.learner.learn("incremental")).version
    fourth = (await house.learner.learn("incremental")).version
    parents = {each.version: each.parent for each in house.registry.versions()}

    assert parents[rolled_back] == first
    assert parents[third] == first
    assert parents[fourth] == third
    assert house.trained_on() == len(open_dataset(WORLD).interactions) + 2
    assert house.registry.follow().version == fourth


@asynchronous
async def test_a_gap_in_the_log_is_said_and_what_follows_is_learned(house):
    await bootstrapped(house)
    await house.store.append(clicks("new", "i1", "i2", "i3", "i4"))
    del house.store._log[2], house.store._log[4]
    await increment(house)

    assert house.learner.newest().meta.gaps == ((2, 2), (4, 4))
    assert [row[1] for row in await house.learner.history("new", 0)] == ["i3", "i1"]


@asynchronous
async def test_poison_is_set_aside_with_its_reason_and_the_rest_is_learned(house):
    await bootstrapped(house)
    await house.store.append(clicks("new", "i1", "i2", "i3"))
    house.store._log[2] = b"\x01nonsense"
    await increment(house)
    [poisoned] = await house.store.poisoned(10)

    assert poisoned.offset == 2
    assert poisoned.event.payload == b"\x01nonsense"
    assert "cannot be read" in poisoned.event.reason
    assert house.learner.newest().meta.poison == 1
    assert [row[1] for row in await house.learner.history("new", 0)] == ["i3", "i1"]


@asynchronous
async def test_full_training_leaves_one_segment_and_increments_add_to_it(house):
    await bootstrapped(house)
    for item in ("i1", "i2"):
        await house.store.append(clicks("new", item))
        await increment(house)
    assert len(house.learner.newest().meta.segments) == 3
    await house.learn()

    assert len(house.learner.newest().meta.segments) == 1
    assert len(house.archive.read([house.learner.newest().meta.segments[0]])) == house.trained_on()


@asynchronous
async def test_what_is_due_follows_the_schedule(house):
    soon = Schedule(incremental_every_s=1e-9, full_every_s=None, min_interactions=2)
    assert await house.learner.due(soon) is None
    await house.store.append(clicks("new", "i1", "i2", "i3"))
    assert await house.learner.due(soon) == "full"
    await house.learn()
    assert await house.learner.due(soon) is None
    await house.store.append(clicks("new", "i4"))
    assert await house.learner.due(soon) is None
    await house.store.append(clicks("new", "i5"))
    assert await house.learner.due(soon) == "incremental"
    assert await house.learner.due(Schedule(None, 1e-9, 2)) == "full"
    await increment(house)
    assert await house.learner.due(soon) is None


@asynchronous
async def test_many_changes_of_items_are_taken_into_a_version_without_interactions(house):
    schedule = Schedule(incremental_every_s=1e-9, full_every_s=None, min_interactions=2, changed_items=20)
    await house.learner.bootstrap(open_dataset(WORLD))
    await house.store.put_items([Item(f"n{number}", "New", {"group": "g0"}, True, 0.0) for number in range(19)])
    assert await house.learner.due(schedule) is None
    await house.store.put_items([Item("n19", "New", {"group": "g0"}, True, 0.0)])
    assert await house.learner.due(schedule) == "incremental"
    before = house.learner.newest().meta
    learned = await house.learner.learn("incremental")
    after = house.learner.newest().meta

    assert learned.accepted
    assert after.items_sequence == before.items_sequence + 20
    assert await house.learner.due(schedule) is None


@asynchronous
async def test_learning_goes_on_after_the_clock_was_set_back_and_does_not_run_wild(house, monkeypatch):
    schedule = Schedule(incremental_every_s=30, full_every_s=1000, min_interactions=2)
    await house.learner.bootstrap(open_dataset(WORLD))
    earlier = datetime.now(UTC) - timedelta(days=400)
    clock = SimpleNamespace(time=earlier.timestamp, monotonic=time.monotonic)
    monkeypatch.setattr(learner_module, "time", clock)
    monkeypatch.setattr(learning_steps, "time", clock)
    monkeypatch.setattr(registry_module, "datetime", SimpleNamespace(now=lambda _: earlier))
    await house.store.append(clicks("new", "i1", "i2"))

    assert await house.learner.due(schedule) == "full"
    await house.learner.learn("full")
    await house.store.append(clicks("new", "i3", "i4"))
    assert await house.learner.due(schedule) is None


@asynchronous
async def test_a_full_training_is_not_due_again_because_its_version_was_pruned(house):
    schedule = Schedule(incremental_every_s=1e-9, full_every_s=86_400, min_interactions=1)
    modes = []
    for number in range(6):
        await house.store.append(clicks("new", f"i{number}", "i9"))
        modes.append(await house.learner.due(schedule))
        await house.learner.learn(modes[-1])

    assert modes == ["full", *["incremental"] * 5]
    assert all(each.meta.mode == "incremental" for each in house.registry.versions())


@asynchronous
async def test_a_timestamp_of_the_future_does_not_make_all_that_was_learned_look_new(house):
    month_ago = time.time() - 30 * 86_400
    await house.store.append([Interaction("u1", f"i{number}", 1.0, month_ago) for number in range(9)])
    await house.store.append([Interaction("u1", "i9", 1.0, 4_102_444_800.0)])
    for mode in ("full", "incremental", "full"):
        await house.learn(mode)
        assert house.learner.newest().meta.newest_timestamp <= time.time()


def test_a_version_of_a_release_that_wrote_less_is_read_with_defaults(tmp_path):
    registry = registry_with(tmp_path, "ready")
    manifest = json.loads((tmp_path / "00000001" / NAME).read_bytes())
    manifest["meta"] = {"log_offset": 7, "mode": "full", "segments": [], "an_old_field": 1}
    manifest.pop("sha256")
    body = json.dumps(manifest, indent=1).encode().removesuffix(b"\n}")
    (tmp_path / "00000001" / NAME).write_bytes(body + _seal(body))
    [version] = registry.versions()

    assert version.meta == VersionMeta(log_offset=7)
    assert last_full_at([version]) == version.created_at.timestamp()


@asynchronous
async def test_a_name_that_nobody_has_any_more_is_free_after_a_full_training(house):
    items = {f"i{n}": {"look": pack_vector([float(n), 0.5])} for n in range(3)}
    await house.store.put_items([Item(each, None, {**has, "old": 1}, True, 1.0) for each, has in items.items()])
    await house.store.put_items([Item(each, None, has, True, 2.0) for each, has in items.items()])
    await house.store.put_users([User("u1", {"face": pack_vector([0.5, 1.0])}, 1.0)])
    await house.store.append([Interaction(f"u{n % 4}", f"i{n % 3}", 1.0, float(n)) for n in range(12)])
    snapshot = await house.learn()

    assert await house.store.feature_kinds("items", ["look", "old"]) == {"look": 2}
    assert await house.store.feature_kinds("users", ["face"]) == {"face": 2}
    assert snapshot.item_space.vectors["look"].length == 2


@asynchronous
async def test_an_increment_goes_on_with_vectors_from_disk(house):
    items = {f"i{n}": {"look": pack_vector([float(n), 0.5, float(n % 2)])} for n in range(6)}
    await house.store.put_items([Item(each, None, has, True, 1.0) for each, has in items.items()])
    await house.store.append([Interaction(f"u{n % 5}", f"i{n * 7 % 5}", 1.0, float(n)) for n in range(40)])
    first = await house.learn()
    await house.store.append([Interaction("new", "i5", 1.0, 50.0), Interaction("u1", "i5", 1.0, 51.0)])
    house.learner = house.learner_of(house.store)  # as after a restart: what it goes on from is read from disk
    second = await house.learn("incremental")
    row = second.item_space.vectors["look"]

    assert (row.mean == first.item_space.vectors["look"].mean).all()
    assert (row.axes == first.item_space.vectors["look"].axes).all()
    columns = row.columns
    assert second.item_features.vectors[columns, :8] == pytest.approx(first.item_features.vectors[columns, :8])
    assert second.item_ids.index_of("i5") < second.n_known_items
