"""The command that compares our model with others."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightfm_serve.cli.group import as_json, progress_bar, say
from lightfm_serve.cli.schema_options import schema_options, warn
from recommender.deferred_imports import check_installed

if TYPE_CHECKING:
    from recommender.datasets.schema import Schema
    from recommender.experiments.candidates import Candidate, Ours
    from recommender.experiments.comparison import Contest

SPLITS = ("random", "last", "global", "cold-items", "cold-users")
PEER_NAMES = ("popularity", "ease", "als", "bpr", "itemknn")
"""Of `recommender.evaluation.SPLITS` and `recommender.experiments.baselines.PEERS`, which --help need not import."""
SEEDS = 5
"""Where others are named; without any, one seed gives a quick answer."""


def _peers(_ctx: click.Context, _parameter: click.Parameter, given: str | None) -> list[str] | None:
    if given is None:
        return None
    names = [name for each in given.split(",") if (name := each.strip().lower()) != ""]
    unknown = [name for name in names if name not in PEER_NAMES]
    if unknown or not names:
        raise click.BadParameter(f"there is no {', '.join(unknown) or 'name'}; choose from {', '.join(PEER_NAMES)}")
    return list(dict.fromkeys(names))


@click.command()
@click.argument("dataset")
@click.option("--split", type=click.Choice(SPLITS), default="random", show_default=True, help="What is held out.")
@click.option("--against", callback=_peers, help=f"Others, by commas: {','.join(PEER_NAMES)}.  [default: popularity]")
@click.option("--seeds", type=click.IntRange(1, 100), help=f"Splits.  [default: {SEEDS}; 1 without --against]")
@click.option("--trials", type=click.IntRange(1, 1000), default=8, show_default=True, help="Settings each may try.")
@click.option("--holdout", type=click.FloatRange(0, 0.9, min_open=True), default=0.2, show_default=True)
@click.option("--k", "-k", type=click.IntRange(1, 1000), default=10, show_default=True, help="Length of the lists.")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with plots.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**31), default=0, show_default=True, help="The first of them.")
@schema_options
@as_json
def evaluate(
    dataset: str,
    split: str,
    against: list[str] | None,
    seeds: int | None,
    trials: int,
    holdout: float,
    k: int,
    report: Path | None,
    threads: int,
    seed: int,
    schema: Schema,
    as_json: bool,
) -> None:
    """Judge the default model on held-out interactions of DATASET, next to others.

    The others are tuned on a validation split, ours keeps its defaults. Means are over the splits, with
    Student's interval; differences have a paired bootstrap over users.
    """
    from recommender.datasets import open_dataset
    from recommender.experiments.baselines import PEERS
    from recommender.experiments.candidates import Ours
    from recommender.experiments.comparison import Plan, compare, steps_of
    from recommender.training.full import ModelSettings

    _check_installed(against or [], report)
    n_seeds = seeds or (SEEDS if against else 1)
    plan = Plan(split, holdout, range(seed, seed + n_seeds), trials, k)
    ours = Ours(ModelSettings(num_threads=threads))
    contenders: list[Candidate] = [ours, *(PEERS[name] for name in against or ["popularity"])]
    content = open_dataset(dataset, schema)
    warn(content.notes)
    with progress_bar("evaluating", "fit", steps_of(contenders, plan)) as bar:

        def progress(done: str) -> None:
            bar.set_postfix_str(done, refresh=False)
            bar.update()

        contest, first = compare(content, contenders, plan, progress)
    if report is not None:
        _write(report, contest, first, ours, dataset)
    _say(contest, dataset, report, as_json)


def _check_installed(against: Sequence[str], report: Path | None) -> None:
    """Before anything takes time."""
    from recommender.experiments.baselines import PEERS

    libraries = [PEERS[name].library for name in against]
    for library in [*libraries, *(["matplotlib", "jinja2"] if report else [])]:
        if library is not None:
            check_installed(library)
    if report is not None and not report.absolute().parent.is_dir():
        raise click.BadParameter(f"there is no folder {report.absolute().parent}", param_hint="--report")


def _write(report: Path, contest: Contest, first: Any, ours: Ours, dataset: str) -> None:
    # drawn by an extra that not everybody has
    page = importlib.import_module("recommender.experiments.report")
    command = " ".join(["recommender", *sys.argv[1:]])
    report.write_text(page.html(contest, first, ours, dataset, command), encoding="utf-8")


def _say(contest: Contest, dataset: str, report: Path | None, as_json: bool) -> None:
    from recommender.experiments.candidates import OURS
    from recommender.experiments.scoring import ALL
    from recommender.experiments.text_table import judged_by, table

    means = {name: contest.interval(ALL, OURS, name).mean for name in contest.metrics}
    content = {"dataset": dataset, "metrics": means, **contest.to_json(), "report": str(report) if report else None}
    lines = [
        judged_by(contest),
        "",
        table(contest),
        *(f"Note: {note}" for note in contest.notes),
        *([f"report: {report}"] if report else []),
    ]
    say(content, "\n".join(lines), as_json)
