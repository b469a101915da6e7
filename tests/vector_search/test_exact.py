"""Best rows against a plain second implementation."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.vector_search import kernel
from recommender.vector_search.exact import NO_ROWS, Best, Users, best_rows, merged, warm_up

few = st.sampled_from([-1.5, -0.0, 0.0, 1.0, 1.5])
"""Numbers whose sums and products are exact, so that equal scores are plenty and order is everything."""


@st.composite
def problems(draw):
    """Block, users, and what each may get."""
    seed, n, b = draw(st.integers(0, 10**6)), draw(st.integers(0, 70)), draw(st.integers(1, 4))
    width = draw(st.sampled_from([0, 1, 2, 7, 8, 9, 16, 20]))
    chance = np.random.default_rng(seed)
    values = np.array([-1.5, -1.0, -0.0, 0.0, 0.5, 2.0], np.float32)
    masked = chance.random(n) < draw(st.sampled_from([0.0, 0.3, 1.0]))
    excluded = [np.flatnonzero(chance.random(n) < 0.2).astype(np.int32) for _ in range(b)]
    listed = draw(st.booleans())
    return {
        "vectors": chance.choice(values, (n, width)),
        "biases": chance.choice(values, n),
        "users": Users(chance.choice(values, (b, width)), chance.choice(values, b)),
        "wanted": draw(st.lists(st.integers(0, 90), min_size=b, max_size=b)),
        "masked": masked,
        "excluded": excluded,
        "rows": chance.permutation(n)[: n // 2].astype(np.int32) if listed else None,
    }


def by_sorting(vectors, biases, users, wanted, masked, excluded, rows) -> list[tuple[list[int], list[float]]]:
    answers = []
    listed = list(range(len(vectors))) if rows is None else rows.tolist()
    for vector, bias, k, own in zip(*users, wanted, excluded, strict=True):
        score = {row: float(vectors[row].astype(float) @ vector.astype(float) + biases[row] + bias) for row in listed}
        kept = [row for row in listed if not masked[row] and row not in own.tolist()]
        best = sorted(kept, key=lambda row: -score[row])[:k]  # the sort is stable: equals keep their order
        answers.append((best, [score[row] for row in best]))
    return answers


def block(n: int = 3000, width: int = 20, b: int = 9, seed: int = 0) -> dict:
    """Random problem of some size."""
    chance = np.random.default_rng(seed)
    return {
        "vectors": chance.standard_normal((n, width), np.float32),
        "biases": chance.standard_normal(n, np.float32),
        "users": Users(chance.standard_normal((b, width), np.float32), chance.standard_normal(b, np.float32)),
        "wanted": [1 + 40 * number for number in range(b)],
        "masked": chance.random(n) < 0.1,
        "excluded": [np.flatnonzero(chance.random(n) < 0.02).astype(np.int32) for _ in range(b)],
    }


def same_bits(one: Best, other: Best) -> bool:
    return one.rows.tolist() == other.rows.tolist() and one.scores.tobytes() == other.scores.tobytes()


@settings(max_examples=400, deadline=None)
@given(problems())
def test_best_rows_are_a_stable_sort_cut_off(problem):
    found = best_rows(**problem)

    assert [(best.rows.tolist(), best.scores.tolist()) for best in found] == by_sorting(**problem)
    assert all(best.rows.dtype == np.int32 and best.scores.dtype == np.float32 for best in found)


@pytest.mark.parametrize("order", ["rising", "falling", "level", "random"])
@pytest.mark.parametrize("k", [1, 10, 1000, 30_000])
def test_a_long_block_is_cut_as_a_short_one(k, order):
    n = 20_000
    scores = np.random.default_rng(0).integers(0, 500, n).astype(np.float32)
    scores = {"rising": np.sort(scores), "falling": -np.sort(scores), "level": np.zeros(n, np.float32)}.get(
        order, scores
    )
    users = Users(np.zeros((1, 0), np.float32), np.zeros(1, np.float32))
    [best] = best_rows(
        np.zeros((n, 0), np.float32), scores, users, [k], masked=np.zeros(n, np.bool_), excluded=[NO_ROWS]
    )

    assert best.rows.tolist() == np.lexsort((np.arange(n), -scores))[:k].tolist()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 130), st.integers(0, 10**6))
def test_scores_are_those_of_a_matrix_product(width, seed):
    problem = block(300, width, 3, seed)
    expected = problem["vectors"].astype(float) @ problem["users"].vectors.T.astype(float)
    expected += problem["biases"][:, None] + problem["users"].biases
    for user, best in enumerate(best_rows(**problem)):
        assert best.scores == pytest.approx(expected[best.rows, user], abs=1e-4)


@pytest.mark.parametrize("width", [1, 8, 20, 64])
def test_a_batch_has_the_same_bits_as_each_user_alone_and_each_row_from_a_list(width):
    problem = block(width=width)
    together = best_rows(**problem)
    users = problem["users"]
    for user, best in enumerate(together):
        alone = {
            **problem,
            "users": Users(users.vectors[user : user + 1], users.biases[user : user + 1]),
            "wanted": problem["wanted"][user : user + 1],
            "excluded": problem["excluded"][user : user + 1],
        }
        listed = {**alone, "rows": np.sort(best.rows)}

        assert same_bits(best_rows(**alone)[0], best)
        assert same_bits(best_rows(**listed)[0], best)


def test_equal_rows_have_equal_scores_wherever_they_stand():
    problem = block(1001, 37)
    problem["vectors"][:], problem["biases"][:] = problem["vectors"][0], problem["biases"][0]
    for best, own in zip(best_rows(**problem), problem["excluded"], strict=True):
        allowed = np.setdiff1d(np.flatnonzero(~problem["masked"]), own)

        assert len(set(best.scores.tolist())) == 1
        assert best.rows.tolist() == allowed[: len(best.rows)].tolist()


def test_memory_that_cannot_be_written_is_ranked_by_the_same_code():
    problem = block()
    expected = best_rows(**problem)
    compiled = len(kernel.scan.signatures)
    for name in ("vectors", "biases", "masked"):
        problem[name].flags.writeable = False

    assert all(map(same_bits, best_rows(**problem), expected))
    assert len(kernel.scan.signatures) == compiled


def test_a_block_that_is_not_contiguous_is_read_right():
    problem = block()
    expected = best_rows(**problem)
    problem["vectors"] = np.asfortranarray(problem["vectors"])

    assert all(map(same_bits, best_rows(**problem), expected))


def test_many_threads_get_what_one_gets():
    problem = block()
    expected = best_rows(**problem)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: best_rows(**problem), range(64)):
            assert all(map(same_bits, found, expected))


@pytest.mark.parametrize("bad", [-np.inf, np.nan])
def test_what_has_no_score_is_never_returned(bad):
    problem = block(100, b=1)
    problem["biases"][::2] = bad
    problem["wanted"] = [100]
    [best] = best_rows(**problem)

    assert len(best.rows)
    assert (best.rows % 2 == 1).all()


def test_of_nothing_nothing_is_returned():
    assert [len(best.rows) for best in best_rows(**block(0))] == [0] * 9
    assert [len(best.rows) for best in best_rows(**block(), rows=NO_ROWS)] == [0] * 9
    assert best_rows(**block(b=0)) == []


@pytest.mark.parametrize("width", [1, 6, 64])
@pytest.mark.slow
def test_a_warm_kernel_does_not_compile_again(width):
    warm_up(width)
    compiled = len(kernel.scan.signatures)
    best_rows(**block(width=width))

    assert len(kernel.scan.signatures) == compiled


@given(st.lists(st.tuples(few, st.booleans()), max_size=20), st.integers(1, 25))
def test_blocks_are_merged_by_score_then_place(candidates, k):
    chance = np.random.default_rng(len(candidates))
    places = chance.permutation(100)[: len(candidates)]
    ranked = sorted(zip(candidates, places.tolist(), strict=True), key=lambda each: (-each[0][0], each[1]))
    old, new = ([(score, place) for (score, fresh), place in ranked if fresh == wanted] for wanted in (False, True))
    first, second = (
        Best(np.array(rows, np.int32), np.array([score for score, _ in part], np.float32))
        for rows, part in (([place for _, place in old], old), (range(len(new)), new))
    )
    order, scores = merged(first, second, np.array([place for _, place in new], np.int64), k)
    everyone = [place for _, place in [*old, *new]]

    assert [everyone[position] for position in order] == [place for _, place in ranked][:k]
    assert scores.tolist() == [score for (score, _), _ in ranked][:k]
