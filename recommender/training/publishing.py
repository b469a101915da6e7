"""Publishing: from a training to the artifact that the registry keeps."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import pandas as pd

from recommender.models.checkpoint import model_to_arrays, model_to_meta
from recommender.storage.archive.segment import Segment
from recommender.storage.registry import Artifact, Registry, VersionMeta
from recommender.storage.registry.version_meta import Mode
from recommender.training.base_version import Begun
from recommender.training.forgetting import Remembered
from recommender.training.full import Trained
from recommender.training.log_consumer import ConsumedLog


class Learned(NamedTuple):
    """How a training ended."""

    version: str
    mode: Mode
    accepted: bool
    reason: str | None


@dataclass(frozen=True)
class TrainingResult:
    """What a training made, before it is published.

    Parameters
    ----------
    trained
        Model, snapshot and verdict.
    segments
        Of the archive, with all that was learned.
    about
        What the training itself says in the manifest.
    purged
        Deleted items of which nothing is to be noted any more.
    kept
        What a full training kept, and which records of the store it has forgotten.
    """

    trained: Trained
    segments: Sequence[Segment]
    about: VersionMeta
    purged: Sequence[str] = ()
    kept: Remembered | None = None


def artifact_of(trained: Trained, meta: VersionMeta) -> Artifact:
    """Artifact of a training; without a snapshot when the weights are unusable."""
    parts = {"train_state": model_to_arrays(trained.model)}
    meta = msgspec.structs.replace(
        meta,
        metrics=dict(trained.metrics),
        judged_on=None if trained.judged is None else msgspec.to_builtins(trained.judged),
        gate=msgspec.to_builtins(trained.verdict),
        stopped_after=trained.epochs,
        model=model_to_meta(trained.model),
        history_choices=None if trained.choices is None else msgspec.to_builtins(trained.choices),
    )
    if trained.snapshot is not None:
        parts["snapshot"] = trained.snapshot.to_arrays()
        meta = msgspec.structs.replace(meta, snapshot=trained.snapshot.to_meta())
    return Artifact(parts, meta)


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


async def publish(registry: Registry, result: TrainingResult, consumed: ConsumedLog, begun: Begun) -> Learned:
    """Publish a result as a new version: ready where the gate accepted it, else rejected.

    Raises
    ------
    StaleTrainingError
        Another trainer has published since this training began.
    """
    verdict = result.trained.verdict
    meta = msgspec.structs.replace(
        result.about,
        segments=tuple(result.segments),
        poison=consumed.poison,
        pinned=begun.pinned,
        gaps=tuple(consumed.gaps),
        training_s=round(time.monotonic() - begun.at, 3),
    )
    version = await asyncio.to_thread(
        registry.publish,
        artifact_of(result.trained, meta),
        parent=begun.base.version if begun.base else None,
        status="ready" if verdict.accepted else "rejected",
        reason=None if verdict.accepted else verdict.reason,
        after=begun.after,
    )
    return Learned(version, meta.mode, verdict.accepted, verdict.reason)
