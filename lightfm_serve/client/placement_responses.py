"""Response types of placements. Fields that a newer service adds are ignored."""

from __future__ import annotations

import msgspec


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"from_": "from"}):
    """A rule: pin with position, promote with share, limit with at_most and within, or bury."""

    pin: str | None = None
    position: int | None = None
    promote: str | None = None
    share: float | None = None
    limit: str | None = None
    at_most: int | None = None
    within: int | None = None
    bury: str | None = None
    from_: str | None = None
    until: str | None = None


class PlacementSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Settings of a placement; what is None is left to the request and to the service."""

    k: int | None = None
    filter: list[str] | None = None
    boost: dict[str, float] | None = None
    diversity: float | None = None
    explore: float | None = None
    exclude_seen: bool | None = None
    fallback: str | None = None
    rules: list[Rule] | None = None


class Placement(PlacementSettings, frozen=True, kw_only=True, omit_defaults=True):
    """A placement with the number and time of its last change, in seconds since the epoch."""

    name: str
    number: int
    updated_at: float


class Placements(msgspec.Struct, frozen=True):
    """All placements, by name."""

    placements: list[Placement]


class PlacementChange(msgspec.Struct, frozen=True):
    """One change of a placement, as it can be put back; None where it was deleted."""

    number: int
    at: float
    settings: PlacementSettings | None


class PlacementHistory(msgspec.Struct, frozen=True):
    """Last changes of a placement, newest first."""

    name: str
    changes: list[PlacementChange]
