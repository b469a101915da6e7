"""Key space: the keys of a store by what they hold, for those who read or write all of them."""

from __future__ import annotations

from typing import Literal

from recommender.stores.redis_store import PREFIX

LOG, LAST, USERS_SEQUENCE, ITEMS_SEQUENCE = "log", "log:last", "users:seq", "items:seq"
EVENT_IDS, DELETIONS = "dd:", "t:"

DERIVED = frozenset({LOG, LAST, "users", USERS_SEQUENCE, "items", ITEMS_SEQUENCE, "gone", "fault", "log:copy"})
"""Read by their own order and written by it; ``fault`` is of one server alone, ``log:copy`` of an erasure."""
DERIVED_PREFIXES = ("u:", "i:", "r:", "h:", EVENT_IDS)

Kind = Literal["log", "users", "items", "event_ids", "other"]


def is_other(name: str) -> bool:
    """Whether a key, without the prefix, is copied as it is, whoever wrote it and whatever it holds."""
    return name not in DERIVED and not name.startswith(DERIVED_PREFIXES)


__all__ = [
    "DELETIONS",
    "EVENT_IDS",
    "ITEMS_SEQUENCE",
    "LAST",
    "LOG",
    "PREFIX",
    "USERS_SEQUENCE",
    "Kind",
    "is_other",
]
