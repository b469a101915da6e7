"""Schemas of exposures: what pages that show lists from elsewhere may send."""

from __future__ import annotations

import secrets
from typing import Annotated

from msgspec import Meta, Struct

from deployments.http.schemas import Id, Timestamp, check_ids, seconds_of
from recommender.exposures.exposure import Exposure, ShownItem

Position = Annotated[int, Meta(ge=1, le=100_000)] | Annotated[float, Meta(ge=1, le=100_000, multiple_of=1)]


class ShownItemBody(Struct, forbid_unknown_fields=True):
    """An item that was shown; without `position` it stands behind the one before it."""

    item_id: Id
    position: Position | None = None
    propensity: Annotated[float, Meta(gt=0, le=1)] | None = None


class ExposureBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """A list that was shown."""

    items: Annotated[list[Id | ShownItemBody], Meta(max_length=1000)]
    recommendation_id: Id | None = None
    """Of its own; made up where it is missing."""
    user_id: Id | None = None
    placement: Id | None = None
    model_version: Id | None = None
    """Of whatever made the list; the figures are by it."""
    experiment: Id | None = None
    variant: Id | None = None
    at: Timestamp | None = None

    def __post_init__(self) -> None:
        names = [
            self.recommendation_id,
            self.user_id,
            self.placement,
            self.model_version,
            self.experiment,
            self.variant,
        ]
        check_ids([*names, *(each if isinstance(each, str) else each.item_id for each in self.items)])
        if (self.experiment is None) != (self.variant is None):
            raise ValueError("experiment and variant go together")
        positions = [item.position for item in self._shown()]
        if len(set(positions)) != len(positions):
            raise ValueError("two items have the same position")
        seconds_of(self.at, "at")

    def exposure(self) -> Exposure:
        """What the library takes."""
        return Exposure(
            self.recommendation_id or secrets.token_hex(16),
            self.user_id,
            seconds_of(self.at, "at"),
            tuple(self._shown()),
            self.model_version,
            self.placement,
            self.experiment,
            self.variant,
        )

    def _shown(self) -> list[ShownItem]:
        shown: list[ShownItem] = []
        for each in self.items:
            item = ShownItemBody(each) if isinstance(each, str) else each
            behind = shown[-1].position + 1 if shown else 1
            shown.append(ShownItem(item.item_id, int(item.position or behind), item.propensity))
        return shown


class ExposureBodies(Struct, forbid_unknown_fields=True):
    """Body of ``POST /v1/exposures``."""

    exposures: Annotated[list[ExposureBody], Meta(min_length=1, max_length=1_000)]


class AcceptedExposures(Struct):
    """Exposures that are in the stream now, by their ids in the order given."""

    accepted: int
    recommendation_ids: list[str]


class ShownItemObject(Struct, omit_defaults=True):
    """An item of an exposure."""

    item_id: str
    position: int
    propensity: float | None = None
    """Where it was drawn: the probability with which it was."""
    interactions: dict[str, int] = {}
    """By event, how many are attributed to it so far."""


class ExposureObject(Struct):
    """An answer that was shown."""

    recommendation_id: str
    user_id: str | None
    placement: str | None
    model_version: str | None
    experiment: str | None
    variant: str | None
    at: float
    items: list[ShownItemObject]


class RateObject(Struct):
    """Share of exposures with at least one such interaction, with Wilson's interval at 95 %."""

    rate: float
    low: float
    high: float


class AttributionRow(Struct, omit_defaults=True):
    """Figures of one version, variant, placement, position or day; the field of that name says which."""

    exposures: int
    users: int
    interactions: dict[str, int]
    rates: dict[str, RateObject]
    young_exposures: float
    """Share of the items shown that were first put or seen less than 7 days before."""
    young_interactions: float
    """The same of the attributed interactions."""
    coverage: float | None = None
    """Share of the catalogue's items that were shown; not by position."""
    discoverable: int | None = None
    """Items with 5 attributed interactions or more; not by position."""
    version: str | None = None
    experiment: str | None = None
    variant: str | None = None
    placement: str | None = None
    position: int | None = None
    day: str | None = None


class AttributionReport(Struct):
    """What came of what was shown."""

    by: str
    rows: list[AttributionRow]


class ExposurePage(Struct):
    """Exposures, newest first; the last page has no cursor."""

    exposures: list[ExposureObject]
    next_cursor: str | None
