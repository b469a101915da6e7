"""One name opens any data set."""

from pathlib import Path

import pytest

from recommender.datasets import open_dataset
from recommender.errors import InvalidDataError


def test_synthetic_takes_arguments():
    world = open_dataset("synthetic?n_users=7&n_items=9&kind=checkerboard&noise=0.5&n_interactions_per_user=2&seed=1")

    assert (len(world.users), len(world.items)) == (7, 9)


def test_synthetic_needs_no_arguments():
    assert len(open_dataset("synthetic").users) == 1000


@pytest.mark.parametrize("as_type", [str, Path])
def test_a_folder_is_opened_by_its_path(tmp_path, as_type):
    (tmp_path / "interactions.csv").write_text("user_id,item_id\na,b\n")

    assert len(open_dataset(as_type(tmp_path)).interactions) == 1


def test_movielens_is_opened_by_its_name():
    assert len(open_dataset("movielens-100k").users) == 943


def test_a_path_is_never_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InvalidDataError, match="no data set 'synthetic'"):
        open_dataset(Path("synthetic"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("movielens", "there is no data set 'movielens': give movielens-100k, synthetic, .* or a folder"),
        ("", "there is no data set '': give"),
        ("synthetic?n_user=3", "synthetic has no argument 'n_user'; there are kind, n_users, n_items"),
        ("synthetic?n_users=many", "synthetic: n_users cannot be 'many'"),
        ("synthetic?n_users=", "synthetic: n_users cannot be ''"),
        ("synthetic?n_users", "synthetic takes name=value&name=value, not 'n_users'"),
        ("synthetic?n_users=1&n_users=2", "synthetic has the argument 'n_users' twice"),
    ],
)
def test_what_cannot_be_opened_is_refused_with_what_can(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InvalidDataError, match=message):
        open_dataset(name)
