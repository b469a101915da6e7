"""What a tuner tries, writes down and goes on from; Ray is not needed for this."""

import json

import pytest
import yaml

from recommender.datasets import synthetic
from recommender.errors import InvalidDataError, InvalidRequestError
from recommender.experiments.folds import fold_of
from recommender.experiments.hyperparameter_search import (
    EXPLODED,
    RUNGS,
    SPACE,
    Notebook,
    Trial,
    defaults,
    judged_at_rungs,
    model_block,
)
from recommender.training.model_settings import ModelSettings

ABOUT = {"dataset": "synthetic", "seed": 0}


def trial(ndcg, rungs=2, **settings):
    return Trial({**defaults(), **settings}, ndcg, rungs)


def test_the_defaults_are_those_of_the_model():
    settings = ModelSettings()

    assert defaults() == {name: getattr(settings, name) for name in SPACE}


def test_a_new_search_begins_with_the_defaults(tmp_path):
    assert Notebook(tmp_path, ABOUT).open_settings(5, 0)[0] == defaults()


def test_a_search_goes_on_with_what_was_not_tried(tmp_path):
    first = Notebook(tmp_path, ABOUT)
    tried = first.open_settings(4, 0)
    for settings in tried:
        first.add(Trial(dict(settings), 0.1, 2))

    again = Notebook(tmp_path, ABOUT)
    more = again.open_settings(4, 0)

    assert again.trials == first.trials
    assert len(more) == 4
    assert not any(settings in tried for settings in more)


def test_the_best_was_trained_whole_and_is_the_first_of_equals(tmp_path):
    notebook = Notebook(tmp_path, ABOUT)
    assert notebook.best() is None
    for each in (trial(0.3), trial(0.9, rungs=1, epochs=20), trial(0.4, epochs=35), trial(0.4, max_sampled=30)):
        notebook.add(each)

    assert notebook.best() == trial(0.4, epochs=35)
    assert notebook.default() == trial(0.3)


def test_the_folder_of_another_search_is_refused(tmp_path):
    Notebook(tmp_path, ABOUT)

    with pytest.raises(InvalidRequestError, match="another --out"):
        Notebook(tmp_path, {**ABOUT, "seed": 1})


def test_a_line_that_was_being_written_when_the_search_was_killed_is_dropped(tmp_path):
    Notebook(tmp_path, ABOUT).add(trial(0.3))
    with (tmp_path / "trials.jsonl").open("a") as file:
        file.write('{"settings": {"ep')

    again = Notebook(tmp_path, ABOUT)
    again.add(trial(0.5, epochs=20))

    assert Notebook(tmp_path, ABOUT).trials == [trial(0.3), trial(0.5, epochs=20)]


def test_a_folder_that_no_search_wrote_says_so(tmp_path):
    (tmp_path / "search.json").write_text("nonsense")

    with pytest.raises(InvalidDataError, match=r"search\.json"):
        Notebook(tmp_path, ABOUT)


def test_the_block_is_read_as_the_settings_that_it_is_of():
    settings = {**defaults(), "item_alpha": 1e-6, "learning_rate": 0.05, "normalise": True, "loss": "warp"}

    assert yaml.safe_load(model_block(settings)) == {"model": settings}


def test_a_trial_is_judged_after_each_rung():
    fold = fold_of(synthetic.make(n_users=60, n_items=30), "random", 0.2, 0)

    values = list(judged_at_rungs(fold, {**defaults(), "epochs": 8, "no_components": 8}, 10))

    assert len(values) == len(RUNGS)
    assert all(0 < value <= 1 for value in values)


def test_settings_that_explode_are_below_all_others():
    fold = fold_of(synthetic.make(n_users=30, n_items=20), "random", 0.2, 0)

    values = list(judged_at_rungs(fold, {"learning_rate": 1e30, "epochs": 4}, 10))

    assert values == [EXPLODED, EXPLODED]
    assert json.loads(json.dumps(values)) == values
