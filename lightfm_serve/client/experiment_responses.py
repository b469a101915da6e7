"""Response types of experiments. Fields that a newer service adds are ignored."""

from __future__ import annotations

import msgspec

from lightfm_serve.client.placement_responses import PlacementSettings
from lightfm_serve.records.assignment import variant_of


class VariantSettings(PlacementSettings, frozen=True, kw_only=True, omit_defaults=True):
    """Settings in place of the placement's, or the version that answers."""

    model_version: str | None = None


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """One arm of an experiment."""

    name: str
    share: float
    settings: VariantSettings


class _Experiment(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    placement: str
    metric: str
    guardrails: list[str]
    min_exposures: int
    until: str | None
    salt: str
    started_at: float
    ended_at: float | None
    shipped: str | None
    status: str
    """``running``, ``over`` where its time has passed, or ``ended``."""


class Experiment(_Experiment, frozen=True, kw_only=True):
    """An experiment; times in seconds since the epoch."""

    variants: list[Variant]

    def variant_of(self, unit: str) -> str:
        """Variant that the service assigns to a user, or to the session of an anonymous one."""
        return variant_of(self.name, self.salt, unit, [(each.name, each.share) for each in self.variants])


class Experiments(msgspec.Struct, frozen=True):
    """All experiments, by name."""

    experiments: list[Experiment]


class Figure(msgspec.Struct, frozen=True):
    """A figure with an interval that holds at every look; None while there is none yet."""

    value: float
    low: float | None
    high: float | None


class VariantResult(Variant, frozen=True, kw_only=True):
    """What came of one arm; differences are to the first one."""

    users: int
    exposures: int
    metric: Figure
    difference: Figure | None = None
    relative_difference: Figure | None = None
    empty_share: float
    degraded_share: float
    p99_ms: float | None


class ExperimentResult(_Experiment, frozen=True, kw_only=True):
    """An experiment, what came of it so far, and what to do."""

    variants: list[VariantResult]
    sample_ratio_p: float
    """Of a mismatch between the users of the variants and their shares."""
    decision: str
    """``wait``, ``ship``, ``rollback`` or ``invalid``."""
    reason: str
    best: str | None
    exposures_needed: int | None
