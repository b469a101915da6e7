"""Bodies of placements: msgspec types that decode strictly, and what they are to the library."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, structs

from deployments.http import schema_patterns
from deployments.http.schemas import Boost, Diversity, Fallback, FilterClause, Id, K, check_ids
from recommender import schema
from recommender.serving.placements.placement import MOST_RULES, Placement

Token = Annotated[
    str, Meta(max_length=1024, description="genres:Comedy", extra_json_schema={"pattern": schema_patterns.RULE_FILTER})
]
Count = K


class Rule(Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True, rename={"from_": "from"}):
    """One rule: pin with position, promote with share, limit with at_most and within, or bury."""

    pin: (
        Annotated[Id, Meta(description="this item at `position`, where it is available and passes the filter")] | None
    ) = None
    position: Annotated[Count, Meta(description="from 1, counted over all pages")] | None = None
    promote: Token | None = None
    share: Annotated[float, Meta(gt=0, le=1, description="of the first k, spread evenly, at least")] | None = None
    limit: Annotated[str, Meta(min_length=1, max_length=128, description="name of a feature, as in brand")] | None = (
        None
    )
    at_most: Annotated[Count, Meta(description="as often may one value of the feature be there")] | None = None
    within: Annotated[Count, Meta(description="in any window of so many positions")] | None = None
    bury: Token | None = None
    from_: str | None = None
    until: str | None = None

    def __post_init__(self) -> None:
        check_ids([self.pin])

    def rule(self) -> schema.Rule:
        """What the library takes."""
        counts = {name: int(value) for name in _COUNTS if (value := getattr(self, name)) is not None}
        return schema.Rule(**(structs.asdict(self) | counts))


_COUNTS = ("position", "at_most", "within")


def _kind(**own: object) -> dict[str, object]:
    """JSON schema of a kind of rule: what it needs, and when it holds."""
    moment = {"type": ["string", "null"], "pattern": schema_patterns.MOMENT}
    times = {"from": moment, "until": moment}
    return {
        "type": "object",
        "properties": {**own, **times},
        "required": list(own),
        "additionalProperties": False,
    }


def _text(pattern: str) -> dict[str, str]:
    return {"type": "string", "pattern": pattern}


_COUNT = {"type": "integer", "minimum": 1, "maximum": 1000}
_SHARE = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
_TOKEN = _text(schema_patterns.RULE_FILTER)
_KINDS = [
    _kind(pin=_text(schema_patterns.ID), position=_COUNT),
    _kind(promote=_TOKEN, share=_SHARE),
    _kind(limit=_text(schema_patterns.FEATURE_ALONE), at_most=_COUNT, within=_COUNT),
    _kind(bury=_TOKEN),
]
Rules = Annotated[
    list[Annotated[Rule, Meta(extra_json_schema={"oneOf": _KINDS})]],
    Meta(
        description=f"pin, promote, limit or bury; up to {MOST_RULES}, none of which contradicts another",
        extra_json_schema={"maxItems": MOST_RULES},
    ),
]


class PlacementFields(Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Settings of a placement; what is left out is left to the request and to the service."""

    k: K | None = None
    filter: Annotated[list[FilterClause], Meta(max_length=100)] | None = None
    boost: Boost | None = None
    diversity: Diversity | None = None
    explore: Annotated[float, Meta(ge=0, le=1, description="share of the positions for newcomers")] | None = None
    exclude_seen: bool | None = None
    fallback: Fallback | None = None
    rules: Rules | None = None

    def placement(self) -> Placement:
        """What the library takes; it is checked.

        Raises
        ------
        InvalidRequestError
            Names the setting, or the two rules that contradict one another.
        """
        made = Placement(
            k=None if self.k is None else int(self.k),
            filter=None if self.filter is None else tuple(self.filter),
            boost=self.boost,
            diversity=self.diversity,
            explore=self.explore,
            exclude_seen=self.exclude_seen,
            fallback=self.fallback,
            rules=None if self.rules is None else tuple(each.rule() for each in self.rules),
        )
        made.check()
        return made


class PlacementBody(PlacementFields, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Settings with what a service says of them, which is accepted, so that what was read can be written back."""

    name: Id | None = None
    number: int | None = None
    updated_at: float | str | None = None


class PreviewBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Settings to look at before they are put, and for whom."""

    settings: PlacementFields
    user_id: Id | None = None
    model_version: (
        Annotated[str, Meta(min_length=1, max_length=64, description="that answers; the active one when absent")] | None
    ) = None

    def __post_init__(self) -> None:
        check_ids([self.user_id])


class StoredPlacement(PlacementFields, kw_only=True, omit_defaults=True):
    """A placement; `number` is that of its last change, `updated_at` in seconds since the epoch."""

    name: str
    number: int
    updated_at: float


class Placements(Struct):
    """All placements, by name."""

    placements: list[StoredPlacement]


class PlacementChange(Struct):
    """One change: the settings as they were put, null where the placement was deleted."""

    number: int
    at: float
    settings: PlacementFields | None


class PlacementHistory(Struct):
    """The last 50 changes of a placement, newest first; put `settings` to have them back."""

    name: str
    changes: list[PlacementChange]
