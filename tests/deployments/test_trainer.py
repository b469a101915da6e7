"""What the trainer does when something fails; no Ray is started."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest

from deployments import trainer as trainer_module
from deployments.args import AppArgs, MlflowArgs
from deployments.mlflow_runs import MlflowRuns
from deployments.trainer import Trainer
from recommender.datasets import open_dataset
from recommender.errors import DownloadError, StoreUnavailableError
from recommender.evaluation.experiment_counts import VariantCounts
from recommender.serving.placements.settings import Settings
from recommender.storage.archive.archive import Archive
from recommender.storage.lease import lease_on
from recommender.storage.registry import Registry
from recommender.stores import MemoryStore
from recommender.stores.protocols import Interaction
from recommender.training import schedule as schedule_module
from recommender.training.canary import CANARY, CONTROL, Canary, CanarySettings
from recommender.training.model_settings import ModelSettings
from recommender.training.pipeline import TrainingPipeline
from recommender.training.schedule import Backoff
from tests.support.asynchronous import asynchronous

WORLD = "synthetic?n_users=30&n_items=20&n_interactions_per_user=5"


class Models:
    """The ModelStore as the trainer sees it: `refresh` advances the registry."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.fails = False
        self.refresh = SimpleNamespace(remote=self._refresh)

    async def _refresh(self) -> None:
        if self.fails:
            raise TimeoutError
        self.registry.advance()


def trainer_of(folder: Path, store: MemoryStore, dataset: str = "none", canary: CanarySettings | None = None) -> object:
    """A trainer over a folder, without the deployment around it."""
    made = Trainer.func_or_class.__new__(Trainer.func_or_class)
    registry = Registry(folder / "models")
    settings = ModelSettings(no_components=4, epochs=1)
    schedule = {"incremental_every_s": 1e-6, "min_interactions": 1}
    vars(made).update(
        _args=AppArgs.model_validate({"dataset": dataset, "state_dir": str(folder), "training": schedule}),
        _registry=registry,
        _learner=TrainingPipeline(registry, Archive(folder / "archive"), store, settings, holdout=0.0),
        _models=Models(registry),
        _lease=lease_on(str(folder)),
        _lock=asyncio.Lock(),
        _backoff=Backoff(0.05, 10.0),
        _tidying=Backoff(0.05, 10.0),
        _doing="idle",
        _last=None,
        _is_served=False,
        _told_resets=0,
        _audited_at=float("inf"),
        _exposures=SimpleNamespace(health="ok"),
        _canary=Canary(registry, store, canary),
        _has_canary=True,
        _judged_at=-1e9,
        _forgetting=None,
        _runs=MlflowRuns(registry, MlflowArgs()),
    )
    return made


@pytest.fixture(autouse=True)
def _no_metrics(monkeypatch):
    monkeypatch.setattr(trainer_module.metrics, "count", lambda *_, **__: None)
    monkeypatch.setattr(trainer_module.metrics, "observe", lambda *_, **__: None)


def clicks(n: int = 20) -> list[Interaction]:
    return [Interaction(f"u{number % 7}", f"i{number % 5}", 1.0, 1e9 + number) for number in range(n)]


async def looks(trainer, n: int, pause_s: float = 0.0) -> None:
    for _ in range(n):
        await trainer._look()
        await asyncio.sleep(pause_s)


@asynchronous
async def test_a_failing_training_is_tried_again_ever_more_seldom_and_the_status_says_when(tmp_path, monkeypatch):
    store = MemoryStore()
    trainer = trainer_of(tmp_path, store)
    await store.append(clicks())
    tried = []

    async def fails(*_):
        tried.append(1)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trainer._learner, "learn", fails)
    now = [0.0]
    with monkeypatch.context() as patched:
        patched.setattr(schedule_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
        trainer._backoff = Backoff(2.0, 300.0)
        tries = []
        for second in range(1000):
            now[0] = second
            await looks(trainer, 1)
            tries.append(len(tried))
    status = await trainer.status()

    assert [tries.index(number) for number in range(1, 9)] == [0, 2, 6, 14, 30, 62, 126, 254]
    assert len(tried) == 10
    assert status["last_training"]["outcome"] == "failed"
    assert "No space left on device" in status["last_training"]["reason"]
    ended_at = status["last_training"]["started_at"] + status["last_training"]["seconds"]
    assert status["last_training"]["next_try_at"] == pytest.approx(ended_at + 300, abs=5)
    monkeypatch.undo()
    trainer._backoff.succeed()
    while trainer._last["outcome"] == "failed":
        await looks(trainer, 1, 0.01)
    assert trainer._models.registry.current().version == "00000001"


@asynchronous
async def test_a_first_training_that_fails_is_tried_again(tmp_path, monkeypatch):
    trainer = trainer_of(tmp_path, MemoryStore(), WORLD)
    answers = iter([DownloadError("it does not answer"), DownloadError("it does not answer")])

    def fetched(dataset):
        for error in answers:
            raise error
        return open_dataset(dataset)

    monkeypatch.setattr(trainer_module, "open_dataset", fetched)
    await looks(trainer, 3)
    assert trainer._last["reason"] == "it does not answer"
    while trainer._models.registry.current().version is None:
        await looks(trainer, 1, 0.01)

    assert trainer._last["outcome"] == "published"


@asynchronous
async def test_a_data_set_is_not_loaded_over_a_store_whose_versions_cannot_be_read(tmp_path):
    store = MemoryStore()
    await looks(trainer_of(tmp_path, store, WORLD), 1)
    await store.delete_item("i3")
    (tmp_path / "models" / "00000001" / "manifest.json").write_bytes(b"{}")
    trainer = trainer_of(tmp_path, store, WORLD)
    await store.append(clicks())
    await looks(trainer, 2)

    assert "none can be read" in trainer._last["reason"]
    assert await store.get_items(["i3"]) == [None]


@asynchronous
async def test_a_version_that_was_published_before_the_trainer_died_is_served_when_it_starts(tmp_path):
    store = MemoryStore()
    trainer = trainer_of(tmp_path, store)
    await store.append(clicks())
    await trainer._learner.learn("full")
    assert Registry(tmp_path / "models").backend.pointer() is None
    started = trainer_of(tmp_path, store)
    await looks(started, 1)

    assert started._is_served
    assert Registry(tmp_path / "models").backend.pointer() is not None


@asynchronous
async def test_a_version_is_served_and_told_as_published_although_tidying_and_refreshing_failed(tmp_path, monkeypatch):
    store = MemoryStore()
    trainer = trainer_of(tmp_path, store)
    await store.append(clicks())

    async def away(*_, **__):
        raise StoreUnavailableError("the store did not answer")

    with monkeypatch.context() as patched:
        patched.setattr(store, "trim", away)
        trainer._models.fails = True
        await looks(trainer, 2)
        assert trainer._last["outcome"] == "published"
        assert not trainer._is_served
        assert (await trainer.status())["health"].startswith("degraded: what is not needed")
    trainer._models.fails = False
    await looks(trainer, 1)
    while trainer._learner.retention.failure:
        await looks(trainer, 1, 0.01)

    assert trainer._is_served
    assert (await trainer.status())["health"] == "ok"


@asynchronous
async def test_nothing_that_goes_wrong_in_a_look_ends_the_watch(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer_module, "LOOK_EVERY_S", 0.001)
    store = MemoryStore()
    trainer = trainer_of(tmp_path, store)
    await store.append(clicks())
    reconcile, failed, ended = trainer._learner.reconcile, [], asyncio.Event()

    async def fails_at_first():
        failed.append(1)
        if len(failed) < 4:
            raise KeyError("items_sequence")
        await reconcile()

    monkeypatch.setattr(trainer._learner, "reconcile", fails_at_first)
    monkeypatch.setattr(trainer_module.metrics, "observe", lambda *_, **__: ended.set())
    watch = asyncio.create_task(trainer._watch_schedule())
    await asyncio.wait_for(ended.wait(), 60)

    assert len(failed) >= 4
    assert trainer._last["outcome"] == "published"
    watch.cancel()


def shown(n: int, share: float, of_canary: bool) -> VariantCounts:
    """Counts of a world in which one in two clicks, and of those who are shown the canary next to nobody."""
    users = int(n * (share if of_canary else 1 - share))
    hits = 1 if of_canary else users
    return VariantCounts(users, 2 * users, hits, 4 * users, hits, 2 * hits, answers=2 * users)


@asynchronous
async def test_a_full_version_is_tried_first_and_rolled_back_by_itself_and_meanwhile_nothing_is_trained(tmp_path):
    store = MemoryStore()
    trainer = trainer_of(tmp_path, store, canary=CanarySettings(share=0.5, min_exposures=100))
    found: dict[str, VariantCounts] = {}

    async def counts(_experiment: str, _event: str) -> dict[str, VariantCounts]:
        return found

    trainer._counts = counts
    await store.append(clicks())
    await trainer._train("full")
    await store.append(clicks())
    await trainer._train("full")
    tried = [(each.version, each.status) for each in trainer._registry.versions()]
    await store.append(clicks())
    await looks(trainer, 3)
    refused = await trainer.train([], "full")
    found |= {CONTROL: shown(4_000, 0.5, False), CANARY: shown(4_000, 0.5, True)}
    trainer._judged_at = -1e9
    await looks(trainer, 1)

    assert tried == [("00000002", "canary"), ("00000001", "active")]
    assert not refused
    told = {each.version: (each.status, each.reason) for each in trainer._registry.versions()}
    assert told["00000002"][0] == "rolled_back"
    assert "worse beyond doubt: click_rate" in told["00000002"][1]
    assert not trainer._registry.current().pinned
    assert Settings.of(await store.settings()).versions() == set()
