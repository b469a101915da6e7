"""Version metadata: what the manifest says of a version beside its arrays."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from recommender.storage.archive.segment import Segment
from recommender.storage.registry.data_health import DataHealth

Mode = Literal["full", "incremental"]


class VersionMeta(msgspec.Struct, frozen=True):
    """Metadata of a version; stands in its manifest, so that a listing shows it without reading an array.

    Every field has a default, which is what holds for a version of a release that did not write it.
    """

    log_offset: int = 0
    """Of the newest interaction learned."""
    items_sequence: int = 0
    """Of the newest change of the catalogue learned."""
    items_purged: int = 0
    """Change of the catalogue that the last full training knew: items deleted up to there leave with the next one."""
    mode: Mode = "full"
    full_at: float | None = None
    """When the last full training ended, whatever came of it, in seconds since the epoch; None: not known."""
    interactions_since_full: int = 0
    segments: tuple[Segment, ...] = ()
    """Of the archive, with all that was learned."""
    trained_on: dict[str, int] = {}
    metrics: dict[str, float] = {}
    judged_on: dict[str, Any] | None = None
    """What the metrics rest on: `JudgedOn`; None where nothing was held out, or an older release wrote it."""
    gate: dict[str, Any] = {}
    """Verdict of the gate."""
    history_choices: dict[str, Any] | None = None
    """What a hold-out taught of the history parts: `HistoryChoices`; None where there are no such parts."""
    stopped_after: int | None = None
    """Epochs after which early stopping ended LightFM's part; None where it did not."""
    data: DataHealth | None = None
    """What the training saw of the data, and what changed; None: an older release wrote it."""
    newest_timestamp: float | None = None
    """Of the newest interaction learned, in seconds since the epoch; None: not known."""
    poison: int = 0
    """Log entries that this training could not read."""
    pinned: str | None = None
    """Version that was pinned when this training began, and that it therefore builds on."""
    gaps: tuple[tuple[int, int], ...] = ()
    """First and last offset of log entries that this training missed."""
    training_s: float | None = None
    snapshot: dict[str, Any] = {}
    """Of the part ``snapshot``, for `Snapshot.from_arrays`."""
    model: dict[str, Any] = {}
    """Of the part ``train_state``, for `model_from_arrays`."""
