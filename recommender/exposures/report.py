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
    """What a report is about; times in seconds since the epoch, widened to whole days of UTC."""

    by: By = "version"
    placement: str | None = None
    since: float | None = None
    until: float | None = None


class _Row(NamedTuple):
    exposures: int
    shown: int
    young: int


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
    ``{"by", "rows"}``, rows by their key; of `position` by number. `exposures` of a position are those with an item
    there, its users those who were shown so long a list, and its rates of the item there; what is counted over the
    catalogue, `coverage` and `discoverable`, no position has.
    """
    cells, parameters = _where(query)
    if query.by == "position":
        groups = _positions(ledger, cells, parameters)
        keys = [{"position": position} for position, _ in groups]
    else:
        columns = _KEYS[query.by]
        groups = _groups(ledger, columns, cells, parameters)
        keys = [{name: value or None for name, value in zip(columns, key, strict=True)} for key, _ in groups]
    rows = [_row(ledger, query, group, cells, parameters, n_items) for group in groups]
    return {"by": query.by, "rows": [{**key, **row} for key, row in zip(keys, rows, strict=True)]}


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


def _groups(
    ledger: Ledger, columns: Sequence[str], cells: str, parameters: Sequence[Any]
) -> list[tuple[tuple[Any, ...], _Row]]:
    names = ", ".join(columns)
    found = ledger.read(
        f"SELECT SUM(exposures), SUM(shown), SUM(young), {names} FROM cells WHERE {cells}"
        f" GROUP BY {names} ORDER BY {names}",
        parameters,
    )
    return [(row[3:], _Row(*row[:3])) for row in found]


def _positions(ledger: Ledger, cells: str, parameters: Sequence[Any]) -> list[tuple[Any, _Row]]:
    found = ledger.read(
        "SELECT position, SUM(exposures), SUM(young) FROM cell_positions"
        f" WHERE cell IN (SELECT cell FROM cells WHERE {cells}) GROUP BY position ORDER BY position",
        parameters,
    )
    return [(position, _Row(exposures, exposures, young)) for position, exposures, young in found]


def _row(
    ledger: Ledger,
    query: AttributionQuery,
    group: tuple[Any, _Row],
    cells: str,
    parameters: Sequence[Any],
    n_items: int | None,
) -> dict[str, Any]:
    key, sums = group
    position = key if query.by == "position" else 0
    if query.by != "position":
        cells = " AND ".join([cells, *(f"{name} = ?" for name in _KEYS[query.by])])
        parameters = [*parameters, *key]
    own = f"cell IN (SELECT cell FROM cells WHERE {cells})"
    events = ledger.read(
        f"SELECT event, SUM(interactions), SUM(hits), SUM(young) FROM cell_events WHERE {own} AND position = ?"
        " GROUP BY event ORDER BY event",
        (*parameters, position),
    )
    interactions = {event: n for event, n, _, _ in events}
    [(users,)] = ledger.read(
        f"SELECT COUNT(DISTINCT unit) FROM cell_users WHERE {own} AND longest >= ?",
        (*parameters, position),
    )
    return {
        "exposures": sums.exposures,
        "users": users,
        "interactions": interactions,
        "rates": {event: wilson(hits, sums.exposures) for event, _, hits, _ in events},
        "young_exposures": _share(sums.young, sums.shown),
        "young_interactions": _share(sum(young for *_, young in events), sum(interactions.values())),
        **({} if position else _items(ledger, own, parameters, n_items)),
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
