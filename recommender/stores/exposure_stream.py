"""Exposure stream: the append-only stream of what was shown, beside the interaction log; its protocol and Redis's part.

An entry's offset is the time at which the server took it, in milliseconds, times 2^20, plus a number: it rises, also
over a loss of the store, and a counter is not needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from recommender.stores.connection import Connection

MAX_EXPOSURES = 200_000
"""Entries that the stream holds at most; the trainer takes them out every second."""
PAGE = 1_000
_SEQUENCE_BITS = 20


class ExposureEntry(NamedTuple):
    """An entry of the exposure stream: its offset and the packed exposure."""

    offset: int
    packed: bytes


class ExposureStream(Protocol):
    """Append-only stream of packed exposures, by rising offset. Errors as for `InteractionLog`."""

    async def append_exposures(self, packed: Sequence[bytes]) -> None:
        """Add exposures, all or none; `StoreFullError` where they are more than the stream holds.

        After `StoreUnavailableError` they may be there or not; whoever reads takes one ``recommendation_id`` once, so
        that repeating is safe.
        """
        ...

    async def read_exposures(self, after: int, limit: int) -> list[ExposureEntry]:
        """Entries behind an offset, at most `limit`, oldest first."""
        ...

    async def drop_exposures(self, offsets: Sequence[int]) -> None:
        """Remove single entries, as those of a user who is erased."""
        ...

    async def trim_exposures(self, through: int) -> None:
        """Drop entries up to an offset, which were taken over for good."""
        ...

    async def count_exposures(self) -> int:
        """Entries that the stream has."""
        ...

    async def put_trials(self, packed: bytes) -> None:
        """Keep what is known of items that are explored, in place of what was."""
        ...

    async def get_trials(self) -> bytes | None:
        """What was put last; None for nothing."""
        ...


class RedisExposureStream:
    """Exposure stream in Redis, under the key ``exposures``; a base of `RedisStore`."""

    _prefix: str
    _connection: Connection

    async def append_exposures(self, packed: Sequence[bytes]) -> None:
        """See `ExposureStream`."""
        if packed:
            await self._connection.run("append_exposures", self._prefix, [MAX_EXPOSURES, *packed])

    async def read_exposures(self, after: int, limit: int) -> list[ExposureEntry]:
        """See `ExposureStream`."""
        found = await self._ask("xrange", f"({_entry_id(after)}", "+", count=limit)
        return [ExposureEntry(_offset_of(entry_id), fields[b"d"]) for entry_id, fields in found]

    async def drop_exposures(self, offsets: Sequence[int]) -> None:
        """See `ExposureStream`."""
        if offsets:
            await self._ask("xdel", *map(_entry_id, offsets))

    async def trim_exposures(self, through: int) -> None:
        """See `ExposureStream`."""
        await self._ask("xtrim", minid=_entry_id(through + 1), approximate=False)

    async def count_exposures(self) -> int:
        """See `ExposureStream`."""
        return int(await self._ask("xlen"))

    async def put_trials(self, packed: bytes) -> None:
        """See `ExposureStream`."""
        async with self._connection.session() as client:
            await client.set(self._prefix + "trials", packed)

    async def get_trials(self) -> bytes | None:
        """See `ExposureStream`."""
        async with self._connection.session() as client:
            found: bytes | None = await client.get(self._prefix + "trials")
        return found

    async def _ask(self, command: str, *arguments: Any, **options: Any) -> Any:
        async with self._connection.session() as client:
            return await getattr(client, command)(self._prefix + "exposures", *arguments, **options)


def _entry_id(offset: int) -> str:
    return f"{offset >> _SEQUENCE_BITS}-{offset & (1 << _SEQUENCE_BITS) - 1}"


def _offset_of(entry_id: bytes) -> int:
    milliseconds, _, number = entry_id.partition(b"-")
    return (int(milliseconds) << _SEQUENCE_BITS) + int(number)
