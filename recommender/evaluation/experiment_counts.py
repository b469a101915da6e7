"""Experiment counts: the sums over users that the statistics of a running experiment need, and who gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol


class VariantCounts(NamedTuple):
    """Sums of one variant. A user is whoever has an id or a session; `n` and `h` are their exposures and hits.

    A hit is an exposure that at least one interaction of the metric's event is attributed to, so that ``h <= n``.
    """

    users: int = 0
    exposures: int = 0
    """Sum of n."""
    hits: int = 0
    """Sum of h."""
    exposures_squared: int = 0
    """Sum of n²."""
    hits_squared: int = 0
    """Sum of h²."""
    products: int = 0
    """Sum of n · h."""
    answers: int = 0
    """All exposures of the variant, those of nobody included: what the guardrails are shares of."""
    empty: int = 0
    """Of `answers`, those without an item."""
    degraded: int = 0
    """Of `answers`, those that a part could not be asked for."""
    p99_ms: float | None = None
    """99th percentile of the time that an answer took; None where no times are known."""


class ExperimentCounts(Protocol):
    """Source of the counts of experiments."""

    def counts(self, experiment: str, event: str) -> Mapping[str, VariantCounts]:
        """Counts by variant, of those that have been shown, with the hits of one kind of event."""
        ...
