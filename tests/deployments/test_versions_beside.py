"""Versions beside the active one, from the registry to an answer; no Ray is started."""

import asyncio
from types import SimpleNamespace

import msgspec
import pytest

from deployments import model_store
from deployments.messages import Fetched
from deployments.model_store import MOST_BESIDE, ModelStoreActor, Published
from deployments.stages.answering import QueryAnswerer
from deployments.stages.following import SnapshotFollower
from deployments.telemetry import metrics
from lightfm_serve.records.assignment import variant_of
from recommender.evaluation.experiment_counts import VariantCounts
from recommender.schema import Query, UserState
from recommender.serving.catalogue import Catalogue
from recommender.serving.recommender import Recommender
from recommender.serving.snapshot import Snapshot
from recommender.storage.registry import Artifact, Registry, VersionMeta
from recommender.stores import MemoryStore
from recommender.training.canary import CANARY, CONTROL, Canary, CanarySettings
from tests.support.known_worlds import shared_snapshot

HOW = CanarySettings(share=0.5, min_exposures=50)
USERS = [f"u{number}" for number in range(12)]


@pytest.fixture(autouse=True)
def _no_ray(monkeypatch):
    """Objects stay where they are, and nobody counts."""
    for name in ("count", "show"):
        monkeypatch.setattr(metrics, name, lambda *_, **__: None)
    monkeypatch.setattr(model_store.ray, "put", _Reference)


class _Reference:
    """What can be awaited, as an object reference."""

    def __init__(self, content: object) -> None:
        self._content = content

    def __await__(self):
        return self._content
        yield


def registry_of(folder, n: int = 2) -> Registry:
    """Registry with the same snapshot under so many versions, of which the first serves."""
    registry, snapshot = Registry(folder), shared_snapshot()
    for number in range(n):
        artifact = Artifact({"snapshot": snapshot.to_arrays()}, VersionMeta(snapshot=snapshot.to_meta()))
        registry.publish(artifact, parent=None, status="ready")
        if not number:
            registry.advance()
    return registry


def actor_of(registry: Registry) -> ModelStoreActor:
    state = ModelStoreActor.__new__(ModelStoreActor)
    state._registry, state._published, state._beside = registry, Published("00000001", [None]), {}
    state._beside_lock = asyncio.Lock()
    return state


def served(registry: Registry, version: str) -> Recommender:
    artifact = registry.load(version)
    meta = {**artifact.meta.snapshot, "version": version}
    return Recommender(Catalogue(Snapshot.from_arrays(artifact.parts["snapshot"], meta)))


def test_the_last_versions_that_were_asked_for_stay_in_the_object_store(tmp_path):
    registry = registry_of(tmp_path, MOST_BESIDE + 2)
    actor = actor_of(registry)
    names = [f"{number:08d}" for number in range(2, MOST_BESIDE + 3)]

    async def asked() -> list[Published]:
        return [await actor.named(name) for name in [*names, "00000001"]]

    found = asyncio.run(asked())

    assert [each.version for each in found] == [*names, "00000001"]
    assert list(actor._beside) == names[1:]


def test_a_canary_is_mapped_answers_its_users_and_is_gone_after_it_was_rolled_back(tmp_path):
    registry, store = registry_of(tmp_path), MemoryStore()
    actor = actor_of(registry)
    answerer = QueryAnswerer(store, catalogue_wait_s=30.0)
    answerer.serve(served(registry, "00000001"))
    follower = SnapshotFollower.__new__(SnapshotFollower)
    follower._answerer, follower._store, follower._explore, follower._feedback = answerer, store, 0.0, None
    follower._models = SimpleNamespace(named=SimpleNamespace(remote=actor.named))
    counts: dict[str, VariantCounts] = {}

    async def counted(_experiment: str, _event: str) -> dict[str, VariantCounts]:
        return counts

    async def ask() -> list[dict]:
        number = (await store.fetch([])).settings_number
        known = Fetched([UserState()] * len(USERS), 0, [], 0, number)
        answers = await answerer.recommend_many([Query(user_id=user_id, k=2) for user_id in USERS], known)
        return [msgspec.json.decode(answer) for answer in answers]

    async def trial() -> list[list[dict]]:
        canary = Canary(registry, store, HOW)
        await canary.begin("00000002")
        await canary.look(counted, 100.0)
        before = await ask()
        await follower._follow_versions()
        tried = await ask()
        counts.update({CONTROL: VariantCounts(400, 800, 400, 1600, 400, 800, 800),
                       CANARY: VariantCounts(400, 800, 2, 1600, 2, 4, 800)})  # fmt: skip
        await canary.look(counted, 200.0)
        after = await ask()
        await follower._follow_versions()
        return [before, tried, after]

    before, tried, after = asyncio.run(trial())
    shares = [(CONTROL, 0.5), (CANARY, 0.5)]
    wanted = [variant_of("canary-00000002", "", user_id, shares) for user_id in USERS]

    for answers in (before, after):
        assert {each["model_version"] for each in answers} == {"00000001"}
        assert not any("experiment" in each for each in answers)
    assert [each["experiment"]["variant"] for each in tried] == wanted
    assert {CANARY, CONTROL} == set(wanted)
    assert [each["model_version"] for each in tried] == [
        {CANARY: "00000002", CONTROL: "00000001"}[variant] for variant in wanted
    ]
    assert answerer.beside.names == frozenset()
    assert registry.versions()[0].status == "rolled_back"
