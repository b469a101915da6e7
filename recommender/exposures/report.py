"""Attribution report: rates by version, variant, placement, position or day, from the ledger's sums."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec
from scipy import stats

from recommender.exposures.ledger import Ledger, day_of

By = Literal["version", "variant", "placement", "position", "day"]

DISCOVERABLE = 5
"""Attributed interactions from which on an item counts as discoverable."""
_KEYS: Mapping[str, tuple[str, ...]] = {
    "version": ("version",),
    "variant": ("experiment", "variant"),
    "placement": ("placement",),
    "day": ("day",),
    "position": (),
}


class Rate(msgspec.Struct, frozen=True):
    """Share of exposures with at least one such interaction, with Wilson's interval at 95 %."""

    rate: float
    low: float
    high: float


class AttributionQuery(NamedTuple):
    """What a report is about; times in seconds since the epoch, widened to whole days of UTC.

    With `daily` each row is told day by day.
    """

    by: By = "version"
    placement: str | None = None
    since: float | None = None
    until: float | None = None
    daily: bool = False


class _Group(NamedTuple):
    """Sums of the cells, or of one position of them, that have the same values of some columns."""

    key: tuple[str, ...]
    position: int
    exposures: int
    shown: int
    young: int

    def named(self, columns: Sequence[str]) -> dict[str, Any]:
        position = {"position": self.position} if self.position else {}
        return {**position, **{name: value or None for name, value in zip(columns, self.key, strict=True)}}


def report(ledger: Ledger, query: AttributionQuery, n_items: int | None) -> dict[str, Any]:
    """Figures as ``GET /v1/attribution`` has them.

    Parameters
    ----------
    ledger
        Where the sums are.
    query
        By what, and of which days and placement.
    n_items
        Items of the catalogue, for `coverage`; None where that is not known.

    Returns
    -------
    ``{"by", "rows"}``, rows by their key, by day first where they are told daily; of `position` by number. `exposures`
    of a position are those with an item there, its users those who were shown so long a list, and its rates of the
    item there; what is counted over the catalogue, `coverage` and `discoverable`, no position has.
    """
    cells, parameters = _where(query)
    columns = _columns(query)
    groups = (_positions if query.by == "position" else _groups)(ledger, columns, cells, parameters)
    rows = [{**group.named(columns), **_row(ledger, columns, group, cells, parameters, n_items)} for group in groups]
    return {"by": query.by, "rows": rows}


@functools.lru_cache(maxsize=10_000)
def wilson(hits: int, n: int) -> Rate:
    """Share and Wilson's score interval at 95 %."""
    if not n:
        return Rate(0.0, 0.0, 1.0)
    interval = stats.binomtest(min(hits, n), n).proportion_ci(method="wilson")
    return Rate(hits / n, float(interval.low), float(interval.high))


def _where(query: AttributionQuery) -> tuple[str, list[Any]]:
    """Condition on cells, and its values."""
    conditions, parameters = ["1"], []
    if query.placement is not None:
        conditions.append("placement = ?")
        parameters.append(query.placement)
    if query.since is not None:
        conditions.append("day >= ?")
        parameters.append(day_of(query.since))
    if query.until is not None:
        conditions.append("day <= ?")
        parameters.append(day_of(query.until))
    if query.by == "variant":
        conditions.append("experiment != ''")
    return " AND ".join(conditions), parameters


def _columns(query: AttributionQuery) -> tuple[str, ...]:
    """Columns of cells that tell one row from another."""
    own = _KEYS[query.by]
    return ("day", *own) if query.daily and "day" not in own else own


def _groups(ledger: Ledger, columns: Sequence[str], cells: str, parameters: Sequence[Any]) -> list[_Group]:
    names = ", ".join(columns)
    found = ledger.read(
        f"SELECT SUM(exposures), SUM(shown), SUM(young), {names} FROM cells WHERE {cells}"
        f" GROUP BY {names} ORDER BY {names}",
        parameters,
    )
    return [_Group(tuple(row[3:]), 0, *row[:3]) for row in found]


def _positions(ledger: Ledger, columns: Sequence[str], cells: str, parameters: Sequence[Any]) -> list[_Group]:
    names = ", ".join([*columns, "position"])
    found = ledger.read(
        f"SELECT SUM(own.exposures), SUM(own.young), {names} FROM cell_positions AS own JOIN cells USING (cell)"
        f" WHERE {cells} GROUP BY {names} ORDER BY {names}",
        parameters,
    )
    return [_Group(tuple(row[2:-1]), row[-1], row[0], row[0], row[1]) for row in found]


def _row(
    ledger: Ledger,
    columns: Sequence[str],
    group: _Group,
    cells: str,
    parameters: Sequence[Any],
    n_items: int | None,
) -> dict[str, Any]:
    cells = " AND ".join([cells, *(f"{name} = ?" for name in columns)])
    parameters = [*parameters, *group.key]
    own = f"cell IN (SELECT cell FROM cells WHERE {cells})"
    events = ledger.read(
        f"SELECT event, SUM(interactions), SUM(hits), SUM(young) FROM cell_events WHERE {own} AND position = ?"
        " GROUP BY event ORDER BY event",
        (*parameters, group.position),
    )
    interactions = {event: n for event, n, _, _ in events}
    [(users,)] = ledger.read(
        f"SELECT COUNT(DISTINCT unit) FROM cell_users WHERE {own} AND longest >= ?",
        (*parameters, group.position),
    )
    return {
        "exposures": group.exposures,
        "users": users,
        "interactions": interactions,
        "rates": {event: wilson(hits, group.exposures) for event, _, hits, _ in events},
        "young_exposures": _share(group.young, group.shown),
        "young_interactions": _share(sum(young for *_, young in events), sum(interactions.values())),
        **({} if group.position else _items(ledger, own, parameters, n_items)),
    }


def _items(ledger: Ledger, own: str, parameters: Sequence[Any], n_items: int | None) -> dict[str, Any]:
    """What of the catalogue was shown, and found."""
    [(items, discoverable)] = ledger.read(
        "SELECT COUNT(*), COALESCE(SUM(taken >= ?), 0) FROM"
        f" (SELECT SUM(taken) AS taken FROM cell_items WHERE {own} GROUP BY item_id)",
        (DISCOVERABLE, *parameters),
    )
    return {"coverage": min(1.0, items / n_items) if n_items else None, "discoverable": discoverable}


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
