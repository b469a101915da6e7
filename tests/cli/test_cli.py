"""The command line, as a person types it."""

import json

import pytest
from click.testing import CliRunner

from recommender.cli import main

WORLD = "synthetic?n_users=80&n_items=40"
QUICK = ["--epochs", "3", "--no-components", "8"]


def run(*words: object):
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    done = run("train", WORLD, "--out", folder, *QUICK)
    assert done.exit_code == 0, done.output
    return folder


def test_training_prints_its_version_and_held_out_metrics(tmp_path):
    done = run("train", WORLD, "--out", tmp_path, *QUICK, "--json")
    content = json.loads(done.output)

    assert content["version"] == "00000001"
    assert content["metrics"]["auc"] > 0.6
    assert content["trained_on"]["users"] == 80


def test_a_known_user_and_a_stranger_are_answered(folder):
    known = json.loads(run("recommend", "u7", "--model", folder, "-k", 3, "--json").output)
    stranger = json.loads(run("recommend", "x", "--model", folder, "--features", '{"group": "g1"}', "--json").output)

    assert (known["strategy"], len(known["items"])) == ("personalized", 3)
    assert (stranger["strategy"], stranger["case"]) == ("features", "II")


def test_an_explanation_is_shown(folder):
    done = run("recommend", "u7", "--model", folder, "--explain")

    assert done.exit_code == 0
    assert "user_bias" in done.output


def test_evaluation_prints_metrics():
    assert "ndcg@10" in run("evaluate", WORLD).output


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["train", "/nowhere", "--out", "x"], 1, "/nowhere"),
        (["train", "synthetic?n_user=3", "--out", "x"], 1, "n_user"),
        (["train", "synthetic"], 2, "--out"),
        (["recommend", "u7", "--model", "/nowhere"], 2, "/nowhere"),
        (["recommend", "u7", "--model", ".", "-k", "0"], 2, "-k"),
        (["status", "--url", "http://127.0.0.1:9"], 1, "does not answer"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_what_fails_says_why_and_ends_with_its_status(words, status, message):
    done = run(*words)

    assert done.exit_code == status
    assert message in done.output
    assert "Traceback" not in done.output


def test_malformed_features_are_refused(folder):
    assert run("recommend", "u7", "--model", folder, "--features", "{").exit_code == 2


def test_an_empty_folder_says_how_to_fill_it(tmp_path):
    done = run("recommend", "u7", "--model", tmp_path)

    assert done.exit_code == 1
    assert "recommender train" in done.output
