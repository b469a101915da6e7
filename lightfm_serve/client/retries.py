"""Retry policy: exponential back-off, and which failures are worth another attempt."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from lightfm_serve.client.endpoints import Call
from lightfm_serve.client.errors import NotFoundError, ProblemError, ServeError, UnreachableError

AGAIN = frozenset({429, 502, 503, 504})
"""Statuses after which asking again may help: the request was not taken, or did not get through a proxy."""
NOT_TAKEN = frozenset({429, 503})
"""Those which say that nothing was done."""
MOST_DOUBLINGS = 30


@dataclass(frozen=True)
class Retries:
    """Retry policy: attempts, back-off and total time.

    Parameters
    ----------
    attempts
        Times that a call is made at most.
    patience_s
        Seconds that are waited at most between the attempts of a call, all together.
    first_s, longest_s
        The first wait, and the longest; they double in between, and a random half of each is left out. A
        ``Retry-After`` counts instead, whatever its length.
    """

    attempts: int = 5
    patience_s: float = 30.0
    first_s: float = 0.1
    longest_s: float = 5.0


class Attempts:
    """The attempts of one call.

    Parameters
    ----------
    retries
        How long to insist.
    call
        What is asked.
    """

    def __init__(self, retries: Retries, call: Call[Any]) -> None:
        self._retries, self._call = retries, call
        self._made = 0
        self._waited_s = 0.0
        self._may_be_done = False

    def has_settled(self, failure: ServeError) -> bool:
        """Whether a failure says that an earlier attempt, whose answer was lost, did what was asked."""
        return self._may_be_done and self._call.method == "DELETE" and isinstance(failure, NotFoundError)

    def pause_s(self, failure: ServeError) -> float:
        """Seconds to wait before the next attempt; raises the failure when there is to be none."""
        self._made += 1
        pause = self._pause_s(failure)
        if self._made >= self._retries.attempts or not self._may_repeat(failure):
            raise failure
        if self._waited_s + pause > self._retries.patience_s:
            raise failure
        self._waited_s += pause
        return pause

    def _may_repeat(self, failure: ServeError) -> bool:
        if isinstance(failure, ProblemError):
            status = failure.problem.status
            self._may_be_done |= status not in NOT_TAKEN
            return status in AGAIN and (self._call.repeatable or status in NOT_TAKEN)
        self._may_be_done = True
        return isinstance(failure, UnreachableError) and self._call.repeatable

    def _pause_s(self, failure: ServeError) -> float:
        if isinstance(failure, ProblemError) and failure.problem.retry_after_s is not None:
            return failure.problem.retry_after_s
        # beyond 30 doublings every wait is the longest, and from 1,024 on a float has no more room
        doublings = min(self._made - 1, MOST_DOUBLINGS)
        longest = min(self._retries.longest_s, self._retries.first_s * 2.0**doublings)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret, only so that not all come at once
