"""HTML page of the report."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from recommender.experiments import breakdowns
from recommender.experiments.candidates import OURS, Candidate
from recommender.experiments.comparison import ComparisonResult
from recommender.experiments.folds import Fold
from recommender.experiments.report import plots
from recommender.experiments.scoring import Judged
from recommender.experiments.text_table import difference, mean

LIBRARIES = ("lightfm-serve", "lightfm-next", "implicit", "numpy", "scipy")


def html(contest: ComparisonResult, fold: Fold, ours: Candidate, dataset: str, command: str) -> str:
    """Write the page: HTML with its pictures inside, and no address of anything outside.

    Parameters
    ----------
    contest
        What came out.
    fold
        Of the first seed, for the closer looks; what these need of ours is fitted once more.
    ours
        The contender of that name.
    dataset, command
        As they were given.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((files(__package__) / "page.html").read_text(encoding="utf-8"))
    return template.render(
        dataset=dataset,
        command=command,
        plan=contest.plan,
        fold=fold,
        notes=contest.notes,
        settings=contest.settings,
        summary=_summary(contest),
        tables=_tables(contest),
        figures=_figures(contest, fold, ours),
        machine=_machine(),
    )


def _summary(contest: ComparisonResult) -> list[str]:
    """Whether ours is ahead of each other, in a sentence."""
    metric = f"ndcg@{contest.plan.k}"
    candidates, by_name = next(iter(contest.results.items()))
    sentences = []
    for name in by_name:
        if name == OURS:
            continue
        apart = contest.difference(candidates, name, metric)
        where = "ahead of" if apart.low > 0 else "behind" if apart.high < 0 else "not clearly apart from"
        sentences.append(f"Ours is {where} {name} in {metric}: {difference(apart)}.")
    return sentences


def _tables(contest: ComparisonResult) -> list[dict[str, Any]]:
    return [
        {
            "candidates": candidates,
            "names": list(by_name),
            "rows": [_row(contest, candidates, metric, list(by_name)) for metric in contest.metrics],
            "plot": plots.intervals(
                _bounds(contest, candidates, list(by_name)), f"ndcg@{contest.plan.k}, {candidates}"
            ),
        }
        for candidates, by_name in contest.results.items()
    ]


def _row(contest: ComparisonResult, candidates: str, metric: str, names: list[str]) -> dict[str, Any]:
    values = {name: contest.interval(candidates, name, metric) for name in names}
    # the last two are properties of the lists: more is not better
    judged = metric not in ("novelty", "popularity_bias")
    best = max((each.mean for each in values.values()), default=0.0) if judged else None
    cells = [
        {
            "mean": mean(each),
            "best": best is not None and each.mean == best,
            "apart": ""
            if name == OURS or metric == "coverage"
            else difference(contest.difference(candidates, name, metric)),
        }
        for name, each in values.items()
    ]
    return {"metric": metric, "cells": cells}


def _bounds(contest: ComparisonResult, candidates: str, names: list[str]) -> dict[str, tuple[float, float, float]]:
    found = {name: contest.interval(candidates, name, f"ndcg@{contest.plan.k}") for name in names}
    return {
        name: (each.mean, each.low if each.is_known else each.mean, each.high if each.is_known else each.mean)
        for name, each in found.items()
    }


def _figures(contest: ComparisonResult, fold: Fold, ours: Candidate) -> list[dict[str, str]]:
    k, metric = contest.plan.k, f"ndcg@{contest.plan.k}"
    first: dict[str, Judged] = {name: each[0] for name, each in next(iter(contest.results.values())).items()}
    activity = breakdowns.of_all(lambda judged: breakdowns.by_activity(fold, judged, metric), first)
    popularity = breakdowns.of_all(lambda judged: breakdowns.by_popularity(fold, judged), first)
    case = breakdowns.of_all(lambda judged: breakdowns.by_case(fold, judged), first)
    score = ours.fit(fold, {})
    calibrated = {OURS: breakdowns.calibration(fold, score, first[OURS])}
    learned = breakdowns.learning_curve(fold, ours, k, first[OURS].means[metric])
    return [
        _figure(
            "By user activity",
            "Users by the number of interactions that were learned from, in groups of about equal size.",
            plots.lines(activity, "interactions of the user", metric),
        ),
        _figure(
            "By item popularity",
            "Of all pairs to find, the share that was. Head: the most popular fifth of the items; middle: the next "
            "three tenths; tail: the rest; cold: nothing was learned of them.",
            plots.bars(popularity, "popularity of the item", f"recall@{k}"),
        ),
        _figure(
            "By case",
            "The cases I to XVI of the interface: what is known of user and item. Those without pairs to find are "
            "left out.",
            plots.bars(case, "case", f"recall@{k}"),
        ),
        _figure(
            "Score calibration",
            "All items by our score, in tenths of each user's; a score that says something rises to the right.",
            plots.bars(calibrated, "quantile of the score in %", "share to find"),
        ),
        _figure(
            "Learning curve",
            "Ours, fitted to a random share of the interactions and asked for the same pairs.",
            plots.curve(learned, "share of the training interactions", metric),
        ),
    ]


def _figure(title: str, text: str, svg: str) -> dict[str, str]:
    return {"title": title, "text": text, "svg": svg}


def _machine() -> dict[str, str]:
    processor = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
    versions = {name: found for name in LIBRARIES if (found := _version(name))}
    return {"machine": processor, "Python": platform.python_version(), **versions}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except ModuleNotFoundError:
        return None
