"""Rate limit: a token bucket for each key, or for each address where there are no keys, in each replica."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable

from cachetools import LRUCache

from deployments.http.problems import Problem

VARIABLE = "RECOMMENDER_RATE_LIMIT"
BURST_S = 1.0
"""A key that was quiet may ask for so many seconds at once."""
MOST_BUCKETS = 10_000
"""Of which the one that was longest without a request is dropped; it had best be full again by then."""


class RateLimiter:
    """A token bucket for each key or address, at most `MOST_BUCKETS` of them.

    Parameters
    ----------
    per_s
        Requests a second that each may make of this replica; None: any number.
    clock
        Seconds, never going back.
    """

    def __init__(self, per_s: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._clock = per_s, clock
        self._buckets: LRUCache[bytes, tuple[float, float]] = LRUCache(MOST_BUCKETS)

    @classmethod
    def from_environment(cls) -> RateLimiter:
        """Rate of the environment variable, in requests a second, for each replica of the ingress.

        Raises
        ------
        ValueError
            It is no number above 0.
        """
        given = os.environ.get(VARIABLE)
        if not given:
            return cls(None)
        try:
            per_s = float(given)
        except ValueError:
            per_s = math.nan
        if not 0 < per_s < math.inf:
            raise ValueError(f"{VARIABLE} is requests a second for each key and replica, a number above 0")
        return cls(per_s)

    def take(self, key: bytes) -> None:
        """Count one request of a key that is valid, or of an address, or answer 429 with when to come back."""
        if self._per_s is None:
            return
        most = max(1.0, self._per_s * BURST_S)
        now = self._clock()
        left, since = self._buckets.get(key, (most, now))
        left = min(most, left + (now - since) * self._per_s)
        if left < 1:
            self._buckets[key] = (left, now)
            seconds = math.ceil((1 - left) / self._per_s)
            raise Problem(
                429,
                "too many requests a second of this key, or of this address; come back when Retry-After says",
                headers={"Retry-After": str(seconds)},
            )
        self._buckets[key] = (left - 1, now)
