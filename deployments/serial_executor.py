"""SerialExecutor: runs heavy work in one thread, one piece at a time, beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class SerialExecutor:
    """Runs pieces of work in one thread, in the order in which they were asked for.

    Attributes
    ----------
    idle : asyncio.Lock
        Held while a piece runs. Who changes what the pieces read holds it meanwhile, on the event loop.
    """

    def __init__(self) -> None:
        self.idle = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "heavy")

    async def run(self, work: Callable[[], T]) -> T:
        """What the work gives. Who stops waiting stops it only before it has begun."""
        async with self.idle:
            running = asyncio.get_running_loop().run_in_executor(self._thread, work)
            try:
                return await asyncio.shield(running)
            except asyncio.CancelledError:
                # the thread goes on, and nothing that it reads may change before it is through
                await asyncio.wait([running])
                raise
