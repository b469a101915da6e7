"""Placement rule: which work is answered in the process that took the request, and which goes along the chain."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from deployments.stages.answering import ScanCost

Mode = Literal["auto", "always", "never"]

ASSUMED_HOP_MS = 4.0
"""Cost of the trip along the chain, two Serve calls, until it has been measured."""
MOST_OF_ONE_MS = 10.0
"""Work that is never near, whatever the trip was measured to cost: it would hold up everybody else of this process."""
MOST_UNDER_WAY_MS = 50.0
"""Estimated work that this process takes on at once; what comes on top goes along the chain, where others share it."""
PACE = (0.1, 10.0)
"""Bounds of measured against estimated cost: beyond these it was the machine that was measured."""


class NearRule:
    """Admission rule of the near way.

    Work is answered near when it costs no more than the trip along the chain would, and as long as this process has
    not taken on more than `MOST_UNDER_WAY_MS`. Costs are those of `recommender.serving.request_cost`, times the pace
    of this machine with this model.

    Parameters
    ----------
    mode
        ``auto``: by this rule; ``always``: whatever this process has what is needed for; ``never``: nothing.

    Attributes
    ----------
    hop_ms : float
        Cost of the trip along the chain.
    """

    def __init__(self, mode: Mode) -> None:
        self.mode: Mode = mode
        self.hop_ms = ASSUMED_HOP_MS
        self._scan_ms: float | None = None
        self._pace = 1.0
        self._under_way_ms = 0.0

    def measured_scan(self, cost: ScanCost | None) -> None:
        """Take over what an answer that scores the whole catalogue has cost; None changes nothing."""
        if cost is not None:
            self._scan_ms = cost.measured_ms
            self._pace = min(max(cost.measured_ms / cost.estimated_ms, PACE[0]), PACE[1])

    def is_near(self, cost_ms: float) -> bool:
        """Whether work of an estimated cost is answered in this process; never what costs infinitely much."""
        if self.mode == "always":
            return cost_ms < math.inf
        own_ms = cost_ms * self._pace
        is_small = own_ms <= min(self.hop_ms, MOST_OF_ONE_MS) and self._under_way_ms + own_ms <= MOST_UNDER_WAY_MS
        return self.mode == "auto" and is_small

    @contextmanager
    def under_way(self, cost_ms: float) -> Iterator[None]:
        """Count work as taken on while the block runs."""
        own_ms = cost_ms * self._pace
        self._under_way_ms += own_ms
        try:
            yield
        finally:
            self._under_way_ms -= own_ms

    def status(self) -> dict[str, Any]:
        """The rule as it stands: mode, cost of the trip and of a scan in ms."""
        return {
            "mode": self.mode,
            "hop_ms": round(self.hop_ms, 3),
            "scan_ms": self._scan_ms and round(self._scan_ms, 3),
        }
