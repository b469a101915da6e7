"""A store that comes back with less than was learned: what it acknowledges from then on is learned, once."""

from __future__ import annotations

import itertools

import pytest

from recommender.errors import StoreError
from recommender.storage.archive.archive import Archive
from recommender.storage.registry import Registry
from recommender.stores import EmbeddedValkey, open_store
from recommender.stores.protocols import Interaction, Item, Store, UserDeleted
from recommender.training.model_settings import ModelSettings
from recommender.training.pipeline import TrainingPipeline
from recommender.training.schedule import Schedule

pytestmark = pytest.mark.anyio
OFTEN = Schedule(0.0, None, 1)
numbers = itertools.count()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def valkey(tmp_path_factory):
    server = EmbeddedValkey(tmp_path_factory.mktemp("valkey"))
    try:
        server.start()
    except StoreError as error:
        pytest.skip(f"no embedded Valkey here: {error}")
    yield server
    server.stop()


@pytest.fixture(params=["memory", "valkey"])
async def stores(request):
    """Makes empty stores."""
    made: list[Store] = []

    def make() -> Store:
        url = "memory:" if request.param == "memory" else request.getfixturevalue("valkey").url
        made.append(open_store(url, prefix=f"{{r{next(numbers)}}}:", fetch_timeout_s=5.0, timeout_s=10.0))
        return made[-1]

    yield make
    for store in made:
        await store.close()


class Replaceable:
    """A store that a test can replace under whoever has it."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def __getattr__(self, name: str):
        return getattr(self.store, name)


def said(start: int, n: int) -> list[Interaction]:
    return [Interaction(f"u{i % 6}", f"i{i % 11}", 1.0, 1000.0 + i) for i in range(start, start + n)]


async def learning(store: Store, folder) -> TrainingPipeline:
    settings = ModelSettings(no_components=4, epochs=1)
    learner = TrainingPipeline(Registry(folder / "models"), Archive(folder / "archive"), store, settings, holdout=0)
    await store.append(said(0, 40))
    await learner.learn("full")
    return learner


def learned_times(learner: TrainingPipeline) -> list[float]:
    return sorted(learner._archive.read(list(learner.newest().meta.segments))["timestamp"].tolist())


async def test_what_an_emptied_store_accepts_is_learned_while_the_trainer_runs(stores, tmp_path):
    store = Replaceable(stores())
    learner = await learning(store, tmp_path)
    store.store = stores()

    for start in (100, 110):  # before the trainer has looked, and after
        await store.append(said(start, 10))
        assert await learner.due(OFTEN) == "incremental"
    waiting = await learner.waiting()
    recent = {each.offset for each in (await store.fetch(["u1"])).users[0].recent}
    await learner.learn("incremental")

    assert learner.store_resets == 1
    assert waiting == 20
    assert min(recent) > 40
    assert learned_times(learner) == [each.timestamp for each in [*said(0, 40), *said(100, 20)]]


async def test_a_store_that_lagged_has_only_new_entries_renumbered(stores, tmp_path):
    store = Replaceable(stores())
    learner = await learning(store, tmp_path)
    store.store = stores()
    await store.append(said(0, 25))  # what had been replicated
    await store.append(said(100, 10))
    await store.delete_user("u3")

    await learner.learn("incremental")
    page = await store.waiting("u5", None, 99)

    assert learned_times(learner) == sorted(e.timestamp for e in [*said(0, 40), *said(100, 10)] if e.user_id != "u3")
    assert [entry.offset > 40 for entry in page] == [entry.event.timestamp >= 1100 for entry in page]
    assert UserDeleted("u3") in [entry.event for entry in await store.read(40, 99)]
    assert (await store.fetch(["u3"])).users[0].deleted_at > 40


async def test_entries_that_waited_before_are_lost_and_said_to_be_and_later_ones_are_not(stores, tmp_path):
    store = Replaceable(stores())
    learner = await learning(store, tmp_path)
    await store.append(said(50, 5))
    await learner.due(OFTEN)
    store.store = stores()
    await store.append(said(100, 3))
    await learner.learn("incremental")

    assert learned_times(learner) == [each.timestamp for each in [*said(0, 40), *said(100, 3)]]
    assert learner.newest().meta.gaps == ((41, 45),)


async def test_items_put_after_it_are_changes_for_whoever_followed_the_store_before(stores, tmp_path):
    store = Replaceable(stores())
    await store.put_items([Item(f"i{n}", None, {"a": "b"}, True, 0.0) for n in range(11)])
    learner = await learning(store, tmp_path)
    followed = (await store.fetch([])).items_sequence
    store.store = stores()
    await store.put_items([Item("i1", None, {"a": "b"}, False, 0.0), Item("gone", None, {}, True, 0.0)])
    await store.delete_item("gone")

    await learner.due(OFTEN)
    changes = (await store.item_changes(followed, 99)).changes

    assert {item_id: item and item.available for _, item_id, item in changes} == {"i1": False, "gone": None}


async def test_only_an_empty_log_is_moved_on_when_that_is_asked_for(stores):
    store = stores()
    await store.advance(100, 5, only_empty=True)
    await store.append(said(0, 1))
    await store.advance(500, 5, only_empty=True)

    assert (await store.state()).last_offset == 101


class EmptiedWithin(Replaceable):
    """A store that is emptied within a training, after the log was read, and at once takes something again."""

    def __init__(self, store: Store, other: Store) -> None:
        super().__init__(store)
        self.other: Store | None = other

    async def item_changes(self, after: int, limit: int):
        if self.other is not None:
            self.store, self.other = self.other, None
            await self.store.append(said(100, 6))
        return await self.store.item_changes(after, limit)


async def test_what_a_store_takes_that_is_emptied_within_a_training_is_not_trimmed_with_what_was_learned(
    stores, tmp_path
):
    store = Replaceable(stores())
    learner = await learning(store, tmp_path)
    await store.append(said(50, 5))
    store.store = EmptiedWithin(store.store, stores())
    await learner.learn("incremental")
    await learner.learn("incremental")

    assert learned_times(learner) == [each.timestamp for each in [*said(0, 40), *said(50, 5), *said(100, 6)]]


@pytest.mark.parametrize("kept", [0, 30, 40, 43])
async def test_a_store_that_has_taken_more_than_it_had_lost_before_it_is_looked_at_is_known_for_another(
    stores, tmp_path, kept
):
    store = Replaceable(stores())
    learner = await learning(store, tmp_path)
    waiting = said(50, 5)
    await store.append(waiting)
    await learner.reconcile()
    other = stores()
    await other.append([*said(0, 40), *waiting][:kept])
    await other.append(said(100, 60))
    store.store = other
    await learner.learn("incremental")
    resets = learner.store_resets
    await learner.learn("incremental")

    assert (resets, learner.store_resets) == (1, 1)
    assert learned_times(learner) == [
        each.timestamp for each in [*said(0, 40), *waiting[: max(0, kept - 40)], *said(100, 60)]
    ]


async def test_a_log_that_is_trimmed_and_of_which_users_are_erased_is_no_other(stores, tmp_path):
    store = Replaceable(stores())
    learner = await learning(store, tmp_path)
    for start in range(50, 110, 10):
        await store.append(said(start, 10))
        await learner.reconcile()
        await store.delete_user(f"u{start // 10 % 6}")
        await learner.learn("incremental")
        await learner.reconcile()

    assert learner.store_resets == 0


class LostWhileTraining(Replaceable):
    """A store that takes something just before a training reads it, and is lost and looked at before that is done."""

    def __init__(self, store: Store, other: Store, takes: list[Interaction]) -> None:
        super().__init__(store)
        self.learner: TrainingPipeline | None = None
        self.other, self.takes = other, takes

    async def state(self):
        if self.takes:
            takes, self.takes = self.takes, []
            await self.store.append(takes)
        return await self.store.state()

    async def item_changes(self, after: int, limit: int):
        if self.learner is not None:
            learner, self.learner, self.store = self.learner, None, self.other
            await learner.reconcile()
        return await self.store.item_changes(after, limit)


@pytest.mark.parametrize(
    ("kept", "n"),
    [
        pytest.param(0, 10, id="nothing, and little new"),
        pytest.param(0, 47, id="nothing, and as much as it had"),
        pytest.param(0, 60, id="nothing, and more than it had"),
        pytest.param(40, 7, id="what was learned"),
        pytest.param(40, 20, id="what was learned, and more than it had"),
        pytest.param(43, 4, id="a part of what is being learned"),
        pytest.param(43, 5, id="a part of what is being learned, and as much as it had"),
    ],
)
async def test_a_look_within_a_training_knows_what_that_has_read(stores, tmp_path, kept, n):
    """The store had 48 entries, of which 40 are learned and 8 are being learned; it has come back with some."""
    store = Replaceable(stores())
    learner = await learning(store, tmp_path)
    under_way, later = said(50, 8), said(200, n)
    lost = store.store = LostWhileTraining(store.store, stores(), under_way)
    await lost.other.append([*said(0, 40), *under_way][:kept])
    await lost.other.append(later)
    lost.learner = learner
    await learner.learn("incremental")
    await learner.learn("incremental")

    assert learned_times(learner) == [each.timestamp for each in [*said(0, 40), *under_way, *later]]


async def test_after_a_loss_of_the_store_no_training_is_due_when_nothing_has_happened(stores, tmp_path):
    store = Replaceable(stores())
    await store.put_items([Item("i1", None, {"a": "b"}, True, 0.0)])
    learner = await learning(store, tmp_path)
    store.store = stores()
    due = [await learner.due(OFTEN)]
    await learner.learn("incremental")
    due.append(await learner.due(OFTEN))

    assert due == ["incremental", None]


class LostAgain(Replaceable):
    """A store that is lost again while what it took since the first loss is being put right."""

    def __init__(self, store: Store, other: Store) -> None:
        super().__init__(store)
        self.other: Store | None = other

    async def renumber(self, after: int, through: int) -> None:
        await self.store.renumber(after, through)
        if self.other is not None:
            self.store, self.other = self.other, None
            await self.store.append(said(200, 45))


async def test_a_store_that_is_lost_again_while_it_is_put_right_is_put_right_again(stores, tmp_path):
    store = Replaceable(stores())
    learner = await learning(store, tmp_path)
    await store.append(said(50, 20))
    await learner.reconcile()
    store.store = LostAgain(stores(), stores())
    await store.append(said(100, 10))
    await learner.learn("incremental")

    assert learner.store_resets == 2
    assert learned_times(learner) == [each.timestamp for each in [*said(0, 40), *said(200, 45)]]


async def test_whoever_is_deleted_after_a_loss_of_the_store_has_no_interactions_before_the_next_look(stores, tmp_path):
    store = Replaceable(stores())
    learner = await learning(store, tmp_path)
    store.store = stores()
    await store.delete_user("u1")

    assert (await learner.user_interactions("u2", None, 99)).interactions
    assert not (await learner.user_interactions("u1", None, 99)).interactions
