"""The command line, as a person types it."""

import asyncio
import json
import time

import click
import pytest
from click.testing import CliRunner
from scipy import sparse

from lightfm_serve.cli import main
from lightfm_serve.cli.train import _features
from recommender.storage.archive.archive import Archive
from recommender.storage.registry import Current, Registry
from recommender.stores import MemoryStore
from recommender.stores.protocols import Interaction
from recommender.training.model_settings import ModelSettings
from recommender.training.pipeline import TrainingPipeline
from recommender.training.unreadable_entries import health

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


def test_features_that_were_ignored_are_named_with_the_nearest(folder):
    done = run("recommend", "x", "--model", folder, "--features", '{"Group": "g1", "country": "NL"}')

    assert "ignored: Group (the model knows no such feature; did you mean 'group'?)" in done.output
    assert "ignored: country (the model knows no such feature" in done.output


def test_an_explanation_is_shown(folder):
    done = run("recommend", "u7", "--model", folder, "--explain")

    assert done.exit_code == 0
    assert "item_id" in done.output


def test_evaluation_prints_metrics_next_to_popularity():
    done = run("evaluate", WORLD)

    assert done.exit_code == 0, done.output
    assert all(word in done.output for word in ("ndcg@10", "ours less", "popularity"))


def test_evaluation_against_others_for_machines_and_as_a_page(tmp_path):
    page = tmp_path / "report.html"
    words = ["--against", "ease,als", "--seeds", 2, "--trials", 2, "--split", "last", "-k", 5, "--report", page]

    content = json.loads(run("evaluate", WORLD, *words, "--json").output)

    results = content["candidates"]["all items"]
    assert list(results) == ["ours", "ease", "als"]
    assert content["metrics"]["ndcg@5"] == pytest.approx(results["ours"]["metrics"]["ndcg@5"]["mean"])
    assert len(results["als"]["metrics"]["ndcg@5"]["by_seed"]) == 2
    assert results["als"]["ours_less_this"]["ndcg@5"]["low"] <= results["als"]["ours_less_this"]["ndcg@5"]["high"]
    assert "<svg" in page.read_text()


def test_several_data_sets_and_a_given_split_are_one_table(tmp_path):
    matrix = sparse.random(30, 20, 0.4, format="csr", random_state=0)
    sparse.save_npz(tmp_path / "made_train.npz", matrix)
    sparse.save_npz(tmp_path / "made_test.npz", sparse.random(30, 20, 0.3, format="csr", random_state=1))
    words = [WORLD, "--train", tmp_path / "made_train.npz", "--test", tmp_path / "made_test.npz", "--trials", 1]

    shown = run("evaluate", *words)
    told = json.loads(run("evaluate", *words, "--json").output)["datasets"]

    assert shown.exit_code == 0, shown.output
    assert [line.split()[0] for line in shown.output.splitlines()[1:5]] == [WORLD, WORLD, "made", "made"]
    assert [each["dataset"] for each in told] == [WORLD, "made"]
    assert [each["k"] for each in told] == [10, 20]
    assert told[1]["split"] == "fixed"
    assert told[1]["judged"][0]["users"] > 0
    assert told[1]["candidates"]["all items"]["ours"]["costs"]["fit_s"] > 0


def test_a_folder_without_features_and_timestamps_is_evaluated(tmp_path):
    rows = [f"u{user},i{item}" for user in range(12) for item in range(user % 2, 12, 2) if (user * item) % 5 != 1]
    (tmp_path / "interactions.csv").write_text("\n".join(["user_id,item_id", *rows]) + "\n")

    for split in ("random", "last", "global", "cold-items", "cold-users"):
        done = run("evaluate", tmp_path, "--split", split, "--against", "ease,popularity", "--seeds", 2, "--trials", 2)
        assert done.exit_code == 0, (split, done.output)


def test_a_library_that_is_missing_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("recommender.deferred_imports.find_spec", lambda _: None)

    done = run("evaluate", WORLD, "--against", "als")

    assert done.exit_code == 1
    assert "pip install 'lightfm-serve[evaluation]'" in done.output


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["train", "/nowhere", "--out", "x"], 1, "/nowhere"),
        (["train", "synthetic?n_user=3", "--out", "x"], 1, "n_user"),
        (["train", "synthetic"], 2, "--out"),
        (["recommend", "u7", "--model", "/nowhere"], 2, "/nowhere"),
        (["recommend", "u7", "--model", ".", "-k", "0"], 2, "-k"),
        (["status", "--url", "http://127.0.0.1:9"], 1, "does not answer"),
        (["evaluate", WORLD, "--against", "ease,magic"], 2, "there is no magic; choose from popularity, ease"),
        (["evaluate", WORLD, "--against", ","], 2, "--against"),
        (["evaluate", WORLD, "--split", "odd"], 2, "odd"),
        (["evaluate"], 2, "give a DATASET, or --train and --test"),
        (["evaluate", "--train", "."], 2, "as many of each"),
        (["evaluate", WORLD, "synthetic", "--report", "r.html"], 2, "one data set"),
        (["evaluate", WORLD, "--report", "/nowhere/r.html"], 2, "/nowhere"),
        (["evaluate", "synthetic?n_users=1&n_items=4", "--holdout", "0.01"], 1, "nothing to judge by"),
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


@pytest.mark.parametrize("archived", [False, True])
def test_a_version_of_the_command_line_is_taken_up_by_a_service_and_gone_on_from(tmp_path, archived):
    words = ["--archive", tmp_path / "archive"] if archived else []
    run("train", WORLD, "--out", tmp_path / "models", *words, *QUICK)
    registry, store = Registry(tmp_path / "models"), MemoryStore()
    learner = TrainingPipeline(registry, Archive(tmp_path / "archive"), store, ModelSettings(no_components=4, epochs=1))

    async def learn() -> None:
        await learner.reconcile()
        assert health(registry.versions()) == "ok"
        await store.append([Interaction("u1", "i1", 1.0, 1e9)])
        for mode in ("incremental", "full") if archived else ("incremental",):
            assert (await learner.learn(mode)).mode == mode

    asyncio.run(learn())
    newest = registry.versions()[0].meta
    assert newest.trained_on["interactions"] == registry.versions()[-1].meta.trained_on["interactions"] + 1
    assert newest.newest_timestamp <= time.time()


def test_a_version_of_the_command_line_takes_nothing_from_the_service_whose_folder_it_is_put_into(tmp_path):
    run("train", WORLD, "--out", tmp_path / "models", "--archive", tmp_path / "archive", *QUICK)
    registry, store = Registry(tmp_path / "models"), MemoryStore()
    learner = TrainingPipeline(registry, Archive(tmp_path / "archive"), store, ModelSettings(no_components=4, epochs=1))
    asyncio.run(store.append([Interaction("u1", "i1", 1.0, 1e9)]))
    asyncio.run(learner.learn("incremental"))
    before = registry.versions()[0].meta
    registry.activate("00000001", pinned=True)

    assert run("train", WORLD, "--out", tmp_path / "models", *QUICK).exit_code == 0
    after = registry.versions()[0].meta
    assert (after.log_offset, after.segments, after.full_at) == (before.log_offset, before.segments, before.full_at)
    assert registry.current() == Current("00000001", pinned=True)


def test_a_model_that_explodes_is_published_as_rejected_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.setattr("recommender.training.promotion_gate.LARGEST_NORM", 0.0)
    done = run("train", WORLD, "--out", tmp_path, *QUICK)

    assert done.exit_code == 1
    [version] = Registry(tmp_path).versions()
    assert version.status == "rejected"
    assert version.reason in done.output
    assert Registry(tmp_path).current().version is None


def test_features_on_the_command_line_may_be_dense_vectors():
    assert _features('{"look": [1, 0.5], "tags": ["a"], "age": 3}') == {"look": [1.0, 0.5], "tags": ["a"], "age": 3}
    with pytest.raises(click.BadParameter, match="1 numbers; a dense vector has 2 to 4096"):
        _features('{"look": [1]}')
