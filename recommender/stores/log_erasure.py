"""Log erasure: takes what a user did, and the note of their deletion, out of the log of a Redis or Valkey."""

from __future__ import annotations

from contextlib import suppress

from redis.exceptions import ResponseError

from recommender.stores.codec import pack, unpack_event
from recommender.stores.connection import Connection
from recommender.stores.key_reader import TIMEOUT_S, KeyReader
from recommender.stores.key_space import PREFIX
from recommender.stores.protocols import Interaction, LogErased, UnreadableEntry, UserDeleted

POISON = "poison"
COPY = "log:copy"


class LogErasure:
    """Erases a user from the log, once nobody needs the note of their deletion any more.

    That is when no version has them, in the registry or in a process that answers: with the note gone, whoever
    still knew them would know them again.

    Parameters
    ----------
    url, prefix
        As for `RedisStore`.
    """

    def __init__(self, url: str, prefix: str = PREFIX) -> None:
        self._reader = KeyReader(url, prefix)
        self._connection = Connection(url, TIMEOUT_S)
        self._prefix = prefix

    async def erase(self, user_id: str, through: int) -> int:
        """Take out entries up to an offset, that of the deletion; what is missing is said in an entry of its own.

        The log is written anew: a stream only marks an entry as deleted, and keeps it for as long as one beside it is
        there. Nobody may trim it meanwhile; whoever appends is not held up.

        Returns how many there were, unreadable ones that have the id in them included.

        Raises
        ------
        StoreFullError
            There is no memory for a second log; nothing has changed.
        StoreError
            The store does not answer.
        """
        offsets = await self._offsets(user_id, through)
        copied = await self._copy_without(set(offsets), through)
        marker = pack(LogErased(tuple(offsets))) if offsets else b""
        await self._connection.run("swap_log", self._prefix, [user_id, through, copied, marker])
        unreadable = await self._erase_unreadable(user_id)
        await self._rewrite_file()
        return len(offsets) + unreadable

    async def count(self, user_id: str) -> dict[str, int]:
        """What the store has of a user, by kind: ``record``, ``recent``, ``log``, ``deletion``, ``unreadable``."""
        counters = await self._reader.counters()
        keys = {letter: f"{self._prefix}{letter}:{user_id}" for letter in "urht"}
        async with self._connection.session() as client:
            record, recent, history, note = [await client.exists(keys[letter]) for letter in "urht"]
            listed = await client.zscore(f"{self._prefix}users", user_id)
        return {
            "record": int(record) + (listed is not None),
            "recent": int(recent) + int(history),
            "deletion": int(note),
            "log": len(await self._offsets(user_id, counters.last_offset)),
            "unreadable": len(await self._unreadable(user_id)),
        }

    async def close(self) -> None:
        """Close the connections."""
        await self._reader.close()
        await self._connection.close()

    async def _offsets(self, user_id: str, through: int) -> list[int]:
        """Offsets of entries that are about a user."""
        return [
            offset
            async for page in self._reader.log(0, through)
            for offset, payload in page
            if _is_about(payload, user_id)
        ]

    async def _copy_without(self, offsets: set[int], through: int) -> int:
        """Copy the log up to an offset, but for some entries; returns the last offset that was looked at."""
        copy, last = f"{self._prefix}{COPY}", 0
        async with self._connection.session() as client:
            await client.delete(copy)
        async for page in self._reader.log(0, through):
            async with self._connection.session() as client, client.pipeline(transaction=False) as writing:
                for offset, payload in page:
                    if offset not in offsets:
                        writing.xadd(copy, {b"d": payload}, id=f"{offset}-0")
                await writing.execute()
            last = page[-1].offset
        return last

    async def _unreadable(self, user_id: str) -> list[tuple[bytes, dict[bytes, bytes]]]:
        """Entries that were set aside and have the id in them."""
        async with self._connection.session() as client:
            found = await client.xrange(f"{self._prefix}{POISON}")
        return [each for each in found if _has(each, user_id)]

    async def _rewrite_file(self) -> None:
        """Have the server write its file anew, in which all that was ever written stands; some let only their owner."""
        async with self._connection.session() as client:
            with suppress(ResponseError):
                await client.bgrewriteaof()

    async def _erase_unreadable(self, user_id: str) -> int:
        key = f"{self._prefix}{POISON}"
        async with self._connection.session() as client:
            found = await client.xrange(key)
            kept = [each for each in found if not _has(each, user_id)]
            if len(kept) < len(found):
                async with client.pipeline(transaction=True) as writing:
                    writing.delete(key)
                    for entry_id, fields in kept:
                        writing.xadd(key, fields, id=entry_id)
                    await writing.execute()
        return len(found) - len(kept)


def _has(entry: tuple[bytes, dict[bytes, bytes]], user_id: str) -> bool:
    """Whether an unreadable entry has an id in it."""
    return user_id.encode() in entry[1].get(b"d", b"")


def _is_about(payload: bytes, user_id: str) -> bool:
    encoded = user_id.encode()
    if encoded not in payload:  # most are about others, and need not be decoded
        return False
    event = unpack_event(payload)
    if isinstance(event, UnreadableEntry):
        return True
    return isinstance(event, Interaction | UserDeleted) and event.user_id == user_id
