"""Micro-batching: concurrent requests share one trip through the graph."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from functools import partial
from typing import Generic, TypeVar

MAX_BATCH_SIZE = 32
"""Requests that travel together; they are scored in one pass over the item block."""

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class MicroBatcher(Generic[Asked, Answer]):
    """Collects concurrent requests into batches while earlier batches are under way.

    A batch leaves when it is full, when the ones before it are back, or when its first has waited long enough,
    whichever comes first; alone, it waits only for company. So batches grow with the load, as in Nagle's algorithm
    [1]_: a trip costs about the same for one as for many. `serve.batch` closes a batch a fixed time after its first
    request, also where it then waits for its turn: requests that arrive evenly travel almost alone, at several times
    the price.

    Parameters
    ----------
    answer
        Answers a batch, in its order.
    most
        Requests in a batch.
    idle_wait_s
        How long the first waits while none is under way; with 0 for those only that are there already.
    busy_wait_s
        The same while another is.

    References
    ----------
    .. [1] J. Nagle, RFC 896, 1984.
    """

    def __init__(
        self,
        answer: Callable[[list[Asked]], Awaitable[list[Answer]]],
        *,
        most: int,
        idle_wait_s: float,
        busy_wait_s: float,
    ) -> None:
        self._answer = answer
        self._most, self._company_s, self._patience_s = most, idle_wait_s, busy_wait_s
        self._waiting: list[tuple[Asked, asyncio.Future[Answer]]] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._timer: asyncio.Handle | None = None

    async def ask(self, asked: Asked) -> Answer:
        """Answer of one; an error of its batch is raised to each."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((asked, answer))
        if len(self._waiting) >= self._most:
            self._flush()
        elif self._timer is None:
            # in a context of nobody's: a batch does not end with the request that began it
            wait_s = self._patience_s if self._under_way else self._company_s
            later = partial(loop.call_later, wait_s) if wait_s else loop.call_soon
            self._timer = later(self._flush, context=Context())
        return await answer

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # who has gone is not asked for
        batch = [each for each in self._waiting if not each[1].done()]
        self._waiting = []
        if batch:
            task = asyncio.get_running_loop().create_task(self._run(batch), context=Context())
            self._under_way.add(task)
            task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not self._under_way:
            self._flush()

    async def _run(self, batch: list[tuple[Asked, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._answer([asked for asked, _ in batch])
        except Exception as error:  # noqa: BLE001 (whatever it is, it is theirs who ask)
            for _, waiting in batch:
                if not waiting.done():
                    waiting.set_exception(error)
            return
        for (_, waiting), answer in zip(batch, answers, strict=True):
            if not waiting.done():
                waiting.set_result(answer)
