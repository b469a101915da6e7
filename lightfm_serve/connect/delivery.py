"""Delivery to the service over HTTP: with back-pressure, and a batch that is refused split until it is known why."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from lightfm_serve.client import endpoints
from lightfm_serve.client.body_batches import MOST_BYTES
from lightfm_serve.client.client import Client
from lightfm_serve.client.endpoints import Call
from lightfm_serve.client.errors import InvalidError, ProblemError, ServeError
from lightfm_serve.client.responses import Accepted, Upserted
from lightfm_serve.connect.errors import InterruptedDelivery, StreamError
from lightfm_serve.connect.translation import Body

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 30.0
SLICE_S = 0.5
"""How often somebody who waits looks whether they are to stop."""
REFUSED = frozenset({400, 413, 422})
"""Statuses that say of a body that it will never be taken; parts of it may be."""
AWAY = frozenset({408, 425, 429})
"""Statuses below 500 that say: later."""

Answer = Accepted | Upserted
CALLS: Mapping[str, Callable[[Sequence[Any]], Call[Answer]]] = {
    "items": endpoints.put_items,
    "users": endpoints.put_users,
    "interactions": endpoints.add_interactions,
}
_INDEX = re.compile(r"\[(\d+)\]")


class Refusal(NamedTuple):
    """A body that the service will never take, by its place in the batch, and why."""

    place: int
    reason: str


class Waits(Protocol):
    """Protocol of what is told while a delivery waits."""

    def waiting(self, failure: ServeError) -> None:
        """The service does not take it now."""
        ...

    def answered(self, answer: Answer) -> None:
        """The service has taken something."""
        ...


class Delivery:
    """Delivery of one kind of record, a batch at a time.

    Parameters
    ----------
    client
        Of the service; one that does not retry by itself.
    kind
        ``interactions``, ``items`` or ``users``.
    pause
        Waits for so many seconds, and keeps the membership in the group meanwhile.
    is_stopping
        Whether somebody wants to stop.
    listener
        Is told of answers and of waiting.
    """

    def __init__(
        self,
        client: Client,
        kind: str,
        pause: Callable[[float], None],
        is_stopping: Callable[[], bool],
        listener: Waits,
    ) -> None:
        self._client, self._describe = client, CALLS[kind]
        self._pause, self._is_stopping, self._listener = pause, is_stopping, listener

    def send(self, bodies: Sequence[Body]) -> list[Refusal]:
        """Send bodies in their order; it returns when each was acknowledged or refused.

        Raises
        ------
        InterruptedDelivery
            Somebody wants to stop, and the service does not answer.
        StreamError
            The service says that it will take nothing of ours: the key is not valid, or the URL is none of a service.
        """
        refused: list[Refusal] = []
        left = [range(len(bodies))] if bodies else []
        while left:
            span = left.pop()
            fault = self._try(bodies[span.start : span.stop])
            if fault is None:
                continue
            if len(span) == 1:
                refused.append(Refusal(span.start, fault))
            else:
                left.extend(reversed(_parts(span, _index(fault))))
        return refused

    def _try(self, bodies: Sequence[Body]) -> str | None:
        """Send a batch; why it was refused, or None."""
        call = self._describe(bodies)
        if len(bodies) > 1 and len(call.body or b"") > MOST_BYTES:
            return "the body is too long"
        made = 0
        while True:
            try:
                self._listener.answered(self._client.send(call))
            except ServeError as error:
                if (refusal := _refusal(error)) is not None:
                    return refusal
                self._listener.waiting(error)
                self._wait(_pause_s(error, made))
                made += 1
            else:
                return None

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._is_stopping():
                raise InterruptedDelivery
            self._pause(min(left, SLICE_S))
        if self._is_stopping():
            raise InterruptedDelivery


def _refusal(error: ServeError) -> str | None:
    """Why a body will never be taken; None for a failure that passes."""
    if not isinstance(error, ProblemError):
        return None
    status = error.problem.status
    if status in REFUSED:
        faults = error.problem.errors if isinstance(error, InvalidError) else ()
        return f"{status}: {faults[0].loc}: {faults[0].msg}" if faults else str(error)
    if status in AWAY or status >= 500:
        return None
    raise StreamError(f"the service takes nothing of ours: {error}; nothing was lost, the records stay uncommitted")


def _pause_s(error: ServeError, made: int) -> float:
    """Seconds to the next attempt: what ``Retry-After`` says, else exponential back-off with jitter."""
    if isinstance(error, ProblemError) and error.problem.retry_after_s is not None:
        return error.problem.retry_after_s
    longest: float = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(made, 30))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret, only so that not all come at once


def _index(fault: str) -> int | None:
    """Place of the body that a refusal names."""
    found = _INDEX.search(fault)
    return int(found[1]) if found else None


def _parts(span: range, index: int | None) -> list[range]:
    """Parts of a refused batch: around the body that was named, else halves."""
    if index is None or index >= len(span):
        middle = len(span) // 2
        return [span[:middle], span[middle:]]
    return [part for part in (span[:index], span[index : index + 1], span[index + 1 :]) if part]
