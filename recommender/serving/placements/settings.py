"""Settings: the placements of a service as documents, and what they make of a query."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from recommender.errors import InvalidRequestError
from recommender.schema import Query, Rule
from recommender.serving.boosts import check_boosts
from recommender.serving.filters import Filter
from recommender.serving.placements.rules import active_rules, check_filter, check_rules
from recommender.stores.settings_log import SettingChange, StoredSettings

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


class Settings:
    """All placements at one number of the settings.

    Parameters
    ----------
    number
        Of the newest change.
    placements
        By name.
    """

    def __init__(self, number: int = 0, placements: Mapping[str, Placement] | None = None) -> None:
        self.number = number
        self.placements = dict(placements or {})

    @classmethod
    def of(cls, stored: StoredSettings) -> Settings:
        """Settings as the store has them."""
        placements = {each.name: read_placement(each) for each in stored.settings if each.kind == "placement"}
        return cls(stored.number, placements)

    def applied(self, queries: Iterable[Query], *, current: bool = True, now: float | None = None) -> list[Query]:
        """Queries with the settings of their placements, as far as they have not set them themselves.

        Parameters
        ----------
        queries
            With or without a placement.
        current
            Whether these settings are those of the store now. Where they are not, a placement may be there that is
            not among them, and a query for it stays as it is.
        now
            Seconds since the epoch; the clock's when absent. Rules are those that hold then.

        Returns
        -------
        A query each, in their order, with `Query.is_unknown` where there is no placement of that name.
        """
        at = time.time() if now is None else now
        return [query if query.placement is None else self._applied(query, current, at) for query in queries]

    def _applied(self, query: Query, current: bool, now: float) -> Query:
        placement = self.placements.get(str(query.placement))
        if placement is None:
            return msgspec.structs.replace(query, is_unknown=current)
        return with_placement(query, placement, now)


def with_placement(query: Query, placement: Placement, now: float) -> Query:
    """A query with these settings, as far as it has not set them itself, and with the rules that hold now."""
    fields = {name: value for name, value in _set_fields(placement).items() if name not in query.given}
    if "boost" in fields:
        fields["boost"] = check_boosts(fields["boost"])
    if "rules" in fields:
        fields["rules"] = active_rules(fields["rules"], now)
    return msgspec.structs.replace(query, **fields)


def read_placement(change: SettingChange) -> Placement:
    """Placement of a change; one that was deleted has no settings."""
    return _decoder.decode(change.document or b"{}")


def write_placement(placement: Placement) -> bytes:
    """Document of a placement: JSON of what is set."""
    return _encoder.encode(placement)


def _set_fields(placement: Placement) -> dict[str, Any]:
    return {name: value for name in _NAMES if (value := getattr(placement, name)) is not None}


_NAMES: Sequence[str] = Placement.__struct_fields__
_decoder = msgspec.json.Decoder(Placement)
_encoder = msgspec.json.Encoder()
