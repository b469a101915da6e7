"""Exploration learns from what it has shown: evidence, a shrinking bonus, a budget, and propensities that are true."""

from collections import Counter
from random import Random

import msgspec
import numpy as np
import pytest

from benchmarks.learning import exploration as four_weeks
from recommender.schema import Query
from recommender.serving.catalogue import Catalogue
from recommender.serving.exploration import explore
from recommender.serving.exploration_trials import BUDGET, FOUND, ExplorationTrials, Trial, unpack_trials
from recommender.serving.recommender import Recommender
from recommender.serving.retrieval import choose
from tests.serving.test_exploration import SNAPSHOT, wish

NEW = SNAPSHOT.item_ids.ids_of(list(range(SNAPSHOT.n_trained_items, SNAPSHOT.n_items)))


def drawn(catalogue: Catalogue, times: int, share: float = 0.5, k: int = 2) -> list[dict[int, float]]:
    asked = wish(k)
    [before] = choose(catalogue, [asked])
    return [explore(catalogue, asked, before, share, Random(seed)).explored for seed in range(times)]


def test_the_bonus_shrinks_with_exposures_and_evidence_counts():
    trials = ExplorationTrials({"shown": Trial(90, 4), "taken": Trial(10, 4), "ignored": Trial(90, 0)})

    assert trials.value("never") > trials.value("shown") > trials.value("ignored")
    assert trials.value("taken") > trials.value("never")


def test_an_item_that_is_found_or_has_spent_its_budget_is_explored_no_more():
    catalogue = Catalogue(SNAPSHOT)
    over = {NEW[0]: Trial(10, FOUND), NEW[1]: Trial(BUDGET, 0)}
    catalogue.trials = ExplorationTrials(over | {name: Trial(1, 0) for name in NEW[2:6]})
    shown = {place for each in drawn(catalogue, 200, 1.0, 8) for place in each}
    names = set(SNAPSHOT.item_ids.ids_of(sorted(shown)))

    assert not names & over.keys()
    assert names & set(NEW[2:6])


def test_an_item_that_was_learned_from_a_single_click_goes_on_being_explored():
    catalogue = Catalogue(SNAPSHOT)
    learned = SNAPSHOT.item_ids[SNAPSHOT.n_trained_items - 1]
    [best] = choose(catalogue, [wish(2)])
    assert SNAPSHOT.n_trained_items - 1 not in best.positions
    catalogue.trials = ExplorationTrials({learned: Trial(1, 1), **{name: Trial(BUDGET, 0) for name in NEW}})

    assert SNAPSHOT.n_trained_items - 1 in {place for each in drawn(catalogue, 20, 1.0) for place in each}


def test_propensities_are_the_frequencies():
    catalogue = Catalogue(SNAPSHOT)
    few = NEW[:5]
    catalogue.trials = ExplorationTrials({name: Trial(BUDGET, 0) for name in NEW[5:]} | {few[0]: Trial(20, 3)})
    found = drawn(catalogue, 4_000, 0.999, 1)
    counts = Counter(place for each in found for place in each)
    said = {place: propensity for each in found for place, propensity in each.items()}

    assert sum(said.values()) == pytest.approx(1.0, abs=0.01)  # who was never drawn has next to nothing
    assert 2 < len(said) <= 5
    for place, propensity in said.items():
        assert counts[place] / sum(counts.values()) == pytest.approx(propensity, abs=0.03)


def test_an_answer_says_the_propensity_of_what_it_explores_and_of_nothing_else():
    recommender = Recommender(Catalogue(SNAPSHOT), explore_share=0.5)
    items = recommender.recommend(Query(user_id="u3", k=4)).items

    assert any(item.explored is True for item in items)
    assert all((item.propensity is not msgspec.UNSET) == (item.explored is True) for item in items)
    assert all(0 < item.propensity <= 1 for item in items if item.explored is True)


def test_trials_come_from_the_store_as_they_were_counted():
    trials = unpack_trials(msgspec.msgpack.encode({"a": (3, 1), "b": (BUDGET, 2)}))

    assert trials.under_way == ("a",)
    assert len(unpack_trials(None)) == 0


@pytest.mark.slow
def test_in_four_weeks_more_is_found_and_more_clicked_than_without_and_than_by_a_uniform_draw():
    none, uniform, ours = (four_weeks.simulate(policy, seed=1) for policy in ("none", "uniform", "trials"))

    assert ours.found() > 1.2 * max(none.found(), uniform.found())
    assert ours.clicks > max(none.clicks, uniform.clicks)
    assert np.mean([shown for shown, _ in ours._trials.values()]) < BUDGET
