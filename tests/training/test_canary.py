"""Canaries: a spoiled version is rolled back by itself, a good one promoted, whatever dies in between."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from lightfm_serve.records.assignment import variant_of
from recommender.evaluation.experiment_counts import VariantCounts
from recommender.schema import Query
from recommender.serving.placements.settings import Settings
from recommender.stores import MemoryStore
from recommender.training.base_version import BaseVersions
from recommender.training.canary import CANARY, CONTROL, Canary, CanarySettings, judge_canary, name_of
from tests.support.click_worlds import counts_of
from tests.support.shelves import registry_with

HOW = CanarySettings(share=0.05, min_exposures=500)


def world(rate: float, seed: int = 0, n_users: int = 10_000, canary_rate: float | None = None, each: int = 8):
    """Counts of users who were shown so many answers each, by the variant that the hash gives them."""
    chance = np.random.default_rng(seed)
    shares = [(CONTROL, 0.95), (CANARY, 0.05)]
    own = np.array([variant_of("canary-00000002", "", f"u{n}", shares) == CANARY for n in range(n_users)])
    n = np.full(n_users, each)
    rates = np.where(own, rate if canary_rate is None else canary_rate, rate) * (0.5 + chance.random(n_users))
    h = chance.binomial(n, np.clip(rates, 0, 1))
    return {CONTROL: counts_of(n[~own], h[~own]), CANARY: counts_of(n[own], h[own])}


def test_a_spoiled_canary_is_rolled_back_and_a_good_one_promoted():
    spoiled = [judge_canary(HOW, world(0.3, seed, canary_rate=0.1), 60.0).decision for seed in range(20)]
    good = [judge_canary(HOW, world(0.3, seed, each=40), 60.0).decision for seed in range(20)]

    assert spoiled == ["rollback"] * 20
    assert set(good) <= {"promote", "wait"}
    assert good.count("promote") >= 15


def test_nothing_is_decided_before_there_are_enough_exposures_and_its_time_is_bounded():
    few = world(0.3, n_users=400)

    assert judge_canary(HOW, few, 60.0).decision == "wait"
    assert judge_canary(HOW, {}, HOW.at_most_s - 1).decision == "wait"
    assert judge_canary(HOW, {}, HOW.at_most_s + 1).decision == "promote"
    assert judge_canary(HOW, world(0.3, canary_rate=0.1), HOW.at_most_s + 1).decision == "rollback"


def test_a_canary_that_breaks_a_guardrail_or_loses_its_users_is_rolled_back():
    found = world(0.3)
    slow = {CONTROL: found[CONTROL]._replace(p99_ms=20.0), CANARY: found[CANARY]._replace(p99_ms=200.0)}
    lost = {**found, CANARY: found[CANARY]._replace(users=found[CANARY].users // 2)}

    assert judge_canary(HOW, slow, 60.0).decision == "rollback"
    assert "guardrail" in judge_canary(HOW, slow, 60.0).reason
    assert judge_canary(HOW, lost, 60.0).decision == "rollback"


@pytest.fixture
def registry(tmp_path):
    registry = registry_with(tmp_path, "ready")
    registry.advance()
    registry.publish(registry.load("00000001", ("snapshot", "train_state")), parent="00000001", status="ready")
    return registry


def giving(counts: dict[str, VariantCounts]):
    asked = []

    async def counted(experiment: str, event: str) -> dict[str, VariantCounts]:
        asked.append((experiment, event))
        return counts

    counted.asked = asked
    return counted


def settings_of(store: MemoryStore) -> Settings:
    return Settings.of(asyncio.run(store.settings()))


@pytest.mark.parametrize(
    ("counts", "status", "decision"),
    [(world(0.3, canary_rate=0.1), "rolled_back", "rollback"), (world(0.3, each=40), "active", "promote")],
)
def test_a_canary_goes_its_way_by_itself_though_the_trainer_dies_in_between(registry, counts, status, decision):
    store = MemoryStore()
    nothing, enough = giving({}), giving(counts)

    async def trial() -> tuple[bool, str, str]:
        begun = await Canary(registry, store, HOW).begin("00000002")
        waiting = await Canary(registry, store, HOW).look(nothing, 100.0)
        decided = await Canary(registry, store, HOW).look(enough, 101.0)
        return begun, waiting.decision, decided.decision

    assert asyncio.run(trial()) == (True, "wait", decision)
    assert enough.asked == [("canary-00000002", "click")]
    assert registry.versions()[0].status == status
    assert not registry.current().pinned
    assert settings_of(store).versions() == set()
    assert asyncio.run(Canary(registry, store, HOW).look(enough, 102.0)) is None


def test_while_a_version_is_tried_its_share_of_all_users_is_answered_by_it(registry):
    store = MemoryStore()
    canary = Canary(registry, store, replace(HOW, share=0.5))

    async def begin() -> None:
        await canary.begin("00000002")
        await canary.look(giving({}), 100.0)

    asyncio.run(begin())
    settings = settings_of(store)
    queries = [Query(user_id=f"u{number}") for number in range(40)]
    found = settings.applied([*queries, Query()], versions={"00000001", "00000002"})
    shares = [(CONTROL, 0.5), (CANARY, 0.5)]
    wanted = [variant_of(name_of("00000002"), "", query.user_id, shares) for query in queries]

    assert [query.experiment.variant for query in found[:-1]] == wanted
    assert [query.model_version for query in found[:-1]] == [{CANARY: "00000002"}.get(each) for each in wanted]
    assert found[-1].experiment is None
    assert settings.applied(queries, versions={"00000001"}) == queries


def test_what_is_tried_or_was_rolled_back_is_no_base_for_the_next_training(registry):
    registry.hold("00000002")
    tried = BaseVersions(registry).base().version
    registry.roll_back("00000002", "worse")

    assert (tried, BaseVersions(registry).base().version) == ("00000001", "00000001")


def test_the_first_version_and_one_beside_a_pinned_one_are_not_tried(registry, tmp_path):
    async def begun(own, how=HOW) -> bool:
        return await Canary(own, MemoryStore(), how).begin("00000002")

    first = registry_with(tmp_path / "first", "ready")

    assert not asyncio.run(Canary(first, MemoryStore(), HOW).begin("00000001"))
    assert not asyncio.run(begun(registry, None))
    registry.activate("00000001", pinned=True)
    assert not asyncio.run(begun(registry))


def test_a_canary_that_is_taken_over_by_hand_or_switched_off_ends(registry):
    store = MemoryStore()

    async def trial() -> None:
        await Canary(registry, store, HOW).begin("00000002")
        await Canary(registry, store, HOW).look(giving({}), 100.0)

    asyncio.run(trial())
    registry.activate("00000002", pinned=True)
    by_hand = asyncio.run(Canary(registry, store, HOW).look(giving({}), 101.0))

    assert (by_hand, settings_of(store).versions()) == (None, set())
    registry.follow()
    registry.hold("00000002")
    assert asyncio.run(Canary(registry, store, None).look(giving({}), 102.0)).decision == "promote"
