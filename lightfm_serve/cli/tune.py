"""The command ``recommender tune``."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lightfm_serve.cli.evaluate import SPLITS
from lightfm_serve.cli.group import as_json, progress_bar, say, tell
from lightfm_serve.cli.schema_options import schema_options, warn
from recommender.deferred_imports import check_installed
from recommender.errors import TrainingError

if TYPE_CHECKING:
    from recommender.datasets.schema import Schema


@click.command()
@click.argument("dataset")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("tuning"), show_default=True)
@click.option("--minutes", type=click.FloatRange(0, min_open=True), default=10.0, show_default=True)
@click.option("--trials", type=click.IntRange(min=1), default=200, show_default=True, help="At most so many more.")
@click.option("--split", type=click.Choice(SPLITS), default="random", show_default=True)
@click.option("--holdout", type=click.FloatRange(0, 0.9, min_open=True), default=0.2, show_default=True)
@click.option("--k", "-k", type=click.IntRange(1, 1000), default=10, show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**31), default=0, show_default=True)
@schema_options
@as_json
def tune(
    dataset: str,
    out: Path,
    minutes: float,
    trials: int,
    split: str,
    holdout: float,
    k: int,
    seed: int,
    schema: Schema,
    as_json: bool,
) -> None:
    """Search the settings that do best on held-out interactions of DATASET.

    The defaults are always tried, and tried first. Prints the model block for serve_config.yaml and writes it to
    model.yaml in --out; the same folder given again goes on with the search.
    """
    from recommender.datasets import open_dataset
    from recommender.experiments.folds import fold_of
    from recommender.experiments.hyperparameter_search import Notebook, model_block

    for library in ("tensorboardX", "fsspec"):  # what ray[tune] brings beyond ray[serve]
        check_installed(library, extra="tune")
    read = open_dataset(dataset, schema)
    warn(read.notes)
    fold = fold_of(read, split, holdout, seed)
    about = {"dataset": dataset, "split": split, "holdout": holdout, "k": k, "seed": seed}
    notebook = Notebook(out, about)
    tell(f"{len(notebook.trials)} trials are known from before" if notebook.trials else "starting Ray")
    points = notebook.open_settings(trials, seed)
    # Ray takes a second to import, which --help need not wait for
    importlib.import_module("deployments.jobs.tune").search(
        fold, notebook, points, minutes * 60, k, out, progress_bar("tuning", "trial", len(points))
    )
    best, default = notebook.best(), notebook.default()
    if best is None or default is None or not default.is_whole:
        raise TrainingError(f"not even the defaults were tried in {minutes:g} minutes; give more --minutes")
    block = model_block(best.settings)
    (out / "model.yaml").write_text(block, encoding="utf-8")
    content = {**about, "trials": len(notebook.trials), f"ndcg@{k}": best.ndcg, "default": default.ndcg}
    shown = f"# ndcg@{k} {best.ndcg:.4f}, the defaults {default.ndcg:.4f}; {len(notebook.trials)} trials"
    say({**content, "model": best.settings, "out": str(out)}, f"{shown}\n{block}".rstrip(), as_json)
