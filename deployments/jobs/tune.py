"""Hyperparameter search with Ray Tune on all cores."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler
from tqdm import tqdm

from recommender.errors import TrainingError
from recommender.experiments.candidates import Settings
from recommender.experiments.folds import Fold
from recommender.experiments.hyperparameter_search import RUNGS, Notebook, Trial, defaults, judged_at_rungs

VALUE = "ndcg"
TIME = "training_iteration"


def search(
    fold: Fold, notebook: Notebook, points: Sequence[Settings], seconds: float, k: int, out: Path, bar: "tqdm[Any]"
) -> None:
    """Try settings, each on a core of its own, until the time is over.

    Parameters
    ----------
    fold
        What is learned from and judged by; all trials read one copy in the object store.
    notebook
        Where each trial that ended is written.
    points
        Settings, in the order in which they are tried.
    seconds
        After which whatever runs is stopped.
    k
        Length of the judged lists.
    out
        Ray's own files go into its folder ``ray``.
    bar
        Progress bar, moved by one for each trial that ended.
    """
    if not points:
        return
    # the search shows its own progress
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    started = not ray.is_initialized()
    if started:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        results = tune.Tuner(
            # one copy in the object store, however many trials read it
            tune.with_resources(tune.with_parameters(_trial, fold=fold, k=k), {"cpu": 1}),
            param_space={"settings": tune.grid_search(list(points))},
            tune_config=tune.TuneConfig(
                metric=VALUE, mode="max", scheduler=_Halving(), time_budget_s=seconds, reuse_actors=True
            ),
            run_config=tune.RunConfig(
                storage_path=str(out.absolute() / "ray"), verbose=0, callbacks=[_Writer(notebook, bar)]
            ),
        ).fit()
        if results.num_errors and notebook.best() is None:
            raise TrainingError(f"{results.num_errors} trials failed, as in: {str(results.errors[0])[-500:]}")
    finally:
        if started:
            ray.shutdown()


def _trial(config: dict[str, Any], fold: Fold, k: int) -> None:
    for value in judged_at_rungs(fold, config["settings"], k):
        tune.report({VALUE: value})


class _Halving(AsyncHyperBandScheduler):
    """Goes on with the better third after the first rung, and always with the defaults."""

    def __init__(self) -> None:
        super().__init__(time_attr=TIME, max_t=len(RUNGS), grace_period=1, reduction_factor=3)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        decision: str = super().on_trial_result(tune_controller, trial, result)
        is_last = result[TIME] >= len(RUNGS)
        return self.CONTINUE if trial.config["settings"] == defaults() and not is_last else decision


class _Writer(tune.Callback):
    """Writes down each trial that ended, and moves the bar."""

    def __init__(self, notebook: Notebook, bar: "tqdm[Any]") -> None:
        self.notebook = notebook
        self.bar = bar

    def __getstate__(self) -> dict[str, Any]:
        """Without the bar, which holds the terminal: Ray pickles callbacks, and never uses the copy."""
        return {"notebook": self.notebook}

    def on_trial_complete(self, *_: Any, trial: Any, **_rest: Any) -> None:
        result = trial.last_result
        # what the end of time cut off before its first rung has no value
        if VALUE in result:
            self.notebook.add(Trial(dict(trial.config["settings"]), float(result[VALUE]), int(result[TIME])))
            best = self.notebook.best()
            self.bar.set_postfix_str(f"best {best.ndcg:.4f}" if best else "", refresh=False)
        self.bar.update()

    def on_experiment_end(self, *_: Any, **_rest: Any) -> None:
        self.bar.close()
