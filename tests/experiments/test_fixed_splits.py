"""Splits that are given as two files: read as they are, judged with known answers."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recommender.datasets import synthetic
from recommender.errors import InvalidDataError, InvalidRequestError
from recommender.experiments.baselines import PEERS
from recommender.experiments.candidates import Ours
from recommender.experiments.comparison import ComparisonPlan, compare
from recommender.experiments.fixed_splits import fixed_split, name_of
from recommender.experiments.folds import FIXED, fold_of
from recommender.experiments.scoring import ALL
from recommender.experiments.text_table import summary
from recommender.training.model_settings import ModelSettings

# popularity 3, 2, 1, 0: what a user lacks is ranked in this order
TRAIN = [[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
TEST = [[0, 0, 0, 1], [0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]]


def write(folder, name, rows):
    path = folder / name
    sparse.save_npz(path, sparse.csr_matrix(np.asarray(rows, np.float32)))
    return path


@pytest.fixture
def split(tmp_path):
    return fixed_split(write(tmp_path, "a_train.npz", TRAIN), write(tmp_path, "a_test.npz", TEST))


def test_matrices_keep_their_rows_and_columns(split):
    assert split.train.toarray().tolist() == TRAIN
    assert split.test.toarray().tolist() == TEST
    assert split.n_judged == (3, 3)


def test_popularity_has_the_metrics_that_are_counted_by_hand(split):
    contenders = [Ours(ModelSettings(epochs=1)), PEERS["popularity"]]

    contest, _ = compare(split, contenders, ComparisonPlan(FIXED, seeds=[0], trials=1, k=1))

    # first of the unseen items: 3, 2 and 1; found by the first and the third user
    assert contest.interval(ALL, "popularity", "recall@1").mean == pytest.approx(2 / 3)
    assert contest.interval(ALL, "popularity", "ndcg@1").mean == pytest.approx(2 / 3)
    assert contest.costs("popularity").score_us > 0
    assert [line.split()[1:4] for line in summary({"a": contest}).splitlines()[1:]] == [
        ["3", "3", "ours"],
        ["3", "3", "popularity"],
    ]


def test_a_pair_of_both_sides_is_not_judged(tmp_path):
    fold = fixed_split(write(tmp_path, "train.npz", TRAIN), write(tmp_path, "test.npz", np.ones((4, 4))))

    assert fold.n_judged == (4, 16 - np.sum(TRAIN))


def test_folders_bring_features_and_users_that_only_one_side_has(tmp_path):
    for name, rows in (("train", ["u1,a", "u1,b", "u2,a"]), ("test", ["u2,b", "u3,c"])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "interactions.csv").write_text("\n".join(["user_id,item_id", *rows]) + "\n")
    pd.DataFrame({"item_id": ["a", "d"], "genre": ["x", "y"]}).to_csv(tmp_path / "train" / "items.csv", index=False)

    fold = fixed_split(tmp_path / "train", tmp_path / "test")

    assert fold.user_ids.tolist() == ["u1", "u2", "u3"]
    assert fold.item_ids.tolist() == ["a", "b", "c", "d"]
    assert fold.test.nnz == 2
    assert {entry.item_id: dict(entry.features) for entry in fold.catalogue}["d"] == {"genre": "y"}


def test_what_is_no_split_is_refused(tmp_path):
    train = write(tmp_path, "train.npz", TRAIN)
    (tmp_path / "odd.npz").write_text("no archive")

    with pytest.raises(InvalidDataError, match="numbered alike"):
        fixed_split(train, write(tmp_path, "wide.npz", np.ones((4, 5))))
    with pytest.raises(InvalidDataError, match="save_npz"):
        fixed_split(train, tmp_path / "odd.npz")
    with pytest.raises(InvalidRequestError, match="two folders"):
        fixed_split(train, tmp_path)
    with pytest.raises(InvalidRequestError, match="no interactions"):
        fixed_split(train, write(tmp_path, "none.npz", np.zeros((4, 4))))


def test_ease_is_left_out_where_it_does_not_fit_and_the_others_are_judged(tmp_path):
    shape = (4, 20_001)
    sides = [sparse.csr_matrix((np.ones(4), (range(4), columns)), shape) for columns in ([0, 0, 1, 1], [1, 2, 0, 2])]
    paths = [tmp_path / "train.npz", tmp_path / "test.npz"]
    for path, side in zip(paths, sides, strict=True):
        sparse.save_npz(path, side)

    contest, _ = compare(
        fixed_split(*paths), [Ours(ModelSettings(epochs=1)), PEERS["ease"]], ComparisonPlan(FIXED, seeds=[0], trials=1)
    )

    assert list(contest.results[ALL]) == ["ours"]
    assert any("ease is left out" in note and "20001" in note for note in contest.notes)
    assert "auc" not in contest.metrics


@pytest.mark.parametrize(
    ("split", "kind"), [("random", "random"), ("last", "last"), ("global", "last"), ("cold-items", "auto")]
)
def test_settings_are_learned_by_a_hold_out_of_the_kind_that_is_judged(split, kind):
    assert fold_of(synthetic.make(n_users=40, n_items=20), split, 0.2, 0).holdout_kind == kind


def test_a_split_that_is_given_leaves_the_kind_to_the_data(split):
    assert split.holdout_kind == "auto"


def test_a_split_is_called_by_its_file(tmp_path):
    assert name_of(tmp_path / "gowalla_train.npz") == "gowalla"
    assert name_of(tmp_path / "amazon" / "train.npz") == "amazon"
