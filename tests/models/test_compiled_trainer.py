"""The compiled trainer does what LightFM's loop does: step by step where nothing is drawn, in quality where it is."""

import copy
import json

import numpy as np
import pytest
from lightfm import LightFM
from scipy import sparse

from recommender import LFMRecommender
from recommender.errors import InvalidDataError, TrainingError
from recommender.models.checkpoint import model_from_arrays, model_to_arrays, model_to_meta
from recommender.models.compiled_trainer import TABLES, CompiledTrainer
from recommender.sparse_frame import SparseFrame
from tests.support.known_worlds import INDICATORS, ITEMS, USERS, make_world, parity

LOSSES = ["logistic", "warp", "bpr", "warp-kos"]
SCHEDULES = ["adagrad", "adadelta"]
N_USERS, N_ITEMS, N_PAIRS = 60, 40, 600
ALL_TABLES = [f"{what}_{table}" for what in ("user", "item") for table in TABLES]


def features(n: int, *, shared: bool = True) -> sparse.csr_matrix:
    own = sparse.identity(n, dtype=np.float32)
    some = sparse.random(n, 40, 0.3, random_state=1, dtype=np.float32)
    return sparse.csr_matrix(sparse.hstack([some, own]) if shared else own, dtype=np.float32)


def pairs(seed: int = 0, *, dislikes: bool = True) -> sparse.coo_matrix:
    chance = np.random.default_rng(seed)
    places = (chance.integers(0, N_USERS, N_PAIRS), chance.integers(0, N_ITEMS, N_PAIRS))
    values = np.where(chance.random(N_PAIRS) < 0.2 * dislikes, -1, 1).astype(np.float32)
    return sparse.csr_matrix((values, places), (N_USERS, N_ITEMS)).tocoo()


def weights_of(interactions: sparse.coo_matrix) -> sparse.coo_matrix:
    values = np.random.default_rng(5).random(interactions.nnz).astype(np.float32)
    return sparse.coo_matrix((values, (interactions.row, interactions.col)), interactions.shape)


def begun(interactions, users, items, **options) -> LightFM:
    model = LightFM(no_components=10, learning_rate=0.05, random_state=3, **options)
    return model.fit_partial(interactions, users, items, epochs=0)


def lightfms_order(model: LightFM, n: int) -> np.ndarray:
    """What LightFM would go over next, in that order; the model's generator stands where LightFM's then does."""
    order = np.arange(n, dtype=np.int32)
    model.random_state.shuffle(order)
    return order


def train_compiled(model, interactions, users, items, weights, *, epochs=1, max_age=0) -> None:
    values = np.ones(interactions.nnz, np.float32) if weights is None else weights.data
    trainer = CompiledTrainer(model, interactions, users, items, values, max_age=max_age)
    for _ in range(epochs):
        trainer.run_epoch(order=lightfms_order(model, interactions.nnz))


def assert_close(one: LightFM, other: LightFM, tolerance: float = 1e-5) -> None:
    for name in ALL_TABLES:
        np.testing.assert_allclose(
            getattr(one, name), getattr(other, name), rtol=tolerance, atol=tolerance, err_msg=name
        )


@pytest.mark.parametrize("alpha", [0.0, 1e-3])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("loss", LOSSES)
def test_an_epoch_in_lightfms_order_with_its_seed_gives_lightfms_weights(loss, shared, schedule, alpha):
    interactions = pairs(dislikes=loss != "warp-kos")
    users, items = features(N_USERS, shared=shared), features(N_ITEMS, shared=shared)
    weights = None if loss == "warp-kos" else weights_of(interactions)
    how = {"loss": loss, "learning_schedule": schedule, "item_alpha": alpha, "user_alpha": alpha}
    theirs = begun(interactions, users, items, **how)
    ours = copy.deepcopy(theirs)

    theirs.fit_partial(interactions, users, items, weights, epochs=1)
    train_compiled(ours, interactions, users, items, weights)

    assert_close(ours, theirs)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_step_of_one_example_is_lightfms(loss, schedule):
    interactions = sparse.coo_matrix(([np.float32(1)], ([2], [3])), (N_USERS, N_ITEMS))
    users, items = features(N_USERS), features(N_ITEMS)
    theirs = begun(interactions, users, items, loss=loss, learning_schedule=schedule)
    before, ours = copy.deepcopy(theirs), copy.deepcopy(theirs)

    theirs.fit_partial(interactions, users, items, epochs=1)
    train_compiled(ours, interactions, users, items, None)

    assert_close(ours, theirs, 1e-6)
    assert not np.array_equal(before.user_biases, ours.user_biases)


@pytest.mark.parametrize("loss", LOSSES)
def test_either_goes_on_where_the_other_stopped(loss):
    interactions = pairs(dislikes=False)
    users, items = features(N_USERS), features(N_ITEMS)
    theirs = begun(interactions, users, items, loss=loss)
    ours = copy.deepcopy(theirs)

    theirs.fit_partial(interactions, users, items, epochs=3)
    ours.fit_partial(interactions, users, items, epochs=1)
    train_compiled(ours, interactions, users, items, None)
    ours.fit_partial(interactions, users, items, epochs=1)

    assert_close(ours, theirs, 1e-3)


def test_a_strong_regularisation_is_written_into_the_weights_when_it_is_due():
    interactions, users, items = pairs(), features(N_USERS), features(N_ITEMS)
    theirs = begun(interactions, users, items, loss="logistic", item_alpha=2.0, user_alpha=2.0)
    ours = copy.deepcopy(theirs)

    theirs.fit_partial(interactions, users, items, epochs=1)
    train_compiled(ours, interactions, users, items, None)

    assert_close(ours, theirs, 1e-2)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_every_interaction_is_trained_once_whatever_the_threads(threads):
    interactions = pairs(dislikes=False)
    users, items = features(N_USERS, shared=False), features(N_ITEMS, shared=False)
    model = begun(interactions, users, items, loss="logistic", learning_schedule="adagrad")
    trainer = CompiledTrainer(model, interactions, users, items, np.ones(interactions.nnz, np.float32))

    trainer.run_epoch(threads)

    touched = np.unique(interactions.row)
    untouched = np.setdiff1d(np.arange(N_USERS), touched)
    assert (model.user_bias_gradients[touched] > 1).all()
    assert (model.user_bias_gradients[untouched] == 1).all()


def test_tables_begin_at_a_cache_line_and_keep_every_bit():
    interactions = pairs()
    model = begun(interactions, features(N_USERS), features(N_ITEMS), loss="warp")
    for name in ALL_TABLES:
        table = getattr(model, name)
        shifted = np.empty(table.size + 1, np.float32)[1:].reshape(table.shape)
        shifted[...] = table
        setattr(model, name, shifted)
    before = copy.deepcopy(model)
    CompiledTrainer(model, interactions, features(N_USERS), features(N_ITEMS), np.ones(interactions.nnz, np.float32))

    for name in ALL_TABLES:
        assert getattr(model, name).ctypes.data % 64 == 0
        np.testing.assert_array_equal(getattr(model, name), getattr(before, name))


def test_negatives_found_by_sums_that_are_some_steps_old_train_as_well():
    chance = np.random.default_rng(0)
    groups = np.arange(N_USERS) % 2, np.arange(N_ITEMS) % 2
    places = np.nonzero((groups[0][:, None] == groups[1]) & (chance.random((N_USERS, N_ITEMS)) < 0.3))
    interactions = sparse.coo_matrix((np.ones(len(places[0]), np.float32), places), (N_USERS, N_ITEMS))
    users, items = features(N_USERS), features(N_ITEMS)

    for max_age in (0, None):
        model = begun(interactions, users, items, loss="warp")
        train_compiled(model, interactions, users, items, None, epochs=20, max_age=max_age)
        scores = (users @ model.user_embeddings) @ (items @ model.item_embeddings).T + items @ model.item_biases
        best = np.argsort(-scores, axis=1)[:, :10]
        assert (groups[1][best] == groups[0][:, None]).mean() > 0.9


@pytest.mark.parametrize("max_age", [0, 50])
def test_one_thread_gives_the_same_bits_for_the_same_seed(max_age):
    interactions, users, items = pairs(), features(N_USERS), features(N_ITEMS)
    one = begun(interactions, users, items, loss="warp")
    other = copy.deepcopy(one)

    for model in (one, other):
        train_compiled(model, interactions, users, items, None, epochs=3, max_age=max_age)

    for name in ALL_TABLES:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_frozen_rows_stay_where_they_are():
    interactions, users, items = pairs(), features(N_USERS), features(N_ITEMS)
    model = begun(interactions, users, items, loss="warp")
    model.item_embedding_gradients[:], model.item_bias_gradients[:] = 1e30, 1e30
    before = model.item_embeddings.copy()

    train_compiled(model, interactions, users, items, None, epochs=3)

    np.testing.assert_array_equal(model.item_embeddings, before)


@pytest.mark.parametrize("indicators", INDICATORS)
@pytest.mark.parametrize("loss", ["warp", "bpr", "warp-kos"])
def test_a_checkerboard_is_learned_with_any_loss_and_indicators(loss, indicators):
    world = make_world(indicators, loss=loss, no_components=8, learning_rate=0.1, random_state=1)
    model = world.model.fit(world.interactions, world.user_frame, world.item_frame, epochs=60)

    for user in USERS:
        scores = model.predict_online(user, ITEMS, world.items(*ITEMS), world.users(user))
        liked = [scores[item] for item in ITEMS if parity(item) == parity(user)]
        others = [scores[item] for item in ITEMS if parity(item) != parity(user)]
        assert np.mean(liked) > max(others)


def test_two_taste_groups_are_ranked_as_well_as_by_lightfm():
    chance = np.random.default_rng(0)
    users = np.repeat(np.arange(300), 12)
    items = chance.integers(0, 100, len(users)) * 2 + users % 2
    noise = chance.random(len(users)) < 0.2
    items[noise] = chance.integers(0, 200, noise.sum())
    frame = SparseFrame.from_interactions([f"u{u}" for u in users], [f"i{i}" for i in items])
    shares = {}

    for fit_with in ("lightfm", "compiled"):
        model = LFMRecommender(fit_with=fit_with, no_components=16, loss="warp", random_state=2).fit(frame, epochs=15)
        scores = model.user_embeddings @ model.item_embeddings.T + model.item_biases
        best = np.argsort(-scores, axis=1)[:, :20]
        groups = [np.array([parity(each) for each in side.ids]) for side in (model.users, model.items)]
        shares[fit_with] = (groups[1][best] == groups[0][:, None]).mean()

    assert shares["lightfm"] > 0.8
    assert abs(shares["compiled"] - shares["lightfm"]) < 0.03


def test_warp_kos_survives_more_draws_than_there_are_items():
    frame = SparseFrame.from_interactions(["a", "b", "c"], ["x", "y", "z"])
    model = LFMRecommender(loss="warp-kos", max_sampled=30, random_state=1).fit(frame, epochs=20)

    assert np.isfinite(model.item_embeddings).all()


def test_weights_that_explode_are_a_training_error():
    frame = SparseFrame.from_interactions(["a", "b", "c"], ["x", "y", "z"])

    with pytest.raises(TrainingError, match="learning_rate is"):
        LFMRecommender(loss="bpr", learning_rate=1e38, random_state=1).fit(frame, epochs=20)


def test_whose_loop_trains_is_a_parameter_that_a_checkpoint_keeps():
    frame = SparseFrame.from_interactions(["a", "b", "c"], ["x", "y", "z"])
    model = LFMRecommender(fit_with="lightfm", loss="warp", random_state=1).fit(frame)
    meta = json.loads(json.dumps(model_to_meta(model)))

    assert model_from_arrays(model_to_arrays(model), meta).fit_with == "lightfm"
    del meta["parameters"]["fit_with"]  # of a version that knew no other
    assert model_from_arrays(model_to_arrays(model), meta).fit_with == "compiled"


def test_an_unknown_loop_is_refused():
    with pytest.raises(InvalidDataError, match="fit_with is 'fast'; it must be 'compiled' or 'lightfm'"):
        LFMRecommender(fit_with="fast")
