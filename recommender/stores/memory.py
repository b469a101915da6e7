"""MemoryStore: the contract without a server, for notebooks and tests."""

from __future__ import annotations

from collections.abc import Sequence

from recommender.errors import StoreFullError
from recommender.queries import UserState
from recommender.stores.base import (
    Appended,
    Fetched,
    Interaction,
    Item,
    ItemChanges,
    LogEntry,
    LogState,
    StoreHealth,
    User,
    UserDeleted,
)
from recommender.stores.cursors import from_cursor, to_cursor


class MemoryStore:
    """A store in this process; gone with it.

    Parameters
    ----------
    max_backlog
        Entries that the log holds at most.
    """

    def __init__(self, max_backlog: int = 1_000_000) -> None:
        self._max_backlog = max_backlog
        self._log: dict[int, Interaction | UserDeleted] = {}
        self._last_offset = 0
        self._event_ids: set[str] = set()
        self._users: dict[str, User] = {}
        self._items: dict[str, Item] = {}
        self._user_sequences: dict[str, int] = {}
        self._item_sequences: dict[str, int] = {}
        self._sequence = 0
        self._items_sequence = 0
        self._recent: dict[str, dict[str, int]] = {}
        self._deleted: dict[str, int] = {}

    async def append(self, interactions: Sequence[Interaction]) -> Appended:
        """See `InteractionLog`."""
        if len(self._log) + len(interactions) > self._max_backlog:
            raise StoreFullError(f"{len(self._log)} interactions wait to be learned; try again later")
        accepted = 0
        for interaction in interactions:
            if interaction.event_id is not None:
                if interaction.event_id in self._event_ids:
                    continue
                self._event_ids.add(interaction.event_id)
            accepted += 1
            self._add(interaction)
            self._recent.setdefault(interaction.user_id, {})[interaction.item_id] = self._last_offset
        return Appended(accepted, len(interactions) - accepted, self._last_offset)

    async def read(self, after: int, limit: int) -> list[LogEntry]:
        """See `InteractionLog`."""
        entries = [LogEntry(offset, event) for offset, event in self._log.items() if offset > after]
        return entries[:limit]

    async def trim(self, through: int) -> None:
        """See `InteractionLog`."""
        self._log = {offset: event for offset, event in self._log.items() if offset > through}
        for user_id, items in list(self._recent.items()):
            self._recent[user_id] = {item_id: offset for item_id, offset in items.items() if offset > through}

    async def state(self) -> LogState:
        """See `InteractionLog`."""
        return LogState(self._last_offset, len(self._log))

    async def advance(self, offset: int, items_sequence: int) -> None:
        """See `InteractionLog`."""
        self._last_offset = max(self._last_offset, offset)
        self._items_sequence = max(self._items_sequence, items_sequence)

    async def fetch(self, user_ids: Sequence[str]) -> Fetched:
        """See `FeatureStore`."""
        return Fetched(
            [self._state(user_id) for user_id in user_ids], self._items_sequence, self._last_offset
        )

    async def get_users(self, user_ids: Sequence[str]) -> list[User | None]:
        """See `FeatureStore`."""
        return [self._users.get(user_id) for user_id in user_ids]

    async def put_users(self, users: Sequence[User]) -> list[bool]:
        """See `FeatureStore`."""
        created: list[bool] = []
        for user in users:
            created.append(user.user_id not in self._users)
            self._users[user.user_id] = user
            self._sequence += 1
            self._user_sequences[user.user_id] = self._sequence
        return created

    async def delete_user(self, user_id: str) -> bool:
        """See `FeatureStore`."""
        self._user_sequences.pop(user_id, None)
        known = self._users.pop(user_id, None) is not None
        had_recent = bool(self._recent.pop(user_id, None))
        self._add(UserDeleted(user_id))
        self._deleted[user_id] = self._last_offset
        return known or had_recent

    async def list_users(self, cursor: str | None, limit: int) -> tuple[list[User], str | None]:
        """See `FeatureStore`."""
        page = _behind(self._user_sequences, from_cursor(cursor), limit)
        return [self._users[user_id] for _, user_id in page], to_cursor(page, limit)

    async def get_items(self, item_ids: Sequence[str]) -> list[Item | None]:
        """See `FeatureStore`."""
        return [self._items.get(item_id) for item_id in item_ids]

    async def put_items(self, items: Sequence[Item]) -> list[bool]:
        """See `FeatureStore`."""
        created: list[bool] = []
        for item in items:
            created.append(item.item_id not in self._items)
            self._items[item.item_id] = item
            self._touch(item.item_id)
        return created

    async def delete_item(self, item_id: str) -> bool:
        """See `FeatureStore`."""
        if self._items.pop(item_id, None) is None:
            return False
        self._touch(item_id)
        return True

    async def list_items(self, cursor: str | None, limit: int) -> tuple[list[Item], str | None]:
        """See `FeatureStore`."""
        page = _behind(self._item_sequences, from_cursor(cursor), limit)
        items = [self._items[item_id] for _, item_id in page if item_id in self._items]
        return items, to_cursor(page, limit)

    async def item_changes(self, after: int, limit: int) -> ItemChanges:
        """See `FeatureStore`."""
        page = _behind(self._item_sequences, after, limit)
        changes = [(sequence, item_id, self._items.get(item_id)) for sequence, item_id in page]
        return ItemChanges(changes, page[-1][0] if page else after, len(page) == limit)

    async def recent(self, user_id: str) -> list[LogEntry]:
        """See `FeatureStore`."""
        offsets = sorted(self._recent.get(user_id, {}).values(), reverse=True)
        return [LogEntry(offset, self._log[offset]) for offset in offsets if offset in self._log]

    async def ping(self) -> StoreHealth:
        """See `FeatureStore`."""
        return StoreHealth("memory", "0", 0.0, ["what is stored ends with this process"])

    async def close(self) -> None:
        """See `FeatureStore`."""

    def _add(self, event: Interaction | UserDeleted) -> None:
        self._last_offset += 1
        self._log[self._last_offset] = event

    def _touch(self, item_id: str) -> None:
        self._items_sequence += 1
        self._item_sequences[item_id] = self._items_sequence

    def _state(self, user_id: str) -> UserState:
        user = self._users.get(user_id)
        recent = sorted(self._recent.get(user_id, {}).items(), key=lambda each: each[1])
        return UserState(user.features if user else None, tuple(recent), self._deleted.get(user_id, 0))


def _behind(sequences: dict[str, int], after: int, limit: int) -> list[tuple[int, str]]:
    changed = sorted((sequence, an_id) for an_id, sequence in sequences.items() if sequence > after)
    return changed[:limit]
