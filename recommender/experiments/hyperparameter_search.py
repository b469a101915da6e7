"""Hyperparameter search of our model: the search space, the objective of a trial, and the result."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from recommender.errors import InvalidDataError, InvalidRequestError, TrainingError
from recommender.evaluation import evaluate
from recommender.experiments.candidates import Ours, Settings
from recommender.experiments.folds import Fold
from recommender.experiments.tuning import trials_of
from recommender.training.model_settings import ModelSettings

SPACE: Mapping[str, Sequence[Any]] = {
    **Ours.space,
    "item_alpha": (ModelSettings.item_alpha, 1e-6, 1e-5),
    "user_alpha": (ModelSettings.user_alpha, 1e-6, 1e-5),
}
"""Values that may be tried; the first of each is the default."""

RUNGS = (0.25, 1.0)
"""Shares of the epochs after which a trial is judged, the last being all of them."""

EXPLODED = -1.0
"""Value of settings with which training explodes: below any ndcg."""


@dataclass(frozen=True)
class Trial:
    """One trial of a search: its settings and result.

    Parameters
    ----------
    settings
        What was set.
    ndcg
        At the last rung that was reached.
    rungs
        How many were reached; one that was stopped early has fewer than `RUNGS`.
    """

    settings: dict[str, Any]
    ndcg: float
    rungs: int

    @property
    def is_whole(self) -> bool:
        """Whether it was trained for all of its epochs."""
        return self.rungs == len(RUNGS)


def judged_at_rungs(fold: Fold, settings: Settings, k: int) -> Iterator[float]:
    """ndcg@k after each of `RUNGS`.

    Each rung is trained from zero, by the path that serves: a trial that is stopped at the first costs a
    quarter, one that is not costs a quarter more.
    """
    for share in RUNGS:
        epochs = max(1, round(share * settings.get("epochs", ModelSettings.epochs)))
        try:
            score = Ours().fit(fold, {**settings, "epochs": epochs})
        except TrainingError:
            yield EXPLODED
            continue
        yield evaluate(score, fold.train, fold.test, k=k).means[f"ndcg@{k}"]


class Notebook:
    """Trials in a folder, so that an interrupted search resumes.

    Parameters
    ----------
    folder
        Made where it is not there.
    about
        What the search is about: data set, split, seed. A folder of another search is refused.

    Raises
    ------
    InvalidRequestError
        The folder is of another search.
    InvalidDataError
        What is in it cannot be read.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "trials.jsonl"
        described = folder / "search.json"
        if described.exists():
            before = _read(described, described.read_bytes())
            if before != dict(about):
                raise InvalidRequestError(f"{folder} holds another search, {before}; give another --out")
        else:
            described.write_text(json.dumps(dict(about)) + "\n", encoding="utf-8")
        self.trials = list(self._stored())

    def add(self, trial: Trial) -> None:
        """Write down a trial."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(trial)) + "\n")
        self.trials.append(trial)

    def open_settings(self, n: int, seed: int) -> Sequence[Settings]:
        """Settings that were not tried yet, the defaults first where they are among these."""
        tried = [trial.settings for trial in self.trials]
        return [dict(each) for each in trials_of(SPACE, n + len(tried), seed) if dict(each) not in tried][:n]

    def best(self) -> Trial | None:
        """Best of those that were trained whole, the first of equals; None where none was."""
        return max((trial for trial in self.trials if trial.is_whole), key=lambda trial: trial.ndcg, default=None)

    def default(self) -> Trial | None:
        """The defaults, where they were tried."""
        return next((trial for trial in self.trials if trial.settings == defaults()), None)

    def _stored(self) -> Iterator[Trial]:
        if not self.path.exists():
            return
        lines = self.path.read_bytes().splitlines(keepends=True)
        for line in lines:
            if line.endswith(b"\n"):  # a last line without an end was being written when the search was killed
                yield Trial(**_read(self.path, line))
        if lines and not lines[-1].endswith(b"\n"):
            self.path.write_bytes(b"".join(lines[:-1]))


def defaults() -> dict[str, Any]:
    """First value of each setting."""
    return {name: values[0] for name, values in SPACE.items()}


def model_block(settings: Settings) -> str:
    """YAML of the ``model:`` block of serve_config.yaml, under ``args:``."""
    return "\n".join(["model:", *(f"  {name}: {_plain(value)}" for name, value in settings.items())]) + "\n"


def _plain(value: Any) -> str:
    # 1e-06 is text to YAML 1.1: a number has a point there
    return f"{value:.10f}".rstrip("0") if isinstance(value, float) and 0 < abs(value) < 1e-3 else json.dumps(value)


def _read(path: Path, line: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise InvalidDataError(f"{path} is not what a search wrote ({error}); give another --out") from error
