"""Versions as runs of MLflow: its own client over a tracking store in files."""

import asyncio
import json
import socket
import sys
import time
from pathlib import Path

import pytest

from deployments.args import MlflowArgs
from deployments.mlflow_runs import FOLDER, KEY, MlflowRuns, run_of
from recommender.datasets import open_dataset
from recommender.storage.archive.archive import Archive
from recommender.storage.registry import Registry
from recommender.stores import MemoryStore
from recommender.stores.protocols import Interaction
from recommender.training.model_settings import ModelSettings
from recommender.training.pipeline import TrainingPipeline
from tests.deployments.test_trainer import trainer_of

WORLD = "synthetic?n_users=30&n_items=20&n_interactions_per_user=5"


@pytest.fixture(autouse=True)
def _tracking_in_files_is_allowed(monkeypatch):
    for name, value in (
        ("MLFLOW_ALLOW_FILE_STORE", "true"),
        ("MLFLOW_DISABLE_TELEMETRY", "true"),
        ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0"),
    ):
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def state(tmp_path_factory) -> Path:
    """A full version and an increment."""
    folder = tmp_path_factory.mktemp("state")
    store, registry = MemoryStore(), Registry(folder / "models")
    learner = TrainingPipeline(registry, Archive(folder / "archive"), store, ModelSettings(no_components=4, epochs=1))

    async def story() -> None:
        await learner.bootstrap(open_dataset(WORLD))
        await store.append([Interaction(f"u{number % 7}", f"i{number % 5}", 1.0, 1e9 + number) for number in range(9)])
        await learner.learn("incremental")

    asyncio.run(story())
    return folder


@pytest.fixture
def registry(state) -> Registry:
    return Registry(state / "models")


def args(uri: object, **more) -> MlflowArgs:
    return MlflowArgs(tracking_uri=str(uri), **more)


def logged(uri: object, experiment: str = "lightfm-serve") -> list:
    from mlflow import MlflowClient

    client = MlflowClient(str(uri))
    found = client.get_experiment_by_name(experiment)
    return [] if found is None else sorted(client.search_runs([found.experiment_id]), key=lambda run: run.info.run_name)


def artifact(run) -> Path:
    return Path(run.info.artifact_uri.removeprefix("file://")) / FOLDER


def test_each_version_has_a_run_with_settings_metrics_tags_and_its_files(registry, state, tmp_path):
    uri = (tmp_path / "runs").as_uri()
    runs = MlflowRuns(registry, args(uri))
    runs.log_new()
    increment, full = registry.versions()
    first, second = logged(uri)

    assert runs.failure is None
    assert [first.info.run_name, second.info.run_name] == [full.version, increment.version]
    assert {first.info.status, second.info.status} == {"FINISHED"}
    assert first.data.metrics["ndcg_at_10"] == pytest.approx(full.meta.metrics["ndcg@10"])
    assert first.data.metrics["trained_on.users"] == 30
    assert first.data.params["no_components"] == "4"
    assert first.data.params["history.holdout"] == full.meta.history_choices["holdout"]
    about = {name.removeprefix("recommender."): value for name, value in second.data.tags.items()}
    assert (about["version"], about["parent"], about["mode"]) == (increment.version, full.version, "incremental")
    assert (about["log_offset"], about["accepted"]) == (str(increment.meta.log_offset), "true")
    for run, version in ((first, full), (second, increment)):
        folder = state / "models" / version.version
        assert {each.name: each.read_bytes() for each in artifact(run).iterdir()} == {
            each.name: each.read_bytes() for each in folder.iterdir()
        }


def test_a_version_is_logged_once_whatever_restarts_and_a_half_written_run_is_finished(registry, tmp_path):
    from mlflow import MlflowClient

    uri = (tmp_path / "runs").as_uri()
    client = MlflowClient(uri)
    experiment_id = client.create_experiment("lightfm-serve")
    begun = run_of(registry.versions()[1], "")
    client.create_run(experiment_id, tags={KEY: begun.key}, run_name="begun before the crash")
    for _ in range(3):
        MlflowRuns(registry, args(uri)).log_new()

    runs = logged(uri)
    assert len(runs) == 2
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert all("training_s" in run.data.metrics for run in runs)


def test_a_run_that_somebody_deleted_does_not_come_back(registry, tmp_path):
    from mlflow import MlflowClient

    uri = (tmp_path / "runs").as_uri()
    MlflowRuns(registry, args(uri)).log_new()
    MlflowClient(uri).delete_run(logged(uri)[0].info.run_id)
    MlflowRuns(registry, args(uri)).log_new()

    assert len(logged(uri)) == 1


def test_the_same_names_of_another_state_are_other_runs(registry, state, tmp_path):
    uri = (tmp_path / "runs").as_uri()
    MlflowRuns(registry, args(uri)).log_new()
    other = Registry(tmp_path / "models")
    other.publish(Registry(state / "models").load("00000001"), parent=None, status="ready")
    MlflowRuns(other, args(uri)).log_new()

    assert [run.info.run_name for run in logged(uri)] == ["00000001", "00000001", "00000002"]


def test_increments_may_be_left_out_and_of_large_versions_only_the_manifest_is_uploaded(registry, tmp_path):
    uri = (tmp_path / "runs").as_uri()
    MlflowRuns(registry, args(uri, increments=False, artifacts_up_to_mib=0, experiment="nightly")).log_new()
    [run] = logged(uri, "nightly")

    [manifest] = artifact(run).iterdir()
    assert json.loads(manifest.read_bytes())["version"] == "00000001"
    assert run.data.tags["recommender.location"].endswith("models/00000001")


def test_a_server_that_is_away_is_in_the_status_and_costs_no_training_anything(tmp_path, monkeypatch, caplog):
    from deployments import trainer as trainer_module

    monkeypatch.setattr(trainer_module.metrics, "count", lambda *_, **__: None)
    monkeypatch.setattr(trainer_module.metrics, "observe", lambda *_, **__: None)
    monkeypatch.setattr(trainer_module.metrics, "show", lambda *_, **__: None)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        runs_at = args(f"http://127.0.0.1:{taken.getsockname()[1]}")

        async def story() -> tuple[dict, dict]:
            trainer = trainer_of(tmp_path, MemoryStore(), WORLD)
            trainer._runs = MlflowRuns(trainer._registry, runs_at)
            await trainer._look()
            await asyncio.to_thread(trainer._runs.log_new)
            down = await trainer.status()
            vars(trainer._runs).update(_args=args((tmp_path / "runs").as_uri()))
            vars(trainer._runs).pop("_client")
            await asyncio.to_thread(trainer._runs.log_new)
            return down, await trainer.status()

        down, up = asyncio.run(story())

    assert down["last_training"]["outcome"] == up["last_training"]["outcome"] == "published"
    assert down["health"].startswith("degraded: MLflow: ")
    assert "not every version has its run of MLflow yet" in caplog.text
    assert up["health"] == "ok"
    assert len(logged((tmp_path / "runs").as_uri())) == 1


def test_without_the_client_the_status_says_what_to_install(registry, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    runs = MlflowRuns(registry, args(tmp_path.as_uri()))
    runs.log_new()

    assert "lightfm-serve[mlflow]" in runs.failure


def test_without_a_tracking_server_nothing_is_followed(registry):
    began = time.monotonic()
    asyncio.run(MlflowRuns(registry, MlflowArgs()).follow())

    assert time.monotonic() < began + 60


def test_versions_are_followed_as_they_are_published(state, tmp_path, monkeypatch):
    monkeypatch.setattr("deployments.mlflow_runs.LOOK_EVERY_S", 0.01)
    uri = (tmp_path / "runs").as_uri()
    registry = Registry(tmp_path / "models")
    runs = MlflowRuns(registry, args(uri))

    async def story() -> None:
        following = asyncio.create_task(runs.follow())
        await asyncio.sleep(0.05)
        registry.publish(Registry(state / "models").load("00000001"), parent=None, status="rejected", reason="worse")
        async with asyncio.timeout(200):
            while not await asyncio.to_thread(logged, uri):  # noqa: ASYNC110 (a file store sends no event)
                await asyncio.sleep(0.05)
        following.cancel()

    asyncio.run(story())

    [run] = logged(uri)
    assert run.data.tags["recommender.accepted"] == "false"
    assert run.data.tags["mlflow.note.content"] == "worse"
