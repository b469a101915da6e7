"""The command that compares our model with others."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightfm_serve.cli.group import as_json, progress_bar, say
from lightfm_serve.cli.schema_options import schema_options, warn
from recommender.deferred_imports import check_installed

if TYPE_CHECKING:
    from recommender.datasets.dataset import Dataset
    from recommender.datasets.schema import Schema
    from recommender.experiments.candidates import Candidate, Ours
    from recommender.experiments.comparison import ComparisonPlan, ComparisonResult
    from recommender.experiments.folds import Fold

SPLITS = ("random", "last", "global", "cold-items", "cold-users")
PEER_NAMES = ("popularity", "ease", "als", "bpr", "itemknn", "slim", "ials")
"""Of `recommender.evaluation.SPLITS` and `recommender.experiments.baselines.PEERS`, which --help need not import."""
_FOUND = click.Path(exists=True, path_type=Path)
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
@click.argument("datasets", metavar="DATASET...", nargs=-1)
@click.option(
    "--train", "trains", multiple=True, type=_FOUND, help="Of a split that is given; with --test; repeatable."
)
@click.option("--test", "tests", multiple=True, type=_FOUND, help="What is to be found: .npz or folder, as --train.")
@click.option("--split", type=click.Choice(SPLITS), default="random", show_default=True, help="What is held out.")
@click.option("--against", callback=_peers, help=f"Others, by commas: {','.join(PEER_NAMES)}.  [default: popularity]")
@click.option("--seeds", type=click.IntRange(1, 100), help=f"Splits.  [default: {SEEDS}; 1 without --against or given]")
@click.option("--trials", type=click.IntRange(1, 1000), default=8, show_default=True, help="Settings each may try.")
@click.option("--holdout", type=click.FloatRange(0, 0.9, min_open=True), default=0.2, show_default=True)
@click.option("--k", "-k", type=click.IntRange(1, 1000), help="Length of the lists.  [default: 10; 20 with --train]")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with plots.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**31), default=0, show_default=True, help="The first of them.")
@schema_options
@as_json
def evaluate(
    datasets: tuple[str, ...],
    trains: tuple[Path, ...],
    tests: tuple[Path, ...],
    split: str,
    against: list[str] | None,
    seeds: int | None,
    trials: int,
    holdout: float,
    k: int | None,
    report: Path | None,
    threads: int,
    seed: int,
    schema: Schema,
    as_json: bool,
) -> None:
    """Judge the default model on held-out interactions of DATASET, next to others.

    The others are tuned on a validation split, ours keeps its defaults and learns its mixture on one of the same
    kind, random or last. Means are over the splits, with
    Student's interval; differences have a paired bootstrap over users. Several data sets are one table.
    With --train and --test a public split is judged as others judge it: scipy's .npz, users by items.
    """
    from recommender.experiments.baselines import PEERS
    from recommender.experiments.candidates import Ours, defaults_for
    from recommender.experiments.comparison import ComparisonPlan
    from recommender.experiments.folds import FIXED, Fold

    _check_sources(datasets, trains, tests, report)
    _check_installed(against or [], report)
    ours = Ours(defaults_for(FIXED if trains else split, threads))
    contenders: list[Candidate] = [ours, *(PEERS[name] for name in against or ["popularity"])]
    plan = ComparisonPlan(split, holdout, range(seed, seed + (seeds or (SEEDS if against else 1))), trials, k or 10)
    given = ComparisonPlan(FIXED, holdout, range(seed, seed + (seeds or 1)), trials, k or 20)
    contests: dict[str, ComparisonResult] = {}
    for name, source in _sources(datasets, trains, tests, schema):
        contests[name], first = _contest(source, contenders, given if isinstance(source, Fold) else plan)
        if report is not None:
            _write(report, contests[name], first, ours, name)
    _say(contests, report, as_json)


def _check_sources(datasets: Sequence[str], trains: Sequence[Path], tests: Sequence[Path], report: Path | None) -> None:
    if len(trains) != len(tests):
        raise click.BadParameter(f"{len(trains)} --train and {len(tests)} --test; give as many of each")
    if not datasets and not trains:
        raise click.UsageError("give a DATASET, or --train and --test")
    if report is not None and len(datasets) + len(trains) > 1:
        raise click.BadParameter("a page shows one data set", param_hint="--report")


def _sources(
    datasets: Sequence[str], trains: Sequence[Path], tests: Sequence[Path], schema: Schema
) -> Iterator[tuple[str, Dataset | Fold]]:
    """Data sets one after the other, each read when it is its turn."""
    from recommender.datasets import open_dataset
    from recommender.experiments.fixed_splits import fixed_split, name_of

    for dataset in dict.fromkeys(datasets):
        content = open_dataset(dataset, schema)
        warn(content.notes)
        yield dataset, content
    for train, test in zip(trains, tests, strict=True):
        yield name_of(train), fixed_split(train, test)


def _contest(
    source: Dataset | Fold, contenders: Sequence[Candidate], plan: ComparisonPlan
) -> tuple[ComparisonResult, Fold]:
    from recommender.experiments.comparison import compare, steps_of

    with progress_bar("evaluating", "fit", steps_of(contenders, plan)) as bar:

        def progress(done: str) -> None:
            bar.set_postfix_str(done, refresh=False)
            bar.update()

        return compare(source, contenders, plan, progress)


def _check_installed(against: Sequence[str], report: Path | None) -> None:
    """Before anything takes time."""
    from recommender.experiments.baselines import PEERS

    for peer in (PEERS[name] for name in against):
        if peer.library is not None:
            check_installed(peer.library, peer.extra)
    for library in ["matplotlib", "jinja2"] if report else []:
        check_installed(library)
    if report is not None and not report.absolute().parent.is_dir():
        raise click.BadParameter(f"there is no folder {report.absolute().parent}", param_hint="--report")


def _write(report: Path, contest: ComparisonResult, first: Any, ours: Ours, dataset: str) -> None:
    # drawn by an extra that not everybody has
    page = importlib.import_module("recommender.experiments.report")
    command = " ".join(["recommender", *sys.argv[1:]])
    report.write_text(page.html(contest, first, ours, dataset, command), encoding="utf-8")


def _say(contests: Mapping[str, ComparisonResult], report: Path | None, as_json: bool) -> None:
    """One data set as ever; of several the table of all first."""
    from recommender.experiments.text_table import summary

    contents = [{**_content(name, contest), "report": report and str(report)} for name, contest in contests.items()]
    if len(contests) == 1:
        (contest,) = contests.values()
        say(contents[0], "\n".join([*_lines(contest), *([f"report: {report}"] if report else [])]), as_json)
        return
    blocks = ["\n".join([f"# {name}", *_lines(contest)]) for name, contest in contests.items()]
    say({"datasets": contents}, "\n\n".join([summary(contests), *blocks]), as_json)


def _content(dataset: str, contest: ComparisonResult) -> dict[str, Any]:
    from recommender.experiments.candidates import OURS
    from recommender.experiments.scoring import ALL

    means = {name: contest.interval(ALL, OURS, name).mean for name in contest.metrics}
    return {"dataset": dataset, "metrics": means, **contest.to_json()}


def _lines(contest: ComparisonResult) -> list[str]:
    from recommender.experiments.text_table import judged_by, table

    return [judged_by(contest), "", table(contest), *(f"Note: {note}" for note in contest.notes)]
