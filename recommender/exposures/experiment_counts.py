"""Experiment counts of the ledger: what judging an experiment needs of each variant, from sums by user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recommender.evaluation.experiment_counts import VariantCounts
from recommender.exposures.ledger import Ledger
from recommender.exposures.page_sums import LATENCY_BOUNDS_S


class LedgerCounts:
    """Source of the counts of experiments, as `recommender.evaluation.experiment_counts.ExperimentCounts` wants it.

    Parameters
    ----------
    ledger
        Where the sums are.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def counts(self, experiment: str, event: str) -> Mapping[str, VariantCounts]:
        """Counts by variant, of those that have been shown, with the hits of one kind of event."""
        cells = self._ledger.read(
            "SELECT variant, SUM(exposures), SUM(empty), SUM(degraded) FROM cells WHERE experiment = ?"
            " GROUP BY variant ORDER BY variant",
            (experiment,),
        )
        return {variant: self._counts((experiment, variant), event, *sums) for variant, *sums in cells}

    def _counts(self, arm: tuple[str, str], event: str, answers: int, empty: int, degraded: int) -> VariantCounts:
        [sums] = self._ledger.read(
            "SELECT COUNT(*), COALESCE(SUM(n), 0), COALESCE(SUM(h), 0), COALESCE(SUM(n * n), 0),"
            " COALESCE(SUM(h * h), 0), COALESCE(SUM(n * h), 0) FROM"
            " (SELECT seen.exposures AS n, COALESCE(taken.hits, 0) AS h FROM experiment_users AS seen"
            " LEFT JOIN experiment_hits AS taken ON taken.experiment = seen.experiment"
            " AND taken.variant = seen.variant AND taken.event = ? AND taken.unit = seen.unit"
            " WHERE seen.experiment = ? AND seen.variant = ?)",
            (event, *arm),
        )
        latencies = self._ledger.read(
            "SELECT bucket, answers FROM latencies WHERE experiment = ? AND variant = ? ORDER BY bucket", arm
        )
        users, n, h, nn, hh, nh = sums
        p99_ms = _percentile_ms(latencies, 0.99)
        return VariantCounts(users, n, h, nn, hh, nh, answers, empty, degraded, p99_ms)


def _percentile_ms(buckets: Sequence[tuple[int, int]], share: float) -> float | None:
    """Upper end of the bucket with a percentile, in milliseconds; None where nothing was counted."""
    left = share * sum(answers for _, answers in buckets)
    for bucket, answers in buckets:
        left -= answers
        if left <= 0:
            return LATENCY_BOUNDS_S[min(bucket, len(LATENCY_BOUNDS_S) - 1)] * 1e3
    return None
