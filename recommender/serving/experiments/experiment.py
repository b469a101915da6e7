"""Experiment: the document of a split of a placement's users."""

from __future__ import annotations

from math import isclose
from typing import Literal

import msgspec

from lightfm_serve.records.assignment import variant_of
from lightfm_serve.records.values import check_moment, parse_time
from recommender.errors import InvalidRequestError
from recommender.schema import Query
from recommender.serving.placements.placement import Placement

Guardrail = Literal["empty_share", "degraded_share", "p99_ms"]

EVERYWHERE = ""
"""Placement of the experiment of a canary: all that have no experiment of their own, and none."""
MOST_VARIANTS = 10
RATE = "_rate"


class Variant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One arm of an experiment, with the settings that it puts in place of those of the placement."""

    name: str
    share: float
    settings: Placement = Placement()
    model_version: str | None = None
    """Version that answers; None for the active one."""


class Experiment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A split of a placement's users; the first variant is what the others are compared with."""

    placement: str
    variants: tuple[Variant, ...]
    metric: str = "click_rate"
    """Name of an event and ``_rate``: the share of exposures that an interaction with it is attributed to."""
    guardrails: tuple[Guardrail, ...] = ()
    min_exposures: int = 1_000
    """Of each variant, from which on anything is decided."""
    until: str | None = None
    """RFC 3339; users are not split any longer from then on."""
    salt: str = ""
    started_at: float = 0.0
    """Seconds since the epoch, as the times below."""
    ended_at: float | None = None
    shipped: str | None = None
    """Variant whose settings went into the placement when it ended."""

    @property
    def event(self) -> str:
        """Event of the metric."""
        return self.metric.removesuffix(RATE)

    @property
    def shares(self) -> list[tuple[str, float]]:
        """Name and share of each variant."""
        return [(each.name, each.share) for each in self.variants]

    def variant(self, name: str) -> Variant | None:
        """Variant of a name."""
        return next((each for each in self.variants if each.name == name), None)

    def runs(self, now: float) -> bool:
        """Whether users are split at a time."""
        return self.ended_at is None and (self.until is None or now < parse_time(self.until))

    def assigned(self, name: str, query: Query) -> Variant | None:
        """Variant of a query's user or session in this experiment of this name; None for who has neither."""
        unit = query.user_id if query.user_id is not None else query.session_id
        return None if unit is None else self.variant(variant_of(name, self.salt, unit, self.shares))

    def check(self) -> None:
        """Refuse what cannot be run.

        Raises
        ------
        InvalidRequestError
            Names what is wrong.
        """
        names = [each.name for each in self.variants]
        if len(set(names)) != len(names) or not 2 <= len(names) <= MOST_VARIANTS:
            raise InvalidRequestError(
                f"an experiment has 2 to {MOST_VARIANTS} variants of different names, not {names}"
            )
        total = sum(each.share for each in self.variants)
        if not isclose(total, 1.0, abs_tol=1e-6) or min(each.share for each in self.variants) <= 0:
            raise InvalidRequestError(f"the shares of the variants are above 0 and come to 1, these come to {total:g}")
        if not self.event or not self.metric.endswith(RATE):
            raise InvalidRequestError(f"metric {self.metric!r} is not the name of an event and _rate, as in click_rate")
        _check_until(self.until)
        for each in self.variants:
            each.settings.check()


def _check_until(until: str | None) -> None:
    try:
        if until is not None:
            check_moment(until)
    except ValueError as error:
        raise InvalidRequestError(f"until: {str(error).replace('{}', repr(until))}") from None
