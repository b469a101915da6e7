"""Script arguments: what the store's Lua scripts take, made ready here because the server serves nobody meanwhile."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from recommender.stores.codec import pack
from recommender.stores.protocols import Interaction, LogEntry, LogErased, UnreadableEntry, UserDeleted


def without_repeats(interactions: Sequence[Interaction]) -> list[Interaction]:
    """The first interaction of each event id, and all that have none."""
    seen: set[str | None] = set()
    distinct: list[Interaction] = []
    for interaction in interactions:
        if interaction.event_id is None or interaction.event_id not in seen:
            seen.add(interaction.event_id)
            distinct.append(interaction)
    return distinct


def append_arguments(interactions: Sequence[Interaction]) -> list[Any]:
    """What append.lua takes from its third argument on."""
    ids: list[str] = []
    positions: list[int] = []
    by_user: dict[str, list[Any]] = defaultdict(list)
    for position, each in enumerate(interactions, start=1):
        if each.event_id is not None:
            ids.append(each.event_id)
            positions.append(position)
        by_user[each.user_id] += (position, each.item_id, each.timestamp if math.isfinite(each.timestamp) else 0)
    arguments: list[Any] = [len(interactions), len(ids), *map(pack, interactions), *ids, *positions]
    for user_id, triples in by_user.items():
        arguments += (user_id, len(triples) // 3, *triples)
    return arguments


def trim_arguments(page: Sequence[LogEntry], keep_deletions: bool) -> list[Any]:
    """What trim.lua takes from its third argument on."""
    by_user: dict[str, list[str]] = defaultdict(list)
    for offset, event in page:
        if isinstance(event, Interaction):
            by_user[event.user_id].append(history_member(offset))
    deletions = [] if keep_deletions else [entry.event for entry in page]
    deleted = {event.user_id for event in deletions if isinstance(event, UserDeleted)}
    of_users = [word for user_id, members in by_user.items() for word in (user_id, len(members), *members)]
    return [len(by_user), *of_users, *deleted]


def renumber_arguments(offset: int, event: Interaction | UserDeleted | LogErased | UnreadableEntry) -> tuple[Any, ...]:
    """What renumber.lua takes for one entry."""
    if isinstance(event, Interaction):
        return offset, "i", event.user_id, event.item_id, event.timestamp
    return (offset, "d", event.user_id, "", "") if isinstance(event, UserDeleted) else (offset, "p", "", "", "")


def history_member(offset: int) -> str:
    """How an offset stands in the history of a user: equal times are in the order of offsets."""
    return f"{offset:016d}"
