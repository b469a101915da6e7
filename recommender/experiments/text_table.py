"""Table: a contest as lines of text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recommender.evaluation import Interval
from recommender.experiments.candidates import OURS
from recommender.experiments.comparison import Contest


def table(contest: Contest) -> str:
    """Means with their intervals, and ours less theirs, for each set of candidates."""
    blocks = []
    for candidates, by_name in contest.results.items():
        names = list(by_name)
        rows = [[candidates, *names]]
        rows += [
            [metric, *(mean(contest.interval(candidates, name, metric)) for name in names)]
            for metric in contest.metrics
        ]
        others = [name for name in names if name != OURS]
        blocks.append(_aligned(rows))
        if others:
            rows = [["ours less", *others]]
            rows += [
                [metric, *(difference(contest.difference(candidates, name, metric)) for name in others)]
                for metric in contest.metrics
                if metric != "coverage"
            ]
            blocks.append(_aligned(rows))
    return "\n\n".join(blocks)


def judged_by(contest: Contest) -> str:
    """``judged on 304 pairs of 153 users: 20 % of 1520 pairs, split random``; of several seeds the least."""
    users, pairs = (min(each) for each in zip(*contest.judged, strict=True))
    seeds = f", at least, in each of {len(contest.judged)} splits" if len(contest.judged) > 1 else ""
    share, split = contest.plan.share * 100, contest.plan.split
    return f"judged on {pairs} pairs of {users} users{seeds}: {share:g} % of {contest.n_pairs} pairs, split {split}"


def mean(interval: Interval) -> str:
    """``0.4301 ±0.0021``."""
    if np.isnan(interval.mean):
        return "-"
    half = f" ±{interval.high - interval.mean:.4f}" if interval.is_known else ""
    return f"{interval.mean:.4f}{half}"


def difference(interval: Interval) -> str:
    """``+0.0120 [+0.0101, +0.0139]``."""
    if np.isnan(interval.mean):
        return "-"
    bounds = f" [{interval.low:+.4f}, {interval.high:+.4f}]" if interval.is_known else ""
    return f"{interval.mean:+.4f}{bounds}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
