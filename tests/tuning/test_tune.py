"""``recommender tune`` on a real Ray; heavy: it starts a cluster."""

import json

import pytest
import yaml
from click.testing import CliRunner

from lightfm_serve.cli.tune import tune

WORLD = "synthetic?n_users=60&n_items=30"

# Ray leaves sockets and files to the collector when it is shut down
pytestmark = [pytest.mark.filterwarnings("ignore::ResourceWarning"), pytest.mark.filterwarnings("ignore:::ray")]


def run(folder, trials, minutes=1):
    words = [WORLD, "--out", folder, "--trials", trials, "--minutes", minutes, "--json"]
    return CliRunner().invoke(tune, [str(word) for word in words])


def test_tuned_is_at_least_the_default_and_the_same_folder_goes_on(tmp_path):
    first = run(tmp_path, 3)
    assert first.exit_code == 0, first.output
    again = run(tmp_path, 2)
    assert again.exit_code == 0, again.output

    before, after = json.loads(first.output), json.loads(again.output)
    assert before["trials"] == 3
    assert after["trials"] == 5
    assert before["default"] <= before["ndcg@10"] <= after["ndcg@10"]
    assert yaml.safe_load((tmp_path / "model.yaml").read_text())["model"] == after["model"]
