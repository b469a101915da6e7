"""Experiment counts: what judging an experiment needs of each variant, from the ledger's sums by user."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from recommender.exposures.ledger import LATENCY_BOUNDS_S, Ledger


class VariantCounts(msgspec.Struct, frozen=True):
    """Sums over the users of a variant, where ``x`` is a user's exposures and ``y`` those with the event.

    The unit is the user, else the session; exposures of nobody are in `exposures` and `hits` only. The mean over users
    of ``y / x``, or the ratio ``sum_y / sum_x`` with the delta method, follows from these.
    """

    variant: str
    exposures: int
    """All of them."""
    users: int
    sum_x: float
    sum_xx: float
    sum_y: float
    sum_yy: float
    sum_xy: float
    sum_rate: float
    """Sum of ``y / x``."""
    sum_rate_squared: float
    hits: int
    """Exposures with at least one interaction of the event."""
    empty: int
    """Exposures without an item."""
    degraded: int
    """Exposures of which a part could not be asked."""
    p99_s: float | None
    """Upper end of the bucket with the 99th percentile of the latencies, in seconds; None where there are none."""


def experiment_counts(ledger: Ledger, experiment: str, event: str = "click") -> list[VariantCounts]:
    """Counts of each variant that was shown, by name.

    Parameters
    ----------
    ledger
        Where the sums are.
    experiment
        Its name; of an unknown one there are no variants.
    event
        What counts as ``y``.
    """
    cells = ledger.read(
        "SELECT variant, SUM(exposures), SUM(empty), SUM(degraded) FROM cells WHERE experiment = ?"
        " GROUP BY variant ORDER BY variant",
        (experiment,),
    )
    return [_counts(ledger, experiment, event, *row) for row in cells]


def _counts(
    ledger: Ledger, experiment: str, event: str, variant: str, exposures: int, empty: int, degraded: int
) -> VariantCounts:
    arm = (experiment, variant)
    [sums] = ledger.read(
        "SELECT COUNT(*), TOTAL(x), TOTAL(x * x), TOTAL(y), TOTAL(y * y), TOTAL(x * y), TOTAL(y / x),"
        " TOTAL((y / x) * (y / x)) FROM (SELECT CAST(seen.exposures AS REAL) AS x, COALESCE(taken.hits, 0) AS y"
        " FROM experiment_users AS seen LEFT JOIN experiment_hits AS taken ON taken.experiment = seen.experiment"
        " AND taken.variant = seen.variant AND taken.event = ? AND taken.unit = seen.unit"
        " WHERE seen.experiment = ? AND seen.variant = ?)",
        (event, *arm),
    )
    [(hits,)] = ledger.read(
        "SELECT COALESCE(SUM(hits), 0) FROM cell_events WHERE event = ? AND position = 0"
        " AND cell IN (SELECT cell FROM cells WHERE experiment = ? AND variant = ?)",
        (event, *arm),
    )
    latencies = ledger.read(
        "SELECT bucket, answers FROM latencies WHERE experiment = ? AND variant = ? ORDER BY bucket", arm
    )
    users, *moments = sums
    x, xx, y, yy, xy, rate, rate_squared = moments
    p99_s = _percentile(latencies, 0.99)
    return VariantCounts(variant, exposures, users, x, xx, y, yy, xy, rate, rate_squared, hits, empty, degraded, p99_s)


def _percentile(buckets: Sequence[tuple[int, int]], share: float) -> float | None:
    left = share * sum(answers for _, answers in buckets)
    for bucket, answers in buckets:
        left -= answers
        if left <= 0:
            return LATENCY_BOUNDS_S[min(bucket, len(LATENCY_BOUNDS_S) - 1)]
    return None
