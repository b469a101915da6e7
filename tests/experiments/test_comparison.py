"""Tuning, contests, closer looks and the page."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from recommender.datasets import synthetic
from recommender.datasets.dataset import Dataset
from recommender.errors import TrainingError
from recommender.experiments import breakdowns
from recommender.experiments.baselines import PEERS
from recommender.experiments.candidates import Ours
from recommender.experiments.comparison import ComparisonPlan, compare, steps_of
from recommender.experiments.folds import fold_of
from recommender.experiments.report import html
from recommender.experiments.scoring import ALL, COLD, judged
from recommender.experiments.text_table import table
from recommender.experiments.tuning import trials_of, tuned
from recommender.training.model_settings import ModelSettings

WORLD = synthetic.make(n_users=80, n_items=40, noise=0.2)
FOLD = fold_of(WORLD, "random", 0.2, 0)
QUICK = ModelSettings(no_components=8, epochs=3)


class Knob:
    """Scores that are right at 2, explode at 9, and say nothing otherwise."""

    name = "knob"

    def __init__(self, *values):
        self.space = {"at": values}

    def fit(self, fold, settings):
        if settings["at"] == 9:
            raise TrainingError("exploded")
        right = fold.test.toarray() * float(settings["at"] == 2)
        return lambda users: right[users].astype(np.float32)


def test_trials_begin_with_the_defaults_and_are_distinct():
    space = {"a": (1, 2, 3), "b": ("x", "y")}

    trials = trials_of(space, 5)

    assert trials[0] == {"a": 1, "b": "x"}
    assert len({tuple(trial.items()) for trial in trials}) == 5
    assert len(trials_of(space, 100)) == 6
    assert trials_of({}, 8) == [{}]


@pytest.mark.parametrize("values", [(1, 2, 9), (9, 1, 2), (2, 9)])
def test_tuning_picks_the_best_and_passes_over_what_explodes(values):
    trials = [{"at": value} for value in values]

    assert tuned(Knob(*values), FOLD, trials, 10) == {"at": 2}


def test_the_first_of_equals_is_picked():
    assert tuned(Knob(5, 6), FOLD, [{"at": 5}, {"at": 6}], 10) == {"at": 5}


def test_weights_that_explode_are_an_error_that_names_whom():
    with pytest.raises(TrainingError, match="ours: the weights exploded"):
        Ours(QUICK).fit(FOLD, {"learning_rate": 1e30})


@pytest.fixture(scope="module")
def contest():
    told = []
    contenders = [Ours(QUICK), PEERS["ease"], PEERS["popularity"]]
    plan = ComparisonPlan(seeds=(0, 1), trials=2)
    found, fold = compare(WORLD, contenders, plan, told.append)
    assert len(told) == steps_of(contenders, plan)
    return found, fold


def test_a_contest_is_the_mean_over_its_seeds(contest):
    found, _ = contest
    by_hand = [
        judged(fold, PEERS["popularity"].fit(fold, {}), 10).means["ndcg@10"]
        for fold in (fold_of(WORLD, "random", 0.2, seed) for seed in (0, 1))
    ]

    assert found.interval(ALL, "popularity", "ndcg@10").mean == pytest.approx(np.mean(by_hand))


def test_what_ours_learned_by_itself_is_said(contest):
    candidates = contest[0].to_json()["candidates"][ALL]

    learned = candidates["ours"]["learned"]
    assert [set(each) >= {"holdout", "penalty", "item_item_weights", "ndcg"} for each in learned] == [True, True]
    assert candidates["ease"]["learned"] == []


def test_ease_is_surely_ahead_of_popularity_where_tastes_differ(contest):
    found, _ = contest
    ease, popular = (found.difference(ALL, name, "recall@10") for name in ("ease", "popularity"))

    assert popular.mean - ease.mean > 0.2
    assert popular.low <= popular.mean <= popular.high


def test_the_table_has_every_metric_and_contender(contest):
    text = table(contest[0])

    assert all(word in text for word in ("ours less", "ease", "popularity", "ndcg@10", "mrr", "auc", "novelty"))


def test_cold_items_are_judged_among_all_and_among_themselves():
    found, _ = compare(WORLD, [Ours(QUICK), PEERS["popularity"]], ComparisonPlan("cold-items", seeds=(0,), trials=1))

    assert set(found.results) == {ALL, COLD}
    # all cold items tie at no interactions
    assert found.interval(COLD, "popularity", "auc").mean == pytest.approx(0.5)


def test_without_features_and_timestamps_the_notes_say_so():
    bare = Dataset(
        WORLD.interactions.assign(timestamp=np.arange(len(WORLD.interactions), dtype=np.float64)),
        WORLD.users[[]],
        WORLD.items[[]],
    )

    last, _ = compare(bare, [Ours(QUICK), PEERS["popularity"]], ComparisonPlan("last", seeds=(0,), trials=1))
    cold, _ = compare(bare, [Ours(QUICK), PEERS["popularity"]], ComparisonPlan("cold-users", seeds=(0,), trials=1))

    assert any("no timestamps" in note for note in last.notes)
    assert any("No user has features" in note for note in cold.notes)


def test_recall_by_popularity_and_by_case_add_up_to_all_hits(contest):
    found, fold = contest
    first = found.results[ALL]["ease"][0]
    n_hits = sum(
        fold.test[user, item] > 0
        for user, row in zip(first.evaluation.users, first.evaluation.recommended, strict=True)
        for item in row[row >= 0]
    )

    assert breakdowns.by_case(fold, first) == {"I": pytest.approx(n_hits / fold.test.nnz)}
    assert list(breakdowns.by_popularity(fold, first)) == ["head", "middle", "tail"]


def test_cold_items_and_users_are_in_their_cases():
    for split, case in (("cold-items", "V"), ("cold-users", "II")):
        fold = fold_of(WORLD, split, 0.2, 0)
        assert list(breakdowns.by_case(fold, judged(fold, PEERS["popularity"].fit(fold, {}), 10))) == [case]


def test_scores_that_know_the_answer_are_calibrated_to_the_highest_quantile(contest):
    _, fold = contest
    right = fold.test.toarray()

    found = breakdowns.calibration(fold, lambda users: right[users], judged(fold, lambda users: right[users], 10))

    assert list(found)[-1] == "100"
    assert found["100"] > 0.5
    assert found["10"] == found["50"] == 0


def test_activity_groups_weigh_up_to_the_mean(contest):
    found, fold = contest
    first = found.results[ALL]["ease"][0]

    groups = breakdowns.by_activity(fold, first, "ndcg@10", 1)

    assert list(groups.values()) == [pytest.approx(first.means["ndcg@10"])]


def test_the_page_is_whole_and_asks_for_nothing_outside(contest):
    found, fold = contest
    page = html(found, fold, Ours(QUICK), "<b>folder</b>", "recommender evaluate")

    assert page.count("<svg") == 6
    assert "&lt;b&gt;folder" in page
    # the names of XML are no addresses that a browser would open
    assert set(re.findall(r"https?://[^\"' >]+", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert not re.search(r"<(script|link|img|iframe)\b|@import|url\((?!#)", page)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert {reference[1:] for reference in re.findall(r'href="(#[^"]+)"', page)} <= set(ids)
    HTMLParser().feed(page)
