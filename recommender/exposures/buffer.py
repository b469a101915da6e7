"""Exposure buffer: finished answers of one process on their way to the store, in bounded memory.

Whoever answers only puts the bytes of the answer into it; a task beside the answers reads them and writes them to the
store in batches. Where that does not keep up, exposures are dropped and counted, and no answer waits.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from hashlib import blake2b
from typing import NamedTuple

from recommender.errors import StoreError, StoreFullError
from recommender.exposures.exposure import Exposure, exposure_of, pack, unpack
from recommender.stores.exposure_stream import PAGE, ExposureStream

logger = logging.getLogger("recommender.exposures")

CAPACITY, CAPACITY_BYTES = 20_000, 32 * 2**20
"""Answers that wait to be written at most, and their bytes."""
BATCH = 64
"""Answers that are read and written at a time; others have their turn in between."""
FLUSH_EVERY_S = 0.25
OLDEST_S = 60.0
"""An exposure that could not be written for so long is dropped: an erased user's may not come back later."""


class _Waiting(NamedTuple):
    answer: bytes
    at: float
    latency_s: float | None


class ExposureBuffer:
    """Bounded queue of finished answers.

    Parameters
    ----------
    sample
        Share of the users whose exposures are kept, between 0 and 1; all or none of a user's, so that nothing is
        attributed to an older exposure because the right one was not kept. Of nobody's, this share.
    clock
        Seconds since the epoch.

    Attributes
    ----------
    dropped : int
        Exposures that are lost: there was no room here or in the store, or it was away for too long.
    """

    def __init__(self, sample: float = 1.0, clock: Callable[[], float] = time.time) -> None:
        self.sample = sample
        self.dropped = 0
        self._clock = clock
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._forgotten: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def record(self, answer: bytes, latency_s: float | None = None) -> None:
        """Take a finished answer; this reads nothing of it."""
        if not self.sample:
            return
        if len(self._waiting) >= CAPACITY or self._bytes + len(answer) > CAPACITY_BYTES:
            self.dropped += 1
            return
        self._waiting.append(_Waiting(answer, self._clock(), latency_s))
        self._bytes += len(answer)

    def forget(self, user_id: str) -> None:
        """Let nothing of what a user was shown so far be written."""
        self._forgotten[user_id] = self._clock()

    def drain(self, limit: int = BATCH) -> list[Exposure]:
        """Take out the oldest answers, at most `limit`, as exposures; those that do not count are left out."""
        now = self._clock()
        exposures: list[Exposure] = []
        for _ in range(min(limit, len(self._waiting))):
            answer, at, latency_s = self._waiting.popleft()
            self._bytes -= len(answer)
            if now - at > OLDEST_S:
                self.dropped += 1
            elif (exposure := exposure_of(answer, at, latency_s)) is not None and self._counts(exposure):
                exposures.append(exposure)
        if not self._waiting:
            self._forgotten.clear()
        return exposures

    def _counts(self, exposure: Exposure) -> bool:
        if exposure.user_id in self._forgotten and exposure.at <= self._forgotten[exposure.user_id]:
            return False
        return self.sample >= 1 or _share_of(exposure.unit or exposure.recommendation_id) < self.sample


class ExposureWriter:
    """Writes what a buffer has to the store, in batches, beside the answers.

    Parameters
    ----------
    buffer
        Of this process.
    stream
        Where exposures go.

    Attributes
    ----------
    written : int
        Exposures that the store has taken.
    """

    def __init__(self, buffer: ExposureBuffer, stream: ExposureStream) -> None:
        self._buffer, self._stream = buffer, stream
        self.written = 0
        self._batch: list[Exposure] = []
        self._writing = asyncio.Lock()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            try:
                await self.flush()
            except Exception:
                logger.exception("exposures are not written; it is tried again")

    async def flush(self) -> None:
        """Write all that waits; a batch that the store could not take for the moment stays for the next call."""
        while self._batch or len(self._buffer):
            async with self._writing:
                self._batch = self._batch or self._buffer.drain()
                if not await self._write():
                    return
            await asyncio.sleep(0)

    async def _write(self) -> bool:
        """Write the batch; False where the store does not take it now."""
        try:
            await self._stream.append_exposures([pack(each) for each in self._batch])
        except StoreFullError:
            self._buffer.dropped += len(self._batch)
        except StoreError as error:
            logger.warning("exposures wait: %s", error)
            self._keep_young()
            return False
        else:
            self.written += len(self._batch)
        self._batch = []
        return True

    async def forget(self, user_id: str) -> None:
        """Erase a user from the buffer, from the batch under way, and from the stream."""
        self._buffer.forget(user_id)
        async with self._writing:
            self._batch = [each for each in self._batch if each.user_id != user_id]
        await erase_from_stream(self._stream, user_id)

    def _keep_young(self) -> None:
        oldest = time.time() - OLDEST_S
        young = [each for each in self._batch if each.at >= oldest]
        self._buffer.dropped += len(self._batch) - len(young)
        self._batch = young


async def erase_from_stream(stream: ExposureStream, user_id: str) -> None:
    """Remove a user's exposures that wait in the store's stream."""
    await stream.drop_exposures(await _own_in_stream(stream, user_id))


async def count_in_stream(stream: ExposureStream, user_id: str) -> int:
    """Exposures of a user that wait in the store's stream."""
    return len(await _own_in_stream(stream, user_id))


async def _own_in_stream(stream: ExposureStream, user_id: str) -> list[int]:
    """Offsets of a user's exposures."""
    name, after = user_id.encode(), 0
    own: list[int] = []
    while page := await stream.read_exposures(after, PAGE):
        # most entries are of others, which the bytes tell; one with the name in it may be another's too
        after = page[-1].offset
        own += [each.offset for each in page if name in each.packed and _user_of(each.packed) == user_id]
    return own


def _user_of(packed: bytes) -> str | None:
    try:
        return unpack(packed).user_id
    except StoreError:
        return None


def _share_of(name: str) -> float:
    """A number between 0 and 1 that depends on the name alone."""
    return int.from_bytes(blake2b(name.encode(), digest_size=6, person=b"exposures").digest()) / 2**48
