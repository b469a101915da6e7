"""Lease: the exclusive right to learn into a state, which lapses when its holder is gone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

from recommender.errors import StateUnavailableError, TrainingError
from recommender.storage import atomic_files
from recommender.storage.object_store import Bucket, is_url

logger = logging.getLogger("recommender.training.pipeline")

LAPSES_AFTER_S = 30.0
FREE = b"free"


class Lease(Protocol):
    """Exclusive right to train; held while a block runs."""

    def held(self) -> AbstractAsyncContextManager[None]:
        """Hold it while the block runs; TrainingError where another trainer does."""


def lease_on(state_dir: str) -> Lease:
    """Lease on a state in a folder or in a bucket."""
    return BucketLease(Bucket(state_dir) / "lease") if is_url(state_dir) else FolderLease(Path(state_dir))


class FolderLease:
    """A lock file, which the system frees whatever becomes of the process that holds it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Hold it while the block runs; TrainingError where another trainer does."""
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(atomic_files.locked(self._folder / "trainer.lock", wait=False))
            except BlockingIOError:
                raise TrainingError(
                    f"another trainer is learning into {self._folder}; a folder has one service"
                ) from None
            yield


class BucketLease:
    """Numbered objects, of which the one with the highest number says who holds the lease.

    The next number is created only where there is none, so that of several who try one succeeds. A holder creates
    one after the other; who waits takes the lease for lapsed when, by their own clock, there has been no new one for
    `lapses_after_s`: no two clocks are compared.

    Parameters
    ----------
    bucket
        For the objects of this lease alone.
    lapses_after_s
        Time without a new object after which the holder is taken for gone.
    """

    def __init__(self, bucket: Bucket, lapses_after_s: float = LAPSES_AFTER_S) -> None:
        self._bucket = bucket
        self._lapses_after_s = lapses_after_s
        self._holder = secrets.token_hex(8).encode()
        self._seen, self._seen_at = 0, 0.0

    def acquire(self) -> bool:
        """Take the lease or renew it; False while another holds it."""
        newest = self._newest()
        return self._may_follow(newest) and self._create(newest + 1, self._holder)

    def release(self) -> None:
        """Let others take it at once."""
        newest = self._newest()
        if newest and self._content(newest) == self._holder:
            self._create(newest + 1, FREE)

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Hold it while the block runs; TrainingError where another trainer does."""
        if not await asyncio.to_thread(self.acquire):
            raise TrainingError(
                f"another trainer is learning into {self._bucket.url}, or has ended without letting go: its lease"
                f" lapses after {self._lapses_after_s:g} s"
            )
        renewing = asyncio.create_task(self._renew())
        try:
            yield
        finally:
            renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewing
            await asyncio.to_thread(self._let_go)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._lapses_after_s / 3)
            try:
                if not await asyncio.to_thread(self.acquire):
                    # the registry refuses what it then publishes, if the other one was faster
                    logger.warning("another trainer has taken the lease of %s", self._bucket.url)
            except StateUnavailableError as error:
                logger.warning("the lease of %s is not renewed: %s", self._bucket.url, error)

    def _let_go(self) -> None:
        try:
            self.release()
        except StateUnavailableError as error:
            logger.warning("the lease of %s lapses by itself: %s", self._bucket.url, error)

    def _newest(self) -> int:
        return max((int(name) for name in self._bucket.sizes() if name.isdecimal()), default=0)

    def _may_follow(self, newest: int) -> bool:
        if newest == 0 or self._content(newest) in (FREE, self._holder):
            return True
        now = time.monotonic()
        if newest != self._seen:
            self._seen, self._seen_at = newest, now
        return now - self._seen_at >= self._lapses_after_s

    def _content(self, number: int) -> bytes:
        try:
            return self._bucket.read(f"{number:012d}")
        except FileNotFoundError:  # somebody has gone on meanwhile
            return b""

    def _create(self, number: int, content: bytes) -> bool:
        made = self._bucket.create(f"{number:012d}", content)
        if made:
            self._bucket.remove([f"{each:012d}" for each in range(max(1, number - 3), number - 1)])
        return made
