"""Canary: a new version serves a share of the users first, and is promoted, or rolled back by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec

from recommender.evaluation.confidence_sequences import difference, hit_rate, with_interval
from recommender.evaluation.experiment_counts import VariantCounts
from recommender.evaluation.sample_ratio import mismatch_p_value
from recommender.serving.experiments.experiment import EVERYWHERE, Experiment, Guardrail, Variant
from recommender.serving.experiments.judgement import MISMATCH_P, broken_guardrail
from recommender.serving.placements.settings import Settings, write_document
from recommender.storage.registry import Registry
from recommender.stores.settings_log import SettingPut, SettingsLog

logger = logging.getLogger("recommender.training.canary")

CONTROL, CANARY = "active", "canary"
GUARDRAILS: tuple[Guardrail, ...] = ("empty_share", "degraded_share", "p99_ms")

Counts = Callable[[str, str], Awaitable[Mapping[str, VariantCounts]]]
"""Counts by variant of an experiment, with the hits of one kind of event."""


@dataclass(frozen=True)
class CanarySettings:
    """How a version is tried.

    Parameters
    ----------
    share
        Of the users who are answered by it.
    metric
        Name of an event and ``_rate``.
    min_exposures
        Of the canary, from which on anything is decided.
    worse_by
        How much worse it may be, as a share of the metric of the active version.
    at_most_s
        Seconds after which it is promoted, where it is not worse beyond doubt.
    """

    share: float = 0.05
    metric: str = "click_rate"
    min_exposures: int = 2_000
    worse_by: float = 0.1
    at_most_s: float = 86_400.0


class CanaryVerdict(NamedTuple):
    """What becomes of a canary, and why."""

    decision: Literal["wait", "promote", "rollback"]
    reason: str


def judge_canary(settings: CanarySettings, counts: Mapping[str, VariantCounts], age_s: float) -> CanaryVerdict:
    """Whether a canary is promoted, rolled back, or tried on.

    It is rolled back when it is worse beyond doubt, breaks a guardrail, or its users do not come back as they should;
    promoted when it is beyond doubt that it is not worse by more than it may be, or its time is up. Intervals are
    confidence sequences, so that it may be judged every few seconds.

    Parameters
    ----------
    settings
        How it is tried.
    counts
        By variant, `CONTROL` and `CANARY`.
    age_s
        Seconds since it began.
    """
    control, own = (counts.get(name, VariantCounts()) for name in (CONTROL, CANARY))
    p = mismatch_p_value([control.users, own.users], [1 - settings.share, settings.share])
    if p < MISMATCH_P:
        return CanaryVerdict("rollback", f"its users are not its share: {own.users} of {own.users + control.users}")
    broken = broken_guardrail(GUARDRAILS, control, own, settings.min_exposures)
    if broken is not None:
        return CanaryVerdict("rollback", f"it breaks a guardrail: {broken}")
    rates = hit_rate(own), hit_rate(control)
    growth = min(own.exposures, control.exposures) / settings.min_exposures
    apart = with_interval(difference(*rates), growth)
    told = f"{settings.metric} {rates[0].value:.4f} on {own.exposures} exposures, {rates[1].value:.4f} of the active"
    if apart.high < 0:
        return CanaryVerdict("rollback", f"worse beyond doubt: {told}")
    if apart.low > -settings.worse_by * rates[1].value:
        return CanaryVerdict("promote", f"not worse by {settings.worse_by:.0%} beyond doubt: {told}")
    if age_s > settings.at_most_s:
        return CanaryVerdict("promote", f"not worse beyond doubt in {age_s:.0f} s: {told}")
    return CanaryVerdict("wait", told)


class Canary:
    """Trial of a version: an experiment over all users, which ends by itself.

    Its state is in the registry, whose canary the version is, and in the settings, where the experiment is: whatever
    dies, the next look goes on from there.

    Parameters
    ----------
    registry
        Of the versions.
    store
        With the settings.
    settings
        How it is tried; None: a canary that an earlier configuration began is promoted.
    """

    def __init__(self, registry: Registry, store: SettingsLog, settings: CanarySettings | None) -> None:
        self._registry, self._store, self._settings = registry, store, settings

    async def version(self) -> str | None:
        """Version that is tried now."""
        pointer = await asyncio.to_thread(self._registry.pointer)
        return pointer.canary

    async def begin(self, version: str) -> bool:
        """Try a version that was published and is not served yet; False where there is nothing to compare it with.

        It is to be called before anybody is told of the version.
        """
        current = await asyncio.to_thread(self._registry.current)
        if self._settings is None or current.version in (None, version) or current.pinned:
            return False
        await asyncio.to_thread(self._registry.hold, version)
        return True

    async def look(self, counts: Counts, now: float, *, hurry: bool = False) -> CanaryVerdict | None:
        """Judge the canary and do what the verdict says; None where there is none.

        Parameters
        ----------
        counts
            Of the exposures.
        now
            Seconds since the epoch.
        hurry
            Whether it must be decided now: it is promoted where it is not worse beyond doubt.

        Raises
        ------
        StoreError
            The store does not answer; the canary goes on.
        """
        version = await self.version()
        if version is None:
            await self._end_others(None, now)
            return None
        if self._settings is None:
            await asyncio.to_thread(self._registry.promote)
            return CanaryVerdict("promote", "canaries are off")
        experiment = await self._experiment(version, self._settings, now)
        found = await counts(name_of(version), experiment.event)
        age_s = now - experiment.started_at if not hurry else self._settings.at_most_s + 1
        verdict = judge_canary(self._settings, found, age_s)
        if verdict.decision != "wait":
            await self._decide(version, verdict, now)
        return verdict

    async def _decide(self, version: str, verdict: CanaryVerdict, now: float) -> None:
        if verdict.decision == "promote":
            await asyncio.to_thread(self._registry.promote)
        else:
            await asyncio.to_thread(self._registry.roll_back, version, verdict.reason)
        logger.warning("version %s: %s, %s", version, verdict.decision, verdict.reason)
        await self._end_others(None, now)

    async def _experiment(self, version: str, settings: CanarySettings, now: float) -> Experiment:
        """Experiment of a canary, started where it is not there."""
        await self._end_others(version, now)
        found = Settings.of(await self._store.settings()).experiments.get(name_of(version))
        if found is not None and found.ended_at is None:
            return found
        made = Experiment(
            placement=EVERYWHERE,
            variants=(
                Variant(name=CONTROL, share=1 - settings.share),
                Variant(name=CANARY, share=settings.share, model_version=version),
            ),
            metric=settings.metric,
            guardrails=GUARDRAILS,
            min_exposures=settings.min_exposures,
            started_at=now,
        )
        await self._store.put_settings([SettingPut("experiment", name_of(version), write_document(made))], now)
        return made

    async def _end_others(self, version: str | None, now: float) -> None:
        """End the experiments of canaries that are decided, or were taken over by hand."""
        experiments = Settings.of(await self._store.settings()).experiments
        puts = [
            SettingPut("experiment", name, write_document(msgspec.structs.replace(each, ended_at=now)))
            for name, each in experiments.items()
            if each.placement == EVERYWHERE and each.ended_at is None and (version is None or name != name_of(version))
        ]
        if puts:
            await self._store.put_settings(puts, now)


def name_of(version: str) -> str:
    """Name of the experiment of a canary."""
    return f"canary-{version}"
