"""Data health: what a training saw of the data, and how it differs from what the training before saw."""

from __future__ import annotations

import msgspec


class SideHealth(msgspec.Struct, frozen=True):
    """Users or items that a training saw.

    Parameters
    ----------
    seen
        How many.
    without_features
        Share of them of whom nothing is said.
    features
        Share of them that have each feature, of the `MOST_FEATURES` most frequent.
    """

    seen: int = 0
    without_features: float = 0.0
    features: dict[str, float] = {}


class DataHealth(msgspec.Struct, frozen=True):
    """What a training saw of the data.

    Parameters
    ----------
    interactions
        New ones: those that the version before had not learned.
    by_event
        How many of them have each event; ``none`` for none.
    by_day
        How many of them are of each day of UTC, of the newest days.
    without_timestamp
        Share of them.
    cases
        Share of them by the sixteen cases, as far as the version before knew user and item; empty for the first.
    popularity_shift
        How far their items are spread otherwise than those learned before: total variation distance, 0 (alike) to 1
        (no item in common); None where there were too few of either.
    users, items
        Of whom something was said or done.
    changes
        What is otherwise than at the training before, in words.
    """

    interactions: int = 0
    by_event: dict[str, int] = {}
    by_day: dict[str, int] = {}
    without_timestamp: float = 0.0
    cases: dict[str, float] = {}
    popularity_shift: float | None = None
    users: SideHealth = SideHealth()
    items: SideHealth = SideHealth()
    changes: list[str] = []
