"""Circuit breaker: after a timeout, fail fast until a background probe succeeds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from redis.exceptions import TimeoutError as RedisTimeoutError

PAUSE_S = 0.05
"""Between two probes; a probe that hangs waits for its own deadline."""


class CircuitBreaker:
    """Circuit breaker: opens at a call that times out, closes when a background probe is answered.

    A server that refuses connections or answers with an error does so at once, so only waiting trips it. The
    probe has more time than a call: it also makes the connection that a call had no time to make.

    Parameters
    ----------
    probe
        Asks the server something small; raises TimeoutError when it does not answer in time.
    """

    def __init__(self, probe: Callable[[], Awaitable[object]]) -> None:
        self._probe = probe
        self._probing: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether the store is known to keep its callers waiting."""
        return self._probing is not None and not self._probing.done()

    def trip(self) -> None:
        """Open, until the store answers."""
        if not self.is_open:
            self._probing = asyncio.create_task(self._until_it_answers())

    async def close(self) -> None:
        """Stop probing."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait([self._probing])

    async def _until_it_answers(self) -> None:
        while True:
            try:
                await self._probe()
            except (TimeoutError, RedisTimeoutError):
                await asyncio.sleep(PAUSE_S)
            except Exception:  # noqa: BLE001 (an error is an answer: the next call meets it, at once, and names it)
                return
            else:
                return
