"""Index: approximate search that is exact in all it returns."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.serving.catalogue import Catalogue
from recommender.serving.retrieval import RetrievalRequest, choose
from recommender.serving.snapshot import Snapshot, Table
from recommender.training.index_builder import RECALL, Sample, build_index, indexed
from recommender.vector_search import ivf as search
from recommender.vector_search.exact import NO_ROWS, Users, best_rows
from recommender.vector_search.ivf import DEPTH, Index, search_inverted_file
from tests.support.known_worlds import ITEMS, USERS, shared_snapshot, shared_world

N, WIDTH = 30_000, 24


def tasteful(n: int, seed: int, groups: int = 300) -> np.ndarray:
    """Vectors as training leaves them: groups of unequal size, in directions of unequal weight."""
    chance = np.random.default_rng(seed)
    weights = np.linspace(1, 0.1, WIDTH)
    centres = np.random.default_rng(7).standard_normal((groups, WIDTH)) * weights
    return (centres[chance.integers(0, groups, n)] + 0.5 * chance.standard_normal((n, WIDTH)) * weights).astype(
        np.float32
    )


@pytest.fixture(scope="module")
def items() -> Table:
    biases = np.random.default_rng(1).standard_normal(N).astype(np.float32) * 0.5
    return Table(tasteful(N, 0), biases)


def sample(m: int = 600, seed: int = 2) -> Sample:
    return Sample(tasteful(m, seed), [NO_ROWS] * m)


@pytest.fixture(scope="module")
def index(items) -> Index:
    built = build_index(items, sample())
    assert built is not None
    return built[0]


def users(m: int, seed: int = 3) -> Users:
    return Users(tasteful(m, seed), np.random.default_rng(seed).standard_normal(m).astype(np.float32))


def asked(m: int = 50, k: int = DEPTH, seed: int = 3) -> dict:
    """Users whom the index has not seen, each with rows that they must not get."""
    chance = np.random.default_rng(seed)
    return {
        "users": users(m, seed),
        "wanted": [k] * m,
        "masked": chance.random(N) < 0.1,
        "excluded": [np.flatnonzero(chance.random(N) < 0.01).astype(np.int32) for _ in range(m)],
    }


def same(one, other) -> bool:
    return one.rows.tolist() == other.rows.tolist() and one.scores.tobytes() == other.scores.tobytes()


def test_the_best_rows_of_users_it_has_not_seen_are_found(items, index):
    problem = asked(k=DEPTH)
    assert index.probes_for(int((~problem["masked"]).sum()), 50, coded=False) is not None
    pairs = zip(search_inverted_file(index, *items, **problem), best_rows(*items, **problem), strict=True)

    assert np.mean([np.isin(exact.rows, found.rows).mean() for found, exact in pairs]) >= RECALL


def test_it_reads_a_small_part_of_the_rows(index):
    assert index.probes < 0.1 * len(index.reach)


def test_every_row_is_in_one_list(index):
    assert np.sort(index.indices).tolist() == list(range(N))
    assert index.indptr[0] == 0
    assert index.indptr[-1] == N


def test_what_is_found_has_the_bits_and_the_order_of_the_exact_pass(items, index):
    problem = asked()
    everyone = best_rows(*items, **problem | {"wanted": [N] * 50})
    for found, exact in zip(search_inverted_file(index, *items, **problem), everyone, strict=True):
        kept = np.isin(exact.rows, found.rows)

        assert exact.rows[kept].tolist() == found.rows.tolist()
        assert exact.scores[kept].tobytes() == found.scores.tobytes()


def test_a_batch_gets_what_each_user_gets_alone(items, index, monkeypatch):
    monkeypatch.setattr(search, "SHARED_COST", 1.0)  # else the two may differ in whether they are exact
    problem = asked(20)
    for number, found in enumerate(search_inverted_file(index, *items, **problem)):
        own = slice(number, number + 1)
        alone = {name: problem[name][own] for name in ("wanted", "excluded")}
        alone |= {"users": Users(*(part[own] for part in problem["users"])), "masked": problem["masked"]}

        assert same(search_inverted_file(index, *items, **alone)[0], found)


@pytest.mark.usefixtures("costless_lists")
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.3, 0.7, 0.95, 0.999, 1.0]), st.integers(0, DEPTH + 5))
def test_nobody_gets_what_is_masked_or_excluded_nor_less_than_there_is(seed, share, k):
    items, index = small_world()
    chance, n = np.random.default_rng(seed), len(items.biases)
    masked = chance.random(n) < share
    excluded = [np.flatnonzero(chance.random(n) < own).astype(np.int32) for own in (0.0, 0.5, 0.99)]
    problem = {"users": users(3, seed), "wanted": [k] * 3, "masked": masked, "excluded": excluded}
    for found, own in zip(search_inverted_file(index, *items, **problem), excluded, strict=True):
        allowed = np.setdiff1d(np.flatnonzero(~masked), own)

        assert np.isin(found.rows, allowed).all()
        assert len(set(found.rows.tolist())) == len(found.rows) == min(k, len(allowed))
        assert (np.diff(found.scores) <= 0).all()


SMALL: list[tuple[Table, Index]] = []


def small_world() -> tuple[Table, Index]:
    """Two thousand rows in forty lists, of which three are read, whatever that costs."""
    if not SMALL:
        items = Table(tasteful(2000, 0), np.zeros(2000, np.float32))
        lists = np.random.default_rng(0).permutation(2000).astype(np.int32).reshape(40, 50)
        means = np.ascontiguousarray(items.vectors[lists].mean(axis=1))
        indptr = np.arange(0, 2001, 50)
        SMALL.append((items, Index(means, np.zeros(40, np.float32), indptr, np.sort(lists).ravel(), 3)))
    return SMALL[0]


@pytest.fixture(scope="class")  # of functions that is each; hypothesis wants it to hold for all examples
def costless_lists():
    """Lists are read even where an exact pass would cost less, as it does in worlds too small for an index."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "SEARCH_COST", 0)
        patch.setattr(search, "LISTED_COST", 0)
        yield


@pytest.mark.usefixtures("costless_lists")
def test_where_the_lists_hold_too_few_rows_the_answer_is_exact():
    items, index = small_world()
    allowed = np.arange(0, 2000, 20)
    masked = np.ones(2000, np.bool_)
    masked[allowed[:60]] = False
    problem = {"users": users(4), "wanted": [50] * 4, "masked": masked, "excluded": [NO_ROWS] * 4}

    assert all(map(same, search_inverted_file(index, *items, **problem), best_rows(*items, **problem)))


def test_who_wants_more_than_was_measured_is_answered_exactly(items, index):
    problem = asked(5, DEPTH + 1)

    assert all(map(same, search_inverted_file(index, *items, **problem), best_rows(*items, **problem)))


def test_without_an_index_all_is_exact(items):
    problem = asked(5)

    assert all(map(same, search_inverted_file(None, *items, **problem), best_rows(*items, **problem)))


def test_fewer_allowed_rows_take_more_lists_until_a_pass_costs_less(index):
    assert index.probes_for(N // 2, 1, coded=False) == 2 * index.probes
    assert index.probes_for(10, 1, coded=False) is None
    assert index.probes_for(0, 1, coded=False) is None


def test_a_pass_over_codes_costs_less_than_what_one_over_the_vectors_does_not(index):
    assert index.probes_for(N, 1, coded=False) == index.probes
    assert index.probes_for(N, 1, coded=True) is None


def test_vectors_without_any_structure_get_no_index():
    chance = np.random.default_rng(0)
    items = Table(chance.standard_normal((20_000, 64)).astype(np.float32), np.zeros(20_000, np.float32))
    random_users = chance.standard_normal((200, 64)).astype(np.float32)

    assert build_index(items, Sample(random_users, [NO_ROWS] * 200)) is None


def test_too_few_users_to_measure_by_get_no_index(items):
    assert build_index(items, sample(10)) is None


def test_rows_that_are_all_alike_leave_no_list_without_a_row_nor_a_number_that_cannot_be_stored(items):
    alike = np.arange(N) % 2 == 0
    twins = Table(np.where(alike[:, None], items.vectors[0], items.vectors), np.where(alike, -9.0, items.biases))
    twins = Table(*(array.astype(np.float32) for array in twins))
    built = build_index(twins, sample())

    assert built is not None
    index, recall = built
    assert (np.diff(index.indptr) > 0).all()
    assert np.isfinite(index.reach).all()
    assert np.isfinite(index.vectors).all()
    assert np.sort(index.indices).tolist() == list(range(N))
    assert recall >= RECALL


def test_an_index_goes_on_from_that_of_the_parent(items, index):
    grown = Table(np.concatenate([items.vectors, tasteful(500, 9)]), np.append(items.biases, np.zeros(500, np.float32)))
    built = build_index(grown, sample(), parent=index)

    assert built is not None
    assert len(built[0].reach) == len(index.reach)
    assert np.sort(built[0].indices).tolist() == list(range(N + 500))
    assert built[1] >= RECALL


def in_lists(snapshot: Snapshot) -> Snapshot:
    """With two lists, of which one is read."""
    n = snapshot.n_items
    half = n // 2
    means = np.stack([snapshot.items.vectors[:half].mean(axis=0), snapshot.items.vectors[half:].mean(axis=0)])
    rows = np.arange(n, dtype=np.int32)
    index = Index(means, np.zeros(2, np.float32), np.array([0, half, n]), rows, 1)
    return replace(snapshot, index=index, meta={**snapshot.meta, "index": {"probes": 1}})


def test_a_snapshot_keeps_its_index_as_arrays():
    snapshot = in_lists(shared_snapshot())
    again = Snapshot.from_arrays(snapshot.to_arrays(), snapshot.to_meta())

    assert again.index is not None
    assert again.index.probes == 1
    assert {name: array.tobytes() for name, array in again.index.to_arrays().items()} == {
        name: array.tobytes() for name, array in snapshot.index.to_arrays().items()
    }


def test_a_snapshot_that_was_published_without_an_index_is_read():
    snapshot = shared_snapshot()

    assert not [name for name in snapshot.to_arrays() if name.startswith("index")]
    assert Snapshot.from_arrays(snapshot.to_arrays(), snapshot.to_meta()).index is None


@pytest.mark.usefixtures("costless_lists")
def test_a_catalogue_with_an_index_chooses_from_the_lists_that_it_reads():
    snapshot = in_lists(shared_snapshot())
    user = snapshot.user_vector(snapshot.user_index(USERS[0]), snapshot.user_space.encode({}), np.zeros((0, 0)))
    [few] = choose(Catalogue(snapshot), [RetrievalRequest(user, 3)])
    [all_of_them] = choose(Catalogue(snapshot), [RetrievalRequest(user, len(ITEMS) + 5)])
    [exact] = choose(Catalogue(replace(snapshot, index=None)), [RetrievalRequest(user, len(ITEMS) + 5)])

    assert len({position < snapshot.n_items // 2 for position in few.positions}) == 1
    assert all_of_them.positions == exact.positions


@pytest.mark.parametrize("above", [None, 1_000])
def test_a_catalogue_below_the_threshold_has_no_index(above):
    snapshot = in_lists(shared_snapshot())
    bare = indexed(shared_world().model, snapshot, above)

    assert bare.index is None
    assert "index" not in bare.meta


@pytest.mark.usefixtures("costless_lists")
def test_a_trained_snapshot_says_how_much_its_index_finds():
    found = indexed(shared_world().model, shared_snapshot(), above=1)

    assert found.index is not None
    assert found.meta["index"]["recall"] >= RECALL
    assert found.meta["index"]["probes"] == found.index.probes <= found.meta["index"]["lists"]
    assert Snapshot.from_arrays(found.to_arrays(), found.to_meta()).index.probes == found.index.probes


def test_rows_with_a_bias_of_the_users_own_are_found_whatever_their_lists_promise(items, index):
    everyone, chance = users(3), np.random.default_rng(5)
    free = {"masked": np.zeros(N, np.bool_), "excluded": [NO_ROWS] * 3}
    touched = [np.sort(chance.choice(N, 200, replace=False)).astype(np.int32) for _ in range(3)]
    own = np.repeat(items.biases[None], 3, axis=0)
    for user, rows in enumerate(touched):
        own[user, rows] += np.where(np.arange(200) % 2, 50, -50).astype(np.float32)
    [*found] = search_inverted_file(index, items.vectors, own, everyone, [100] * 3, **free, read=touched)
    exact = best_rows(items.vectors, own, everyone, [100] * 3, **free)

    assert index.probes_for(N, 3, coded=False) is not None
    for best, true in zip(found, exact, strict=True):
        assert best.rows.tolist() == true.rows.tolist()
        assert best.scores.tobytes() == true.scores.tobytes()
