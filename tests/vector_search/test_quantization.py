"""Codes: the same answer as the exact pass over the vectors, to the bit, for fewer bytes."""

import os
import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.schema import Query
from recommender.serving.catalogue import Catalogue
from recommender.serving.recommender import Recommender
from recommender.serving.snapshot import Snapshot, Table
from recommender.storage.registry import Artifact, Registry, VersionMeta
from recommender.vector_search import kernel
from recommender.vector_search.exact import NO_ROWS, Best, Users, best_rows
from recommender.vector_search.quantization import CODED_ABOVE, LOWEST_BIAS, QuantizedBlock, encode, padded_length
from tests.support.known_worlds import shared_snapshot


def rows(n: int, width: int, kind: str, chance: np.random.Generator) -> np.ndarray:
    """Blocks that are kind and unkind to eight bits."""
    vectors = chance.standard_normal((n, width)).astype(np.float32)
    if kind == "of all lengths":
        vectors *= np.float32(10) ** chance.uniform(-6, 6, (n, 1)).astype(np.float32)
    elif kind == "one component outweighs":
        vectors[:, 0] *= 1000
    elif kind == "equal rows":
        vectors = vectors[chance.integers(0, min(5, n), n)]
    elif kind == "small integers":
        vectors = chance.integers(-2, 3, (n, width)).astype(np.float32)
    elif kind == "zeros":
        vectors[:] = 0
    return vectors


KINDS = ["normal", "of all lengths", "one component outweighs", "equal rows", "small integers", "zeros"]


@st.composite
def problems(draw):
    """Block, users, and what each may get."""
    chance = np.random.default_rng(draw(st.integers(0, 10**6)))
    n, b, width = draw(st.integers(16, 3000)), draw(st.integers(1, 4)), draw(st.sampled_from([16, 17, 30, 64, 70]))
    vectors = rows(n, width, draw(st.sampled_from(KINDS)), chance)
    users = rows(b, width, draw(st.sampled_from(KINDS)), chance)
    return {
        "vectors": vectors,
        "biases": (chance.standard_normal(n) * draw(st.sampled_from([0, 1, 1e4]))).astype(np.float32),
        "users": Users(users, (chance.standard_normal(b) * draw(st.sampled_from([0, 1, 1e6]))).astype(np.float32)),
        "wanted": draw(st.lists(st.integers(0, max(1, n // 16)), min_size=b, max_size=b)),
        "masked": chance.random(n) < draw(st.sampled_from([0.0, 0.3, 0.99, 1.0])),
        "excluded": [np.flatnonzero(chance.random(n) < 0.1).astype(np.int32) for _ in range(b)],
    }


def same(one: list[Best], other: list[Best]) -> bool:
    return [(a.rows.tolist(), a.scores.tobytes()) for a in one] == [
        (b.rows.tolist(), b.scores.tobytes()) for b in other
    ]


@settings(max_examples=60, deadline=None)
@given(problems(), st.integers(0, 99))
def test_users_with_biases_of_their_own_get_what_each_would_get_alone(problem, seed):
    chance = np.random.default_rng(seed)
    vectors, biases, users = problem["vectors"], problem["biases"], problem["users"]
    n, b = len(vectors), len(users.biases)
    added = chance.standard_normal((b, n)).astype(np.float32) * (chance.random((b, n)) < 0.1)
    own = np.full((b, padded_length(n)), LOWEST_BIAS, np.float32)
    own[:, :n] = biases + added
    codes = encode(vectors, biases, above=1)
    mine = codes and codes.with_biases(own, float(codes.limits[3] + np.abs(added).max()))
    asked = {"masked": problem["masked"], "excluded": problem["excluded"]}
    alone = [
        best_rows(
            vectors,
            own[each, :n],
            Users(users.vectors[each : each + 1], users.biases[each : each + 1]),
            problem["wanted"][each : each + 1],
            masked=asked["masked"],
            excluded=asked["excluded"][each : each + 1],
        )[0]
        for each in range(b)
    ]

    assert same(best_rows(vectors, own, users, problem["wanted"], **asked), alone)
    assert same(best_rows(vectors, own, users, problem["wanted"], **asked, codes=mine), alone)


def coded(vectors, biases) -> QuantizedBlock:
    codes = encode(vectors, biases, above=1)
    assert codes is not None
    return codes


@settings(max_examples=300, deadline=None)
@given(problems())
def test_best_rows_by_codes_are_those_of_the_vectors_to_the_bit(problem):
    codes = coded(problem["vectors"], problem["biases"])

    assert same(best_rows(**problem, codes=codes), best_rows(**problem))


@pytest.mark.parametrize("width", [16, 33, 64, 128])
def test_a_large_block_is_ruled_out_for_the_most_part(width, monkeypatch):
    chance = np.random.default_rng(0)
    vectors, biases = rows(60_000, width, "normal", chance), chance.standard_normal(60_000).astype(np.float32)
    problem = {
        "users": Users(rows(70, width, "normal", chance), np.zeros(70, np.float32)),
        "wanted": [100] * 70,
        "masked": chance.random(60_000) < 0.1,
        "excluded": [np.flatnonzero(chance.random(60_000) < 0.01).astype(np.int32) for _ in range(70)],
    }
    expected = best_rows(vectors, biases, **problem)
    # with no pass over the vectors to fall back to
    monkeypatch.delattr(kernel, "scan")

    assert same(best_rows(vectors, biases, **problem, codes=coded(vectors, biases)), expected)


def test_a_user_whose_rounding_all_leans_one_way_gets_the_row_that_leans_with_it():
    chance = np.random.default_rng(0)
    signs = chance.choice([-1, 1], 64).astype(np.float32)
    user = chance.integers(-100, 101, 64).astype(np.float32)
    # 127 makes the scale 1; what is cut off everywhere else is 0.49 in the direction of the signs
    user[:6] = [127 * signs[0], -signs[1], 0, 0, 0, 0]
    user[1:] += np.float32(0.49) * signs[1:]
    # coded, these rows are 2 ahead: they differ where the user's codes are -1 and 0; in truth they are 2.9 behind
    coded_best = signs * np.where((np.arange(64) > 0) & (np.arange(64) < 6), -1, 1)
    vectors = np.vstack([np.tile(coded_best, (63, 1)), signs]).astype(np.float32)
    asked = Users(user[None].astype(np.float32), np.zeros(1, np.float32))
    free = {"masked": np.zeros(64, np.bool_), "excluded": [NO_ROWS]}
    biases = np.zeros(64, np.float32)
    [best] = best_rows(vectors, biases, asked, [1], **free, codes=coded(vectors, biases))

    assert best.rows.tolist() == [63]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, 1e-42, 0.0])
def test_a_user_who_cannot_be_coded_gets_the_answer_of_the_vectors(value):
    chance = np.random.default_rng(0)
    vectors, biases = rows(500, 16, "normal", chance), chance.standard_normal(500).astype(np.float32)
    users = rows(2, 16, "normal", chance)
    users[1, 3:] = value
    problem = {
        "users": Users(users, np.zeros(2, np.float32)),
        "wanted": [10, 10],
        "masked": np.zeros(500, np.bool_),
        "excluded": [NO_ROWS, NO_ROWS],
    }

    assert same(
        best_rows(vectors, biases, **problem, codes=coded(vectors, biases)), best_rows(vectors, biases, **problem)
    )


def test_equal_rows_that_overflow_every_buffer_keep_catalogue_order():
    vectors, biases = np.ones((20_000, 16), np.float32), np.zeros(20_000, np.float32)
    [best] = best_rows(
        vectors,
        biases,
        Users(vectors[:1], biases[:1]),
        [10],
        masked=np.zeros(20_000, np.bool_),
        excluded=[NO_ROWS],
        codes=coded(vectors, biases),
    )

    assert best.rows.tolist() == list(range(10))


@pytest.mark.parametrize(
    ("n", "width", "value"),
    [(CODED_ABOVE - 1, 32, 1.0), (CODED_ABOVE, 8, 1.0), (CODED_ABOVE, 1025, 1.0), (CODED_ABOVE, 32, np.inf)],
)
def test_a_block_that_gains_nothing_or_is_not_finite_has_no_codes(n, width, value):
    vectors, biases = np.ones((n, width), np.float32), np.zeros(n, np.float32)
    vectors[-1, -1] = value

    assert encode(vectors, biases) is None


def test_codes_take_a_quarter_of_the_block_and_eight_bytes_a_row():
    vectors = np.ones((64_000, 64), np.float32)
    codes = coded(vectors, vectors[:, 0])
    size = sum(array.nbytes for array in codes.to_arrays().values())

    assert size == vectors.nbytes // 4 + 64_000 * 8 + 16


def widened(snapshot: Snapshot, width: int) -> Snapshot:
    """The same with components of zero behind its own."""
    behind = ((0, 0), (0, width - snapshot.no_components))
    names = ("items", "user_features", "user_indicators", "item_features", "newcomer_features")
    tables = {
        name: Table(np.pad(getattr(snapshot, name).vectors, behind), getattr(snapshot, name).biases) for name in names
    }
    return replace(snapshot, **tables)


def test_a_snapshot_answers_alike_with_codes_and_as_a_version_from_before_them():
    snapshot = widened(shared_snapshot(), 20)
    with_codes = replace(snapshot, codes=encode(*snapshot.items, above=1))
    back = Snapshot.from_arrays(with_codes.to_arrays(), with_codes.to_meta())
    before = Snapshot.from_arrays(snapshot.to_arrays(), snapshot.to_meta())
    queries = [Query(user_id=user_id, k=1) for user_id in snapshot.user_ids]
    answers = [[Recommender(Catalogue(each)).recommend(query).items for query in queries] for each in (back, before)]

    assert before.codes is None
    assert (back.codes is not None) == kernel.has_byte_products()
    assert answers[0] == answers[1]


def test_codes_are_published_and_read_back_with_their_snapshot(tmp_path):
    snapshot = widened(shared_snapshot(), 20)
    snapshot = replace(snapshot, codes=encode(*snapshot.items, above=1))
    registry = Registry(tmp_path)
    meta = VersionMeta(snapshot=snapshot.to_meta())
    registry.publish(Artifact({"snapshot": snapshot.to_arrays()}, meta), parent=None, status="ready")
    loaded = registry.load_current()

    assert loaded is not None
    arrays = loaded[1].parts["snapshot"]
    assert {name for name in arrays if name.startswith("codes.")} == {
        f"codes.{each.name}" for each in fields(QuantizedBlock)
    }
    assert arrays["codes.codes"].tobytes() == snapshot.codes.codes.tobytes()


PLAIN = """
import numpy as np
from recommender.vector_search import kernel
from recommender.vector_search.quantization import encode
from recommender.vector_search.exact import NO_ROWS, Users, best_rows
assert not kernel.has_byte_products()
chance = np.random.default_rng(0)
vectors, biases = chance.standard_normal((3000, 20), np.float32), chance.standard_normal(3000, np.float32)
asked = Users(chance.standard_normal((3, 20), np.float32), np.zeros(3, np.float32))
free = {"masked": np.zeros(3000, np.bool_), "excluded": [NO_ROWS] * 3}
codes = encode(vectors, biases, above=1)
one, other = (best_rows(vectors, biases, asked, [50] * 3, **free, codes=each) for each in (codes, None))
assert [best.rows.tolist() for best in one] == [best.rows.tolist() for best in other]
"""


@pytest.mark.slow
def test_a_processor_without_products_of_bytes_computes_the_same(tmp_path):
    environment = {
        **os.environ,
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_CACHE_DIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PLAIN], env=environment, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
