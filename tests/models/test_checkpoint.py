"""A model put away as arrays goes on exactly where it stood."""

import json

import numpy as np
import pytest
from safetensors.numpy import load, save

from recommender import LFMRecommender, SparseFrame
from recommender.errors import NotFittedError
from recommender.models.checkpoint import model_from_arrays, model_to_arrays, model_to_meta
from recommender.models.compiled_trainer import TABLES
from tests.support.known_worlds import INDICATORS, ITEMS, USERS, make_world

ALL_TABLES = [f"{what}_{table}" for what in ("user", "item") for table in TABLES]


def through_disk(model: LFMRecommender) -> LFMRecommender:
    """The model as another process would find it."""
    arrays = load(save({name: np.ascontiguousarray(array) for name, array in model_to_arrays(model).items()}))
    for array in arrays.values():
        array.flags.writeable = False
    return model_from_arrays(arrays, json.loads(json.dumps(model_to_meta(model))))


def assert_same(one: LFMRecommender, other: LFMRecommender) -> None:
    mine, theirs = model_to_arrays(one), model_to_arrays(other)

    assert mine.keys() == theirs.keys()
    assert all(np.array_equal(mine[name], theirs[name]) for name in mine)
    assert [mine[name].dtype for name in mine] == [theirs[name].dtype for name in mine]
    assert model_to_meta(one) == model_to_meta(other)


@pytest.mark.parametrize("schedule", ["adagrad", "adadelta"])
@pytest.mark.parametrize("loss", ["warp", "bpr", "logistic", "warp-kos"])
def test_training_that_was_interrupted_is_training_that_was_not(loss, schedule):
    options = {"loss": loss, "learning_schedule": schedule, "item_alpha": 1e-5, "max_sampled": 5}
    straight = make_world(epochs=4, **options)
    begun = make_world(epochs=2, **options)
    resumed = through_disk(begun.model).fit_partial(begun.interactions, epochs=2)

    assert all(np.array_equal(getattr(resumed, name), getattr(straight.model, name)) for name in ALL_TABLES)


@pytest.mark.parametrize("indicators", INDICATORS)
def test_growing_after_a_restart_is_growing_without_one(indicators):
    world = make_world(indicators)
    users = SparseFrame(["new"], ["group=g1", "planet=mars"], np.ones((1, 2)))
    items = SparseFrame(["gadget", "i4"], ["tags=all", "colour=red"], np.ones((2, 2)))
    pairs = SparseFrame.from_interactions(["new", "new", "u3"], ["gadget", "i4", "gadget"])
    restarted = through_disk(world.model).fit_partial(pairs, users, items, epochs=3)
    world.model.fit_partial(pairs, users, items, epochs=3)

    assert_same(restarted, world.model)


@pytest.mark.parametrize("indicators", INDICATORS)
def test_a_restored_model_answers_as_it_did(indicators):
    world = make_world(indicators)
    restored = through_disk(world.model)
    for user in [*USERS, "stranger"]:
        arguments = (user, [*ITEMS, "i100"], world.items(*ITEMS, "i100"), world.users(*USERS))
        before = world.model.predict_online(*arguments, use_baseline=True)
        after = restored.predict_online(*arguments, use_baseline=True)

        assert after.to_dict() == before.to_dict()
        assert after.attrs == before.attrs


def test_a_restored_model_is_put_away_as_it_was(world):
    assert_same(through_disk(world.model), world.model)


def test_fitting_a_restored_model_anew_begins_at_its_seed(world):
    restored = through_disk(world.model)
    restored.fit(world.interactions, world.user_frame, world.item_frame, epochs=4)

    assert_same(restored, world.model)


def test_restored_tables_are_copies_that_can_be_written(world):
    arrays = model_to_arrays(world.model)
    restored = model_from_arrays(arrays, model_to_meta(world.model))
    for name in ALL_TABLES:
        table = getattr(restored, name)

        assert table.flags.writeable
        assert table.flags.c_contiguous
        assert not np.shares_memory(table, arrays[name])


def test_no_array_needs_pickle(world):
    assert all(array.dtype.kind in "fiu" for array in model_to_arrays(world.model).values())


def test_a_generator_that_was_passed_in_goes_on_too():
    def begun() -> LFMRecommender:
        generator = np.random.RandomState(5)
        generator.standard_normal()  # half of a pair is left in the generator
        model = LFMRecommender(no_components=3, loss="warp", random_state=generator)
        return model.fit(SparseFrame.from_interactions(["u", "v"], ["i", "j"]))

    one, other = begun(), through_disk(begun())

    assert one.random_state.standard_normal() == other.random_state.standard_normal()
    assert one.random_state.rand() == other.random_state.rand()


def test_a_model_without_features_is_restored():
    model = LFMRecommender(no_components=3, loss="warp", random_state=0)
    model.fit(SparseFrame.from_interactions(["ж", "v"], ["i", "🎬"]))

    assert_same(through_disk(model), model)
    assert list(through_disk(model).items.ids) == ["i", "🎬"]


def test_an_untrained_model_has_no_state():
    with pytest.raises(NotFittedError):
        model_to_arrays(LFMRecommender())
