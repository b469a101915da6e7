"""What experiments decide, in worlds whose truth is known, with every look counted."""

from statistics import NormalDist

import msgspec
import numpy as np
import pytest

from recommender.errors import InvalidRequestError
from recommender.evaluation.confidence_sequences import boundary, exposures_needed, hit_rate
from recommender.evaluation.experiment_counts import VariantCounts
from recommender.evaluation.sample_ratio import mismatch_p_value
from recommender.serving.experiments.experiment import Experiment, Variant
from recommender.serving.experiments.judgement import judge
from recommender.serving.placements.placement import Placement
from tests.support.click_worlds import ClickWorld, counts_of

SPLIT = Experiment(
    placement="home",
    variants=(Variant(name="control", share=0.5), Variant(name="new", share=0.5, settings=Placement(diversity=0.3))),
    guardrails=("empty_share", "degraded_share", "p99_ms"),
    min_exposures=500,
)
RATE = 0.3


def outcome(seed: int, rate: float, total: int, experiment: Experiment = SPLIT) -> str:
    """Decision of whoever looks after every 100 exposures and stops at the first one that is none to wait."""
    world = ClickWorld(seed, {"control": RATE, "new": rate})
    for counts in world.looks(experiment, total):
        decision = judge(experiment, counts).decision
        if decision != "wait":
            return decision
    return "wait"


def test_of_200_experiments_without_a_difference_no_more_than_one_in_twenty_is_misled():
    # the level is that of looking without a pause and for ever: after every 100 exposures it is about 3 in 100
    early = msgspec.structs.replace(SPLIT, min_exposures=200)
    outcomes = [outcome(1_000 + seed, RATE, 8_000, early) for seed in range(200)]

    assert 0.005 <= sum(each in ("ship", "rollback") for each in outcomes) / 200 <= 0.07
    assert "invalid" not in outcomes


@pytest.mark.parametrize(("change", "right"), [(0.1, "ship"), (-0.1, "rollback")])
def test_a_tenth_more_or_less_is_found_at_the_size_that_the_theory_gives(change, right):
    needed = exposures_needed(RATE, change, SPLIT.min_exposures)
    outcomes = [outcome(1_000 + seed, RATE * (1 + change), 2 * needed) for seed in range(20)]

    assert 5_000 < needed < 15_000
    assert outcomes.count(right) >= 14
    assert set(outcomes) <= {right, "wait"}


def test_a_biased_assignment_is_called_invalid():
    for seed in range(10):
        *_, last = ClickWorld(seed, {"control": RATE, "new": RATE}, dropped=0.2).looks(SPLIT, 8_000, 8_000)

        assert judge(SPLIT, last).decision == "invalid"


def test_the_boundary_is_that_of_the_paper_and_grows_slowly():
    normal, a = NormalDist(), boundary(1.0)

    assert 2 * (1 - normal.cdf(a) + a * normal.pdf(a)) == pytest.approx(0.05, abs=1e-9)
    assert boundary(100.0) == pytest.approx((a * a + np.log(100)) ** 0.5)
    assert boundary(0.5) == a


def test_the_standard_error_of_a_rate_is_that_of_many_worlds_whose_users_return():
    chance = np.random.default_rng(0)
    found = []
    for _ in range(400):
        n = 1 + chance.poisson(4, 300)
        h = chance.binomial(n, chance.beta(2, 4, 300))
        found.append(hit_rate(counts_of(n, h)))

    assert np.std([each.value for each in found]) == pytest.approx(np.mean([each.error for each in found]), rel=0.12)


def test_the_test_for_a_mismatch_is_seldom_wrong_whenever_one_looks():
    chance = np.random.default_rng(1)
    least = []
    for _ in range(200):
        users = np.cumsum(chance.multinomial(20, [0.9, 0.1], 100), axis=0)
        least.append(min(mismatch_p_value(each.tolist(), [0.9, 0.1]) for each in users))

    assert np.mean(np.array(least) < 0.05) <= 0.05
    assert mismatch_p_value([9_300, 700], [0.9, 0.1]) < 1e-6


def test_a_guardrail_that_is_broken_beyond_doubt_makes_an_experiment_invalid():
    n = np.full(2_000, 2)
    well = counts_of(n, n // 2, p99_ms=40.0)
    empty = well._replace(empty=200)
    slow = well._replace(p99_ms=90.0)

    assert judge(SPLIT, {"control": well, "new": well}).decision == "wait"
    assert judge(SPLIT, {"control": well, "new": empty}).decision == "invalid"
    assert "empty_share is 5.0% instead of 0.0%" in judge(SPLIT, {"control": well, "new": empty}).reason
    assert "p99_ms is 90" in judge(SPLIT, {"control": well, "new": slow}).reason
    assert judge(SPLIT, {"control": slow, "new": well}).decision == "wait"
    assert judge(SPLIT, {"control": well, "new": slow._replace(answers=900)}).decision == "wait"


def test_nothing_is_decided_before_there_is_anything():
    found = judge(SPLIT, {})
    one = judge(SPLIT, {"new": counts_of(np.ones(30, int), np.ones(30, int))})

    assert (found.decision, found.mismatch_p, found.variants[1].metric.low) == ("wait", 1.0, None)
    assert "0 exposures, 500 are asked for" in found.reason
    assert one.decision == "wait"


def test_of_several_variants_the_best_is_shipped():
    three = Experiment(
        placement="home",
        variants=tuple(Variant(name=name, share=1 / 3) for name in ("control", "b", "c")),
        min_exposures=100,
    )
    n = np.full(1_000, 3)
    worlds = {"control": counts_of(n, n * 0), "b": counts_of(n, n // 3), "c": counts_of(n, 2 * n // 3)}
    found = judge(three, worlds)

    assert (found.decision, found.best) == ("ship", "c")
    assert judge(three, {**worlds, "control": counts_of(n, n)}).decision == "rollback"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"variants": (Variant(name="a", share=1.0),)}, "2 to 10 variants"),
        ({"variants": (Variant(name="a", share=0.5), Variant(name="a", share=0.5))}, "different names"),
        ({"variants": (Variant(name="a", share=0.5), Variant(name="b", share=0.6))}, "1.1"),
        ({"metric": "clicks"}, "click_rate"),
        ({"until": "soon"}, "until"),
    ],
)
def test_what_is_no_experiment_is_refused_by_name(change, named):
    with pytest.raises(InvalidRequestError, match=named):
        msgspec.structs.replace(SPLIT, **change).check()


def test_the_interval_of_a_rate_ends_where_rates_do():
    few = {"control": VariantCounts(10, 10, 2, 10, 2, 2, 10), "new": VariantCounts(10, 10, 9, 10, 9, 9, 10)}
    control, new = judge(msgspec.structs.replace(SPLIT, min_exposures=5), few).variants

    assert (control.metric.low, new.metric.high) == (0.0, 1.0)
    assert control.metric.high < 1.0
    assert new.metric.low > 0.0


def test_counts_without_users_have_no_rate():
    assert hit_rate(VariantCounts()).low == float("-inf")
