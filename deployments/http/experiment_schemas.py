"""Bodies of experiments: msgspec types that decode strictly, and what they are to the library."""

from __future__ import annotations

import time
from typing import Annotated, Literal

from msgspec import Meta, Struct

from deployments.http import schema_patterns
from deployments.http.placement_schemas import PlacementFields
from deployments.http.schemas import Id, check_ids
from recommender.serving.experiments.experiment import MOST_VARIANTS, Experiment, Guardrail, Variant
from recommender.serving.experiments.judgement import VariantFigures

Moment = Annotated[str, Meta(description="RFC 3339", extra_json_schema={"pattern": schema_patterns.TIMESTAMP})]
Metric = Annotated[
    str,
    Meta(
        max_length=133,
        description="name of an event and _rate: the share of exposures that such an interaction is attributed to",
        extra_json_schema={"pattern": "^[a-z]{1,32}_rate$"},
    ),
]

MinExposures = (
    Annotated[int, Meta(ge=1, le=1_000_000_000, description="of each variant")]
    | Annotated[float, Meta(ge=1, le=1_000_000_000, multiple_of=1)]
)


class VariantSettings(PlacementFields, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Settings in place of the placement's, or the version that is to answer."""

    model_version: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


class VariantBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """One arm of an experiment."""

    name: Id
    share: Annotated[float, Meta(gt=0, le=1)]
    settings: VariantSettings | None = None

    def __post_init__(self) -> None:
        check_ids([self.name])

    def variant(self) -> Variant:
        """What the library takes."""
        settings = self.settings or VariantSettings()
        return Variant(
            name=self.name, share=self.share, settings=settings.placement(), model_version=settings.model_version
        )


class ExperimentBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """A split of a placement's users; the first variant is what the others are compared with."""

    placement: Id
    variants: Annotated[list[VariantBody], Meta(min_length=2, max_length=MOST_VARIANTS)]
    metric: Metric = "click_rate"
    guardrails: list[Guardrail] = []
    min_exposures: MinExposures = 1_000
    until: Moment | None = None
    salt: Annotated[str, Meta(max_length=256)] = ""

    def __post_init__(self) -> None:
        check_ids([self.placement])

    def experiment(self) -> Experiment:
        """What the library takes; it is checked.

        Raises
        ------
        InvalidRequestError
            Names what is wrong.
        """
        made = Experiment(
            placement=self.placement,
            variants=tuple(each.variant() for each in self.variants),
            metric=self.metric,
            guardrails=tuple(self.guardrails),
            min_exposures=int(self.min_exposures),
            until=self.until,
            salt=self.salt,
            started_at=time.time(),
        )
        made.check()
        return made


class StoredExperimentBody(ExperimentBody, forbid_unknown_fields=True, kw_only=True):
    """An experiment with what a service says of it, which is accepted, so that what was put can be put back."""

    name: Id | None = None
    started_at: float | None = None
    ended_at: float | None = None
    shipped: str | None = None
    status: str | None = None


class EndBody(Struct, forbid_unknown_fields=True):
    """Body of ``POST /v1/experiments/{name}/end``."""

    ship: Annotated[Id, Meta(description="variant whose settings go into the placement")] | None = None


class StoredVariant(Struct, kw_only=True, omit_defaults=True):
    """One arm of an experiment, with its settings."""

    name: str
    share: float
    settings: VariantSettings


class _Experiment(Struct, kw_only=True):
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
    status: Literal["running", "over", "ended"]
    """``over``: its time has passed, and its users have the placement's settings."""


class StoredExperiment(_Experiment, kw_only=True):
    """An experiment; times in seconds since the epoch."""

    variants: list[StoredVariant]


class Experiments(Struct):
    """All experiments, by name."""

    experiments: list[StoredExperiment]


class ShownVariant(VariantFigures, kw_only=True, frozen=True):
    """One arm of an experiment with its settings and figures."""

    settings: VariantSettings


class ExperimentResult(_Experiment, kw_only=True):
    """An experiment, what came of it so far, and what to do."""

    variants: list[ShownVariant]
    sample_ratio_p: float
    """Of a mismatch between the users of the variants and their shares; it holds at every look."""
    decision: Literal["wait", "ship", "rollback", "invalid"]
    reason: str
    best: str | None
    """Variant that is to be shipped."""
    exposures_needed: int | None
    """Of each variant, for a tenth more or less to be beyond doubt in four of five experiments."""
