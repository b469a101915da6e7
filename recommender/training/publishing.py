"""Publishing: from a training to the artifact that the registry keeps."""

from __future__ import annotations

import math
import time

import msgspec
import pandas as pd

from recommender.models.checkpoint import model_to_arrays, model_to_meta
from recommender.storage.registry import Artifact, VersionMeta
from recommender.training.full import Trained
from recommender.training.history_choices import HistoryChoices


def artifact_of(trained: Trained, meta: VersionMeta) -> Artifact:
    """Artifact of a training; without a snapshot when the weights are unusable."""
    parts = {"train_state": model_to_arrays(trained.model)}
    meta = msgspec.structs.replace(
        meta,
        metrics=dict(trained.metrics),
        judged_on=None if trained.judged is None else msgspec.to_builtins(trained.judged),
        gate=msgspec.to_builtins(trained.verdict),
        model=model_to_meta(trained.model),
        history_choices=None if trained.choices is None else msgspec.to_builtins(trained.choices),
    )
    if trained.snapshot is not None:
        parts["snapshot"] = trained.snapshot.to_arrays()
        meta = msgspec.structs.replace(meta, snapshot=trained.snapshot.to_meta())
    return Artifact(parts, meta)


def choices_of(meta: VersionMeta) -> HistoryChoices | None:
    """Choices of the history parts that a version was trained with."""
    return None if meta.history_choices is None else msgspec.convert(meta.history_choices, HistoryChoices)


def newest_timestamp(interactions: pd.DataFrame, before: float | None = None) -> float | None:
    """Newest timestamp of interactions and of what was learned before, none of them later than now.

    A client whose clock is ahead would else hide for years that nothing new is learned.

    Parameters
    ----------
    interactions
        With ``timestamp``, in seconds since the epoch.
    before
        Newest of those learned before; None where none is known.
    """
    newest = float(interactions["timestamp"].max())
    known = [each for each in (newest, before) if each is not None and not math.isnan(each)]
    return min(max(known), time.time()) if known else None
