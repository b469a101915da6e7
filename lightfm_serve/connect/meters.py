"""Meters: what a connector has done, how far it is behind, and whether it lives, as Prometheus metrics."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge

from lightfm_serve.client.errors import ServeError
from lightfm_serve.client.responses import Accepted, Upserted

logger = logging.getLogger(__name__)

LAG_EVERY_S = 5.0
STUCK_AFTER_S = 300.0
"""Seconds without a sign of life after which a connector is not healthy: longer than any call may take."""
SAID_EVERY_S = 10.0


class Meters:
    """Meters of one connector.

    Parameters
    ----------
    source
        ``kafka`` or ``redis``.
    clock
        Monotonic seconds.
    """

    def __init__(self, source: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.registry = CollectorRegistry()
        self._clock = clock
        self.counts = {"consumed": 0, "sent": 0, "duplicates": 0, "skipped": 0, "dead_letters": 0}
        self._waiting_for: str | None = None
        self._said_at = self._lag_at = float("-inf")
        self._lags: Mapping[str, int] = {}
        self._alive_at = self._success_at = clock()
        self._counters = {name: self._counter(name, says, source) for name, says in _COUNTERS.items()}
        self._waits = Counter(
            "recommender_connect_waits",
            "Attempts after which the service had to be waited for.",
            registry=self.registry,
        )
        self._lag = Gauge(
            "recommender_connect_lag_records", "Records not committed yet.", ["partition"], registry=self.registry
        )
        self._gauge(
            "recommender_connect_seconds_since_success",
            "Seconds since a batch was committed, or nothing was left to read.",
            lambda: self._clock() - self._success_at,
        )
        self._gauge(
            "recommender_connect_waiting",
            "1 while the service does not take what is sent.",
            lambda: float(self._waiting_for is not None),
        )

    def _counter(self, name: str, says: str, source: str) -> Any:
        found = Counter(f"recommender_connect_{name}", says, ["source"], registry=self.registry)
        return found.labels(source)

    def _gauge(self, name: str, says: str, value: Callable[[], float]) -> None:
        Gauge(name, says, registry=self.registry).set_function(value)

    def _count(self, name: str, n: int) -> None:
        self.counts[name] += n
        self._counters[name].inc(n)

    def alive(self) -> None:
        """It is not stuck."""
        self._alive_at = self._clock()

    def read(self, n: int) -> None:
        """So many records were read; none means that none was there."""
        self.alive()
        self._count("consumed", n)
        if not n:
            self._success_at = self._clock()

    def answered(self, answer: Accepted | Upserted) -> None:
        """The service has taken a batch."""
        if self._waiting_for is not None:
            logger.info("the service takes records again")
        self._waiting_for = None
        self.alive()
        if isinstance(answer, Accepted):
            self._count("sent", answer.accepted)
            self._count("duplicates", answer.duplicates)
        else:
            self._count("sent", answer.created + answer.updated)

    def waiting(self, failure: ServeError) -> None:
        """The service does not take it now."""
        self._waits.inc()
        self._waiting_for = str(failure)
        if self._clock() >= self._said_at + SAID_EVERY_S:
            self._said_at = self._clock()
            logger.warning("waiting for the service: %s", failure)

    def dead(self, n: int) -> None:
        """So many dead letters were kept."""
        self._count("dead_letters", n)

    def done(self, n_skipped: int) -> None:
        """A batch was committed."""
        self._count("skipped", n_skipped)
        self._success_at = self._clock()

    def show_lag(self, lag: Callable[[], Mapping[str, int]]) -> None:
        """Ask how far it is behind, now and then; partitions that others have now are not shown any more."""
        if self._clock() < self._lag_at + LAG_EVERY_S:
            return
        self._lags = lag()
        self._lag_at = self._clock()
        self._lag.clear()
        for partition, n in self._lags.items():
            self._lag.labels(partition).set(n)

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Whether it lives, and what it does. Waiting for the service is healthy: starting again would not help."""
        silent_s = self._clock() - self._alive_at
        if silent_s > STUCK_AFTER_S:
            return False, {"status": "stuck", "silent_s": round(silent_s)}
        if self._waiting_for is not None:
            return True, {"status": "waiting", "reason": self._waiting_for}
        return True, {"status": "ok"}


_COUNTERS = {
    "consumed": "Records read.",
    "sent": "Records that the service took.",
    "duplicates": "Records that the service had already.",
    "skipped": "Records passed over by --only.",
    "dead_letters": "Records that can never be taken.",
}
