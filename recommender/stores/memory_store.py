"""MemoryStore: the store in this process, for notebooks and tests."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import TypeVar

from recommender.errors import StoreFullError
from recommender.schema import RecentItem, UserState
from recommender.stores.codec import changed_at, pack, pack_time, says, unpack_event, unpack_item, unpack_user
from recommender.stores.exposure_stream import MAX_EXPOSURES, ExposureEntry
from recommender.stores.feature_kinds import MOST_PLAIN, check_kind, kinds_of
from recommender.stores.memory_settings import MemorySettings
from recommender.stores.pagination import list_live, newest_first
from recommender.stores.protocols import (
    RECENT,
    RECENT_IDS,
    Appended,
    Fetched,
    Interaction,
    Item,
    ItemChanges,
    LogEntry,
    LogState,
    Side,
    StoreHealth,
    User,
    UserDeleted,
)

T = TypeVar("T")


class MemoryStore(MemorySettings):
    """A store in this process; gone with it.

    It keeps packed records as the others do, so that what comes back is equal to what was given, yet
    never the same object.

    Parameters
    ----------
    max_backlog
        Entries that the log holds at most.
    """

    def __init__(self, *, max_backlog: int = 1_000_000) -> None:
        super().__init__()
        self.max_backlog = max_backlog
        self._log: dict[int, bytes] = {}
        self._last_offset = 0
        self._event_ids: set[str] = set()
        self._users: dict[str, bytes] = {}
        self._items: dict[str, bytes] = {}
        self._user_sequences: dict[str, int] = {}
        self._item_sequences: dict[str, int] = {}
        self._kinds: dict[Side, dict[str, int]] = {"users": {}, "items": {}}
        self._users_sequence = 0
        self._items_sequence = 0
        self._recent: dict[str, dict[str, int]] = {}
        self._histories: dict[str, list[int]] = {}
        self._deleted: dict[str, int] = {}
        self._poisoned: dict[int, LogEntry] = {}
        self._exposures: dict[int, bytes] = {}
        self._last_exposure = 0
        self._trials: bytes | None = None

    async def append(self, interactions: Sequence[Interaction]) -> Appended:
        """See `InteractionLog`."""
        fresh = self._fresh(interactions)
        packed = [pack(interaction) for interaction in fresh]
        if fresh and len(self._log) + len(fresh) > self.max_backlog:
            raise StoreFullError(
                f"{len(self._log)} interactions are in the log, the limit is {self.max_backlog}: they wait to be"
                " learned, or were learned last; see last_training in /v1/status"
            )
        for interaction, payload in zip(fresh, packed, strict=True):
            self._add(payload)
            self._note(interaction)
        self._event_ids.update(each.event_id for each in fresh if each.event_id is not None)
        return Appended(len(fresh), len(interactions) - len(fresh), self._last_offset)

    async def read(self, after: int, limit: int) -> list[LogEntry]:
        """See `InteractionLog`."""
        offsets = [offset for offset in self._log if offset > after]
        return [self._entry(offset) for offset in offsets[:limit]]

    async def set_aside(self, entries: Sequence[LogEntry]) -> None:
        """See `InteractionLog`."""
        self._poisoned.update((entry.offset, entry) for entry in entries)

    async def poisoned(self, limit: int) -> list[LogEntry]:
        """See `InteractionLog`."""
        return [self._poisoned[offset] for offset in sorted(self._poisoned, reverse=True)[:limit]]

    async def trim(self, through: int, *, keep_deletions: bool = False) -> None:
        """See `InteractionLog`."""
        if self._last_offset < through:
            return
        self._log = {offset: payload for offset, payload in self._log.items() if offset > through}
        if not keep_deletions:
            self._deleted = {user_id: offset for user_id, offset in self._deleted.items() if offset > through}
        for user_id, items in list(self._recent.items()):
            left = {item_id: offset for item_id, offset in items.items() if offset > through}
            self._recent[user_id] = left
            self._histories[user_id] = [offset for offset in self._histories[user_id] if offset > through]
            if not left:
                del self._recent[user_id], self._histories[user_id]

    async def state(self) -> LogState:
        """See `InteractionLog`."""
        return LogState(next(iter(self._log), self._last_offset + 1), self._last_offset, len(self._log))

    async def advance(self, offset: int, items_sequence: int, *, only_empty: bool = False) -> None:
        """See `InteractionLog`."""
        if only_empty and self._log:
            return
        self._last_offset = max(self._last_offset, offset)
        self._items_sequence = max(self._items_sequence, items_sequence)

    async def renumber(self, after: int, through: int) -> None:
        """See `InteractionLog`."""
        for offset in [each for each in self._log if after < each <= through]:
            event = self._entry(offset).event
            self._add(self._log.pop(offset))
            if isinstance(event, Interaction):
                recent, history = self._recent.get(event.user_id, {}), self._histories.get(event.user_id, [])
                if offset in history:
                    history[history.index(offset)] = self._last_offset
                if recent.get(event.item_id) == offset:
                    del recent[event.item_id]
                    recent[event.item_id] = self._last_offset
            elif isinstance(event, UserDeleted) and self._deleted.get(event.user_id) == offset:
                self._deleted[event.user_id] = self._last_offset

    async def fetch(self, user_ids: Sequence[str]) -> Fetched:
        """See `FeatureStore`."""
        states = [self._state(user_id) for user_id in user_ids]
        return Fetched(states, self._items_sequence, self._last_offset, settings_number=self._settings_number)

    async def feature_kinds(self, of: Side, names: Sequence[str]) -> dict[str, int]:
        """See `FeatureStore`."""
        known = self._kinds[of]
        return {name: known[name] for name in names if name in known}

    async def forget_feature_kinds(self, of: Side, kept: Collection[str]) -> None:
        """See `FeatureStore`."""
        self._kinds[of] = {name: kind for name, kind in self._kinds[of].items() if name in kept}

    async def get_users(self, user_ids: Sequence[str]) -> list[User | None]:
        """See `FeatureStore`."""
        return [unpack_user(self._users.get(user_id)) for user_id in user_ids]

    async def put_users(self, users: Sequence[User]) -> list[bool]:
        """See `FeatureStore`."""
        records = [(user.user_id, pack(user)) for user in users]
        self._note_kinds("users", kinds_of(user.features for user in users))
        created: list[bool] = []
        for user_id, packed in records:
            created.append(user_id not in self._users)
            if says(self._users.get(user_id, b"")) == says(packed):
                continue
            self._users[user_id] = packed
            self._users_sequence += 1
            self._user_sequences[user_id] = self._users_sequence
        return created

    async def delete_user(self, user_id: str) -> bool:
        """See `FeatureStore`."""
        self._add(pack(UserDeleted(user_id)))
        self._deleted[user_id] = self._last_offset
        self._user_sequences.pop(user_id, None)
        self._histories.pop(user_id, None)
        had = (self._users.pop(user_id, None), self._recent.pop(user_id, None))
        return had != (None, None)

    async def expire_users(self, changed_at: Mapping[str, float]) -> None:
        """See `FeatureStore`."""
        for user_id in _unchanged(self._users, changed_at):
            if user_id not in self._histories:
                del self._users[user_id], self._user_sequences[user_id]

    async def list_users(self, cursor: str | None, limit: int) -> tuple[list[User], str | None]:
        """See `FeatureStore`."""
        return await list_live(self._changed_users, cursor, limit)

    async def get_items(self, item_ids: Sequence[str]) -> list[Item | None]:
        """See `FeatureStore`."""
        return [unpack_item(self._items.get(item_id)) for item_id in item_ids]

    async def put_items(self, items: Sequence[Item]) -> list[bool]:
        """See `FeatureStore`."""
        records = [(item.item_id, pack(item)) for item in items]
        self._note_kinds("items", kinds_of(item.features for item in items))
        created: list[bool] = []
        for item_id, packed in records:
            created.append(item_id not in self._items)
            if says(self._items.get(item_id, b"")) != says(packed):
                self._items[item_id] = packed
                self._touch(item_id)
        return created

    async def delete_item(self, item_id: str, *, without_record: bool = False) -> bool:
        """See `FeatureStore`."""
        if self._items.pop(item_id, None) is None and not without_record:
            return False
        self._touch(item_id)
        return True

    async def expire_items(self, changed_at: Mapping[str, float]) -> None:
        """See `FeatureStore`."""
        for item_id in _unchanged(self._items, changed_at):
            await self.delete_item(item_id)

    async def list_items(self, cursor: str | None, limit: int) -> tuple[list[Item], str | None]:
        """See `FeatureStore`."""
        return await list_live(self._stored_items, cursor, limit)

    async def item_changes(self, after: int, limit: int) -> ItemChanges:
        """See `FeatureStore`."""
        return ItemChanges.of(await self._changed_items(after, limit + 1), self._items_sequence, after, limit)

    async def forget_items(self, item_ids: Sequence[str]) -> None:
        """See `FeatureStore`."""
        for item_id in item_ids:
            if item_id not in self._items:
                self._item_sequences.pop(item_id, None)

    async def renew_items(self, item_ids: Sequence[str]) -> None:
        """See `FeatureStore`."""
        for item_id in item_ids:
            if item_id in self._item_sequences:
                self._touch(item_id)

    async def newest_items(self, before: int | None, limit: int) -> list[tuple[int, str, Item | None]]:
        """See `FeatureStore`."""
        found = await self._stored_items(0, len(self._items))
        return [each for each in reversed(found) if before is None or each[0] < before][:limit]

    async def waiting(self, user_id: str, before: tuple[float, int] | None, limit: int) -> list[LogEntry]:
        """See `FeatureStore`."""
        return newest_first([self._entry(offset) for offset in self._histories.get(user_id, ())], before)[:limit]

    async def append_exposures(self, packed: Sequence[bytes]) -> None:
        """See `ExposureStream`."""
        if len(self._exposures) + len(packed) > MAX_EXPOSURES:
            raise StoreFullError(f"{len(self._exposures)} exposures are in the stream, the limit is {MAX_EXPOSURES}")
        self._exposures |= dict(enumerate(map(bytes, packed), self._last_exposure + 1))
        self._last_exposure += len(packed)

    async def read_exposures(self, after: int, limit: int) -> list[ExposureEntry]:
        """See `ExposureStream`."""
        found = (ExposureEntry(*each) for each in self._exposures.items() if each[0] > after)
        return list(islice(found, limit))

    async def drop_exposures(self, offsets: Sequence[int]) -> None:
        """See `ExposureStream`."""
        for offset in offsets:
            self._exposures.pop(offset, None)

    async def trim_exposures(self, through: int) -> None:
        """See `ExposureStream`."""
        await self.drop_exposures([offset for offset in self._exposures if offset <= through])

    async def count_exposures(self) -> int:
        """See `ExposureStream`."""
        return len(self._exposures)

    async def put_trials(self, packed: bytes) -> None:
        """See `ExposureStream`."""
        self._trials = packed

    async def get_trials(self) -> bytes | None:
        """See `ExposureStream`."""
        return self._trials

    async def ping(self) -> StoreHealth:
        """See `FeatureStore`."""
        warnings = ["what is stored ends with this process"]
        return StoreHealth("memory", "0", 0.0, warnings, None, None, len(self._log), self.max_backlog)

    async def close(self) -> None:
        """See `FeatureStore`."""

    def _note_kinds(self, of: Side, kinds: Mapping[str, int]) -> None:
        known = self._kinds[of]
        for name, kind in kinds.items():
            check_kind(name, kind, known.get(name))
        for name, kind in kinds.items():
            if kind or len(known) < MOST_PLAIN:
                known[name] = kind

    def _fresh(self, interactions: Sequence[Interaction]) -> list[Interaction]:
        """Interactions whose event id is new, here and among themselves."""
        fresh: list[Interaction] = []
        seen: set[str] = set()
        for interaction in interactions:
            event_id = interaction.event_id
            if event_id is None:
                fresh.append(interaction)
            elif event_id not in seen and event_id not in self._event_ids:
                seen.add(event_id)
                fresh.append(interaction)
        return fresh

    def _add(self, payload: bytes) -> None:
        self._last_offset += 1
        self._log[self._last_offset] = payload

    def _note(self, interaction: Interaction) -> None:
        """Take over the newest entry of the log into what is known of its user."""
        recent = self._recent.setdefault(interaction.user_id, {})
        recent.pop(interaction.item_id, None)  # so that the oldest stand first
        recent[interaction.item_id] = self._last_offset
        if len(recent) > RECENT_IDS:
            del recent[next(iter(recent))]
        self._histories.setdefault(interaction.user_id, []).append(self._last_offset)

    def _entry(self, offset: int) -> LogEntry:
        return LogEntry(offset, unpack_event(self._log[offset]))

    def _touch(self, item_id: str) -> None:
        self._items_sequence += 1
        self._item_sequences[item_id] = self._items_sequence

    def _state(self, user_id: str) -> UserState:
        user = unpack_user(self._users.get(user_id))
        known = list(self._recent.get(user_id, {}).items())
        recent = tuple(self._recent_item(*each) for each in known[-RECENT:])
        older = tuple(item_id for item_id, _ in known[:-RECENT][::-1])
        return UserState(user.features if user else None, recent, self._deleted.get(user_id, 0), older)

    def _recent_item(self, item_id: str, offset: int) -> RecentItem:
        event = self._entry(offset).event
        if isinstance(event, Interaction):
            return RecentItem(item_id, offset, event.weight, event.event)
        return RecentItem(item_id, offset)

    async def _changed_users(self, after: int, limit: int) -> list[tuple[int, str, User | None]]:
        found = _behind(self._user_sequences, after, limit)
        return [(sequence, user_id, unpack_user(self._users.get(user_id))) for sequence, user_id in found]

    async def _stored_items(self, after: int, limit: int) -> list[tuple[int, str, Item | None]]:
        there = {item_id: self._item_sequences[item_id] for item_id in self._items}
        return [(each, item_id, unpack_item(self._items[item_id])) for each, item_id in _behind(there, after, limit)]

    async def _changed_items(self, after: int, limit: int) -> list[tuple[int, str, Item | None]]:
        found = _behind(self._item_sequences, after, limit)
        return [(sequence, item_id, unpack_item(self._items.get(item_id))) for sequence, item_id in found]


def _unchanged(records: Mapping[str, bytes], times: Mapping[str, float]) -> list[str]:
    """Those of `times` whose record says that it was put then."""
    return [each for each, time in times.items() if changed_at(records.get(each, b"")) == pack_time(time)]


def _behind(sequences: Mapping[str, int], after: int, limit: int) -> list[tuple[int, str]]:
    changed = sorted((sequence, an_id) for an_id, sequence in sequences.items() if sequence > after)
    return changed[:limit]
