"""Held-out figures say what they rest on, and there are none where that is next to nothing."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from lightfm_serve.cli import main
from recommender.datasets import synthetic
from recommender.training.full import Trained, TrainingData, train_full
from recommender.training.model_settings import ModelSettings

META = {"log_offset": 0, "items_sequence": 0}
QUICK = ModelSettings(no_components=8, epochs=3)


def trained(interactions: pd.DataFrame, holdout: float = 0.1) -> Trained:
    return train_full(TrainingData(interactions, {}, []), QUICK, holdout=holdout, meta=META)


def log(n_users: int, n_items: int = 6) -> pd.DataFrame:
    """Everyone has all items, each begins with another one."""
    pairs = [(f"u{user}", f"i{(item + user) % n_items}") for item in range(n_items) for user in range(n_users)]
    rows = pd.DataFrame(pairs, columns=["user_id", "item_id"])
    return rows.assign(weight=np.float32(1), timestamp=np.arange(len(rows), dtype=float), offset=range(len(rows)))


def test_users_and_pairs_are_counted_and_the_split_is_named():
    world = synthetic.make(n_users=60, n_items=40).interactions
    found = trained(world)
    judged = found.judged

    assert judged is not None
    assert judged.split == "newest interactions"
    assert judged.share == 0.1
    assert 5 <= judged.users <= judged.pairs <= round(0.1 * len(world))
    assert f"judged on {judged.pairs} pairs of {judged.users} users" in str(judged)
    assert "little to judge by" in str(judged)
    assert set(found.metrics) >= {"ndcg@10", "precision@10", "recall@10", "auc"}


@pytest.mark.parametrize(("n_users", "judged"), [(3, False), (4, False), (5, True), (20, True)])
def test_a_handful_of_users_gives_no_figures(n_users, judged):
    found = trained(log(n_users), holdout=1 / 6)

    assert found.judged is not None
    assert found.judged.users == n_users
    assert bool(found.metrics) == judged
    assert str(found.judged).startswith("judged on" if judged else "not judged: there are only")


def test_where_nothing_is_held_out_nothing_is_said():
    found = trained(log(20), holdout=0)

    assert (found.judged, found.metrics) == (None, {})


def test_train_prints_it_and_the_manifest_keeps_it(tmp_path):
    world = "synthetic?n_users=60&n_items=40"
    done = CliRunner().invoke(main, ["train", world, "--out", str(tmp_path), "--epochs", "3", "--json"])
    told = json.loads(done.stdout)["judged_on"]
    text = CliRunner().invoke(main, ["train", world, "--out", str(tmp_path), "--epochs", "3"]).output
    [manifest] = (tmp_path / "00000001").glob("*.json")

    assert f"judged on {told['pairs']} pairs of {told['users']} users: the newest interactions, 10 % of all" in text
    assert json.loads(manifest.read_text())["meta"]["judged_on"] == told
