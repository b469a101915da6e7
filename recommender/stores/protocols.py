"""Protocols of a store, `FeatureStore` and `InteractionLog`, and the records that pass through them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

import msgspec

from recommender.schema import FeatureValue, UserState
from recommender.stores.exposure_stream import ExposureStream
from recommender.stores.settings_log import SettingsLog

FeatureMap = dict[str, FeatureValue]
Side = Literal["users", "items"]

RECENT = 64
"""Recent items of a user that are fetched with what was said of them; more than are ever folded in."""
RECENT_IDS = 10_000
"""Recent items of a user that are kept, for all before the newest `RECENT` as ids, to be excluded. A user who has
interacted with more items than these since the last training is a machine, or many who share a name."""


class User(msgspec.Struct, frozen=True, array_like=True):
    """A user; `updated_at` is when they last changed, in seconds since the epoch."""

    user_id: str
    features: FeatureMap | None
    updated_at: float


class Item(msgspec.Struct, frozen=True, array_like=True):
    """An item; `updated_at` is when it last changed, in seconds since the epoch."""

    item_id: str
    title: str | None
    features: FeatureMap | None
    available: bool
    updated_at: float


class Interaction(msgspec.Struct, frozen=True, array_like=True, tag="i"):
    """Something a user did with an item; `timestamp` in seconds since the epoch."""

    user_id: str
    item_id: str
    weight: float
    timestamp: float
    event: str | None = None
    event_id: str | None = None
    recommendation_id: str | None = None
    """Of the answer that led to it."""


class UserDeleted(msgspec.Struct, frozen=True, array_like=True, tag="d"):
    """A user is to be forgotten; what comes later counts again."""

    user_id: str


class LogErased(msgspec.Struct, frozen=True, array_like=True, tag="e"):
    """Entries were taken out of the log on purpose: what is missing at these offsets was not lost."""

    offsets: tuple[int, ...]


class UnreadableEntry(NamedTuple):
    """A log entry that cannot be read."""

    reason: str
    payload: bytes = b""


class LogEntry(NamedTuple):
    """A log entry and its offset."""

    offset: int
    event: Interaction | UserDeleted | LogErased | UnreadableEntry


class Appended(NamedTuple):
    """Counts of an append."""

    accepted: int
    duplicates: int
    last_offset: int


class LogState(NamedTuple):
    """Ends of the log; `length` counts what has not been trimmed."""

    first_offset: int
    """Of the oldest entry that is left; one behind the last when none is."""
    last_offset: int
    length: int

    @property
    def trimmed_through(self) -> int:
        """Offset up to which nothing is left; 0 when nothing was trimmed."""
        return self.first_offset - 1


class Fetched(NamedTuple):
    """States of the users of a micro-batch, with the newest offset and catalogue sequence."""

    users: list[UserState]
    items_sequence: int
    last_offset: int
    unreadable: int = 0
    """Users whose record is broken; they are answered as having no features."""
    settings_number: int = 0
    """Of the newest change of a placement or an experiment."""


class ItemChanges(NamedTuple):
    """Page of the catalogue's changes by rising sequence; the item is None where it was deleted."""

    changes: list[tuple[int, str, Item | None]]
    last_sequence: int
    """Up to which whoever reads them has all changes; no lower than what was asked for."""
    more: bool
    newest: int
    """Sequence of the store; below what was asked for, it has come back with less than it had."""

    @classmethod
    def of(cls, found: Sequence[tuple[int, str, Item | None]], newest: int, after: int, limit: int) -> ItemChanges:
        """At most `limit` of what was found behind a sequence, when one more was asked for.

        Parameters
        ----------
        found
            Sequence, id and item of each, by rising sequence.
        newest
            Sequence of the store, which changes that are gone have left behind, as has a loss of the store.
        after, limit
            What was asked for.
        """
        changes, more = list(found[:limit]), len(found) > limit
        return cls(changes, changes[-1][0] if more else max(newest, after), more, newest)


class StoreHealth(msgspec.Struct, frozen=True):
    """Health of a store: memory, persistence, and what is wrong."""

    engine: str
    version: str
    latency_ms: float
    warnings: list[str]
    used_bytes: int | None = None
    """Of memory; None where the store does not say."""
    limit_bytes: int | None = None
    """Of memory, at which it refuses writes; None where there is no limit, or it does not say."""
    log_length: int | None = None
    """Entries that the log holds, learned or not."""
    log_limit: int | None = None
    """Entries at which it takes no more."""
    fault: str | None = None
    """Why what it takes may not last, though it answers."""


class InteractionLog(Protocol):
    """Append-only log of interactions, by rising offset.

    An offset counts accepted entries from 1 on, so that it depends on no clock, and what waits is a
    difference. Every method raises `StoreUnavailableError` when the store does not answer in time,
    `StoreFullError` when it takes no more (backlog, memory or disk), and `StoreError` when it answers
    what cannot be.
    """

    @property
    def max_backlog(self) -> int:
        """Entries that it holds at most."""
        ...

    async def append(self, interactions: Sequence[Interaction]) -> Appended:
        """Add interactions, all or none; they are in the store's log when this returns.

        One whose ``event_id`` was added before, within the store's window, is counted as a duplicate.
        `StoreFullError` at the backlog cap: nothing unread is ever dropped to make room. After
        `StoreUnavailableError` they may have been added or not; with event ids, repeating is safe.
        """
        ...

    async def read(self, after: int, limit: int) -> list[LogEntry]:
        """Entries behind an offset, at most `limit`; one that cannot be read comes as `UnreadableEntry`."""
        ...

    async def set_aside(self, entries: Sequence[LogEntry]) -> None:
        """Keep poison entries, with their reason, where the log's trimming does not reach; each once."""
        ...

    async def poisoned(self, limit: int) -> list[LogEntry]:
        """Entries that were set aside, newest first."""
        ...

    async def trim(self, through: int, *, keep_deletions: bool = False) -> None:
        """Drop entries up to an offset, which all readers have learned, and what was kept because of them.

        That is recent interactions up to there, and the notes of users deleted up to there; these stay with
        `keep_deletions`, for a version that still serves and has not learned them. Nothing is dropped where the
        log has never come so far: what a store has taken since it came back with less has the offsets of others.
        """
        ...

    async def state(self) -> LogState:
        """Ends of the log."""
        ...

    async def advance(self, offset: int, items_sequence: int, *, only_empty: bool = False) -> None:
        """Make sure that new offsets and sequences come behind these, as after a store was replaced.

        With `only_empty` nothing is done where the log has entries, which may have to be renumbered.
        """
        ...

    async def renumber(self, after: int, through: int) -> None:
        """Give entries with offsets behind one and up to another new ones, behind the last, in their order.

        For entries that a store has taken with offsets that others had before them.
        """
        ...


class FeatureStore(Protocol):
    """Store of users, items, and recent interactions of users. Errors as for `InteractionLog`.

    Who is put with a feature that is a dense vector of one length for some, and of another or no vector for others,
    is refused with `InvalidRequestError`.
    """

    async def feature_kinds(self, of: Side, names: Sequence[str]) -> dict[str, int]:
        """Numbers of the dense vector that each name is, 0 for one that is none; what was never met is left out."""
        ...

    async def forget_feature_kinds(self, of: Side, kept: Collection[str]) -> None:
        """Know names no more, but for some: nobody has them any longer."""
        ...

    async def fetch(self, user_ids: Sequence[str]) -> Fetched:
        """States of users, in their order, in one round trip; a broken record has no features."""
        ...

    async def get_users(self, user_ids: Sequence[str]) -> list[User | None]:
        """Users in the order asked; None for one that is not there."""
        ...

    async def put_users(self, users: Sequence[User]) -> list[bool]:
        """Create or replace users, all or none; True for each that was created.

        Who is put as they are already is left as they are: no change, and `updated_at` stays.
        """
        ...

    async def delete_user(self, user_id: str) -> bool:
        """Erase a user and tell the log, in one step; False when the store had nothing of them.

        The log is told in any case, and beyond the backlog cap: what was learned earlier must go too.
        """
        ...

    async def expire_users(self, changed_at: Mapping[str, float]) -> None:
        """Drop records of users, each where its ``updated_at`` is still as given; the log is not told.

        Who has interactions in the log stays.
        """
        ...

    async def list_users(self, cursor: str | None, limit: int) -> tuple[list[User], str | None]:
        """Users by the order of their last change, and where to go on; None at the end.

        One that does not change meanwhile comes exactly once.
        """
        ...

    async def get_items(self, item_ids: Sequence[str]) -> list[Item | None]:
        """Items in the order asked; None for one that is not there."""
        ...

    async def put_items(self, items: Sequence[Item]) -> list[bool]:
        """Create or replace items, all or none; True for each that was created.

        One that is put as it is already is left as it is: no change, and `updated_at` stays.
        """
        ...

    async def delete_item(self, item_id: str, *, without_record: bool = False) -> bool:
        """Delete an item; False when it was not there.

        With `without_record` the deletion is noted where the store has no record, and the answer is True: a store
        that was lost knows nothing of an item that a version still has.
        """
        ...

    async def expire_items(self, changed_at: Mapping[str, float]) -> None:
        """Delete items, each where its ``updated_at`` is still as given; their deletion is among the changes."""
        ...

    async def list_items(self, cursor: str | None, limit: int) -> tuple[list[Item], str | None]:
        """Items by the order of their last change, and where to go on; None at the end.

        One that does not change meanwhile comes exactly once.
        """
        ...

    async def item_changes(self, after: int, limit: int) -> ItemChanges:
        """Items that changed behind a sequence, each once, as they are now."""
        ...

    async def forget_items(self, item_ids: Sequence[str]) -> None:
        """Drop the notes that items were deleted, which all who follow the changes have seen; others stay."""
        ...

    async def renew_items(self, item_ids: Sequence[str]) -> None:
        """Have items, or the notes of their deletion, among the changes again, as if they had changed just now."""
        ...

    async def newest_items(self, before: int | None, limit: int) -> list[tuple[int, str, Item | None]]:
        """Items that changed last, by falling sequence, those before a sequence; None for one that is gone."""
        ...

    async def waiting(self, user_id: str, before: tuple[float, int] | None, limit: int) -> list[LogEntry]:
        """A user's interactions that are in the log, newest first by time, then by offset, at most `limit`.

        Parameters
        ----------
        user_id
            Known or not.
        before
            Time and offset that those of the answer come behind; None for the beginning.
        limit
            Of the answer. A store with what an earlier release wrote may give more.
        """
        ...

    async def ping(self) -> StoreHealth:
        """How the store does."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class Store(FeatureStore, InteractionLog, ExposureStream, SettingsLog, Protocol):
    """Feature store, interaction log, exposure stream and settings in one; every implementation is one."""
