"""Placement: the document of a placement's settings, and what it makes of a query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from recommender.errors import InvalidRequestError
from recommender.schema import Query, Rule
from recommender.serving.boosts import check_boosts
from recommender.serving.filters import Filter
from recommender.serving.placements.rules import active_rules, check_filter, check_rules

DEFAULT_K = 10
MOST_RULES = 100


class Placement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Settings of a placement; what is None is left to the request and to the service."""

    k: int | None = None
    filter: tuple[str, ...] | None = None
    boost: dict[str, float] | None = None
    diversity: float | None = None
    explore: float | None = None
    exclude_seen: bool | None = None
    fallback: Literal["popular", "none"] | None = None
    rules: tuple[Rule, ...] | None = None

    def check(self) -> None:
        """Refuse settings that cannot be applied.

        Raises
        ------
        InvalidRequestError
            Names the setting, or the two rules that contradict one another.
        """
        Filter.parse(self.filter or ())
        check_boosts(self.boost or {})
        rules = self.rules or ()
        if len(rules) > MOST_RULES:
            raise InvalidRequestError(f"a placement has up to {MOST_RULES} rules, this one has {len(rules)}")
        check_rules(rules, self.k or DEFAULT_K)
        check_filter(rules, self.filter or ())

    def updated(self, other: Placement) -> Placement:
        """These settings with those of another one that are set, in place of the own."""
        return msgspec.structs.replace(self, **_set_fields(other))


def with_placement(query: Query, placement: Placement, now: float) -> Query:
    """A query with these settings, as far as it has not set them itself, and with the rules that hold now."""
    fields = {name: value for name, value in _set_fields(placement).items() if name not in query.given}
    if "boost" in fields:
        fields["boost"] = check_boosts(fields["boost"])
    if "rules" in fields:
        fields["rules"] = active_rules(fields["rules"], now)
    return msgspec.structs.replace(query, **fields)


def _set_fields(placement: Placement) -> dict[str, Any]:
    return {name: value for name in _NAMES if (value := getattr(placement, name)) is not None}


_NAMES: Sequence[str] = Placement.__struct_fields__
