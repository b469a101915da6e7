"""Text table: a comparison as lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from recommender.evaluation import Interval
from recommender.experiments.candidates import OURS
from recommender.experiments.comparison import ComparisonResult
from recommender.experiments.folds import FIXED

COSTS = ("fit CPU s", "score CPU µs")
"""Of learning, and of scoring all items for one user."""


def table(contest: ComparisonResult) -> str:
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
        blocks.append(_aligned([*rows, *_costs(contest, names)]))
        if others:
            rows = [["ours less", *others]]
            rows += [
                [metric, *(difference(contest.difference(candidates, name, metric)) for name in others)]
                for metric in contest.metrics
                if metric != "coverage"
            ]
            blocks.append(_aligned(rows))
    return "\n\n".join(blocks)


def summary(contests: Mapping[str, ComparisonResult]) -> str:
    """Quality and cost of each contender on each data set, one line each; all items to choose from."""
    rows = [["data set", "users", "pairs", "contender", "recall", "ndcg", *COSTS]]
    for name, contest in contests.items():
        users, pairs = (str(min(each)) for each in zip(*contest.judged, strict=True))
        candidates = next(iter(contest.results))
        for contender in contest.results[candidates]:
            k = contest.plan.k
            means = [mean(contest.interval(candidates, contender, metric)) for metric in (f"recall@{k}", f"ndcg@{k}")]
            rows.append([name, users, pairs, contender, *means, *(row[1] for row in _costs(contest, [contender]))])
    return _aligned(rows)


def judged_by(contest: ComparisonResult) -> str:
    """``judged on 304 pairs of 153 users: 20 % of 1520 pairs, split random``; of several seeds the least."""
    users, pairs = (min(each) for each in zip(*contest.judged, strict=True))
    seeds = f", at least, in each of {len(contest.judged)} splits" if len(contest.judged) > 1 else ""
    if contest.plan.split == FIXED:
        return f"judged on {pairs} pairs of {users} users: the split that was given"
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


def _costs(contest: ComparisonResult, contenders: Sequence[str]) -> list[list[str]]:
    """A line for each of `COSTS`."""
    each = [contest.costs(name) for name in contenders]
    fit = [f"{costs.fit_s:.1f}" if costs else "-" for costs in each]
    score = [f"{costs.score_us:.0f}" if costs else "-" for costs in each]
    return [[name, *values] for name, values in zip(COSTS, (fit, score), strict=True)]


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
