"""Attribution: each interaction to the exposure that it names, else to its user's last one with the item.

The rule
--------
1. The exposure that the interaction's ``recommendation_id`` names, while it is open, and is the user's or nobody's.
2. Else, of the user's exposures that had the item and were shown up to `window_s` before the interaction's time, the
   last; where there is none, the first of those shown up to `CLOCK_SKEW_S` after it, because a client's clock, or its
   whole seconds, may be behind ours.
3. Else none.

An interaction counts in the figures of the day and version of its exposure, whenever it came.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from recommender.exposures.exposure import Exposure
from recommender.exposures.ledger import (
    YOUNG_S,
    Ledger,
    OpenExposure,
    erased_name,
    hash_of,
    note_items,
    offsets_in,
    opened,
    set_offset,
)
from recommender.stores.protocols import Interaction, LogEntry, UserDeleted

WINDOW_S = 1_800.0
OPEN_S = 86_400.0
"""An exposure is open for attribution for so long, or for the window where that is longer."""
CLOCK_SKEW_S = 5.0
MOST_LOOKED_AT = 500
"""Newest exposures of one user that are looked through for an item; nobody sees more in half an hour."""
UNNAMED = "click"
"""Event of an interaction that names none."""


class Attributed(NamedTuple):
    """An interaction's attribution.

    `recommendation_id` is None where there is none; `position` is None where the exposure did not have the item.
    """

    offset: int
    recommendation_id: str | None
    position: int | None
    last_version: str | None
    """Version of that exposure, or else of the last one of this user within the window; None where there is none."""


@dataclass
class Outcome:
    """What came of a page of the log."""

    attributed: list[Attributed] = field(default_factory=list)
    erased: list[str] = field(default_factory=list)
    """Users whose deletion was in it."""


def attribute(
    ledger: Ledger, entries: Sequence[LogEntry], through: int, now: float, window_s: float = WINDOW_S
) -> Outcome:
    """Take over a page of the log, each entry once, in one transaction with the offset.

    Parameters
    ----------
    ledger
        Which has the exposures up to this point of time.
    entries
        By rising offset; those that were taken over before are passed over.
    through
        Offset up to which the log was read.
    now
        Seconds since the epoch.
    window_s
        Of the rule.
    """
    outcome = Outcome()
    with ledger.transaction() as database:
        before = offsets_in(database.execute("SELECT name, value FROM positions").fetchall()).log
        for offset, event in (entry for entry in entries if entry.offset > before):
            if isinstance(event, UserDeleted):
                erase_user(database, event.user_id, now)
                outcome.erased.append(event.user_id)
            elif isinstance(event, Interaction):
                outcome.attributed.append(_take(database, offset, event, window_s))
        set_offset(database, "log", through)
    return outcome


def chosen(event: Interaction, exposures: Sequence[Exposure], window_s: float = WINDOW_S) -> Exposure | None:
    """Exposure by the second part of the rule, of those of the interaction's user.

    Parameters
    ----------
    event
        What the user did.
    exposures
        Of the user, by rising time; equal times in the order in which they came.
    window_s
        Of the rule.
    """
    having = [each for each in exposures if any(item.item_id == event.item_id for item in each.items)]
    before = [each for each in having if event.timestamp - window_s <= each.at <= event.timestamp]
    if before:
        return before[-1]
    return next((each for each in having if 0 < each.at - event.timestamp <= CLOCK_SKEW_S), None)


def is_named(event: Interaction, exposure: Exposure) -> bool:
    """Whether an interaction may name an exposure: it is the user's own, or nobody's."""
    return exposure.user_id is None or exposure.user_id == event.user_id


def position_of(item_id: str, exposure: Exposure) -> int | None:
    """Position of an item in an exposure; None where it is not in it."""
    return next((item.position for item in exposure.items if item.item_id == item_id), None)


def erase_user(database: sqlite3.Connection, user_id: str, now: float) -> None:
    """Erase a user's exposures, and note that they are to leave the archive too; sums of many users stay."""
    unit = hash_of(user_id)
    database.execute("DELETE FROM exposures WHERE user_id = ?", (user_id,))
    for table in ("cell_users", "experiment_users", "experiment_hits"):
        database.execute(f"DELETE FROM {table} WHERE unit = ?", (unit,))
    database.execute("INSERT OR IGNORE INTO erasures VALUES (?)", (user_id,))
    database.execute("INSERT OR REPLACE INTO erased VALUES (?, ?)", (erased_name(user_id), now))


def _take(database: sqlite3.Connection, offset: int, event: Interaction, window_s: float) -> Attributed:
    note_items(database, {event.item_id: event.timestamp})
    named = _named(database, event)
    own = [] if named else _shown_before(database, event, window_s)
    found = named or _last_with_item(event, own, window_s)
    if found is None:
        return Attributed(offset, None, None, own[-1].exposure.model_version if own else None)
    position = position_of(event.item_id, found.exposure)
    _count(database, event, found, position)
    return Attributed(offset, found.exposure.recommendation_id, position, found.exposure.model_version)


def _named(database: sqlite3.Connection, event: Interaction) -> OpenExposure | None:
    if event.recommendation_id is None:
        return None
    row = database.execute(
        "SELECT offset, cell, packed FROM exposures WHERE recommendation_id = ?", (event.recommendation_id,)
    ).fetchone()
    found = row and opened(row)
    return found if found and is_named(event, found.exposure) else None


def _shown_before(database: sqlite3.Connection, event: Interaction, window_s: float) -> list[OpenExposure]:
    """Exposures of the interaction's user around its time, oldest first."""
    rows = database.execute(
        "SELECT offset, cell, packed FROM exposures WHERE user_id = ? AND at >= ? AND at <= ?"
        " ORDER BY at DESC, offset DESC LIMIT ?",
        (event.user_id, event.timestamp - window_s, event.timestamp + CLOCK_SKEW_S, MOST_LOOKED_AT),
    ).fetchall()
    return [opened(row) for row in reversed(rows)]


def _last_with_item(event: Interaction, own: Sequence[OpenExposure], window_s: float) -> OpenExposure | None:
    found = chosen(event, [each.exposure for each in own], window_s)
    return next((each for each in own if each.exposure is found), None)


def _count(database: sqlite3.Connection, event: Interaction, found: OpenExposure, position: int | None) -> None:
    name, exposure = event.event or UNNAMED, found.exposure
    young = _is_young(database, event.item_id, exposure.at)
    is_first = not _has_taken(database, found.offset, name)
    places = [(0, is_first)]
    if position is not None:
        places.append((position, not _has_taken(database, found.offset, name, position)))
        database.execute(
            "INSERT INTO cell_items VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET taken = taken + 1",
            (found.cell, event.item_id),
        )
        database.execute("UPDATE trials SET taken = taken + 1 WHERE item_id = ?", (event.item_id,))
    database.executemany(
        "INSERT INTO cell_events VALUES (?, ?, ?, 1, ?, ?) ON CONFLICT DO UPDATE SET interactions = interactions + 1,"
        " hits = hits + excluded.hits, young = young + excluded.young",
        [(found.cell, name, place, first, young) for place, first in places],
    )
    database.execute(
        "INSERT INTO taken VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET interactions = interactions + 1",
        (found.offset, name, position or 0),
    )
    if is_first and exposure.experiment is not None and exposure.unit is not None:
        database.execute(
            "INSERT INTO experiment_hits VALUES (?, ?, ?, ?, 1) ON CONFLICT DO UPDATE SET hits = hits + 1",
            (exposure.experiment, exposure.variant or "", name, hash_of(exposure.unit)),
        )


def _has_taken(database: sqlite3.Connection, exposure: int, event: str, position: int | None = None) -> bool:
    query, parameters = "SELECT 1 FROM taken WHERE exposure = ? AND event = ?", (exposure, event)
    if position is None:
        return database.execute(query, parameters).fetchone() is not None
    return database.execute(f"{query} AND position = ?", (*parameters, position)).fetchone() is not None


def _is_young(database: sqlite3.Connection, item_id: str, at: float) -> bool:
    found = database.execute("SELECT first_at FROM items WHERE item_id = ?", (item_id,)).fetchone()
    return found is not None and found[0] > at - YOUNG_S
