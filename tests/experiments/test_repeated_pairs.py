"""Data that says the same again and again: all who can be judged are, and how many is always said."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from lightfm_serve.cli import main


@pytest.fixture
def folder(tmp_path):
    """Forty users with five items each, every pair six times."""
    chance = np.random.default_rng(0)
    pairs = [(f"u{user}", f"i{item}") for user in range(40) for item in chance.permutation(20)[:5] for _ in range(6)]
    rows = pd.DataFrame(pairs, columns=["user_id", "item_id"]).assign(timestamp=1_600_000_000)
    rows.to_csv(tmp_path / "interactions.csv", index=False)
    return str(tmp_path)


def evaluated(folder: str, *options: str) -> str:
    done = CliRunner().invoke(main, ["evaluate", folder, "--trials", "1", *options])

    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("split", ["random", "cold-users"])
def test_pairs_are_judged_and_counted_in_text_and_json(folder, split):
    text = evaluated(folder, "--split", split)
    found = json.loads(evaluated(folder, "--split", split, "--json"))
    [judged] = found["judged"]

    assert found["pairs"] == 200
    assert judged["pairs"] == 40
    assert judged["users"] >= 8
    assert f"judged on 40 pairs of {judged['users']} users: 20 % of 200 pairs, split {split}" in text
    assert found["candidates"]["all items"]["ours"]["users"] == [judged["users"]]


def test_too_few_to_tell_is_said(folder):
    assert "the figures say little" in evaluated(folder)


def test_of_several_seeds_the_least_is_said(folder):
    assert "at least, in each of 2 splits" in evaluated(folder, "--seeds", "2")
