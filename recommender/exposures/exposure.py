"""Exposure: one answer that was shown, with who saw it, where, which items at which positions, by which version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from recommender.errors import StoreError

FORMAT = b"\x01"
"""Of this release; a later one reads it too."""


class ShownItem(msgspec.Struct, frozen=True, array_like=True):
    """An item of an exposure; positions count from 1."""

    item_id: str
    position: int
    propensity: float | None = None
    """Probability with which it was drawn for this position; None where nothing was drawn."""


class Exposure(msgspec.Struct, frozen=True, array_like=True):
    """One answer that was shown.

    Packed it is a format byte and a msgpack array, about 30 bytes an item.
    """

    recommendation_id: str
    user_id: str | None
    at: float
    """When it was shown, in seconds since the epoch."""
    items: tuple[ShownItem, ...]
    model_version: str | None = None
    placement: str | None = None
    experiment: str | None = None
    variant: str | None = None
    degraded: bool = False
    """Whether a part could not be asked."""
    latency_s: float | None = None
    """Seconds that the answer took within the service; None where that is not known."""
    session_id: str | None = None

    @property
    def unit(self) -> str | None:
        """Who is counted as one: the user, else the session; None for an exposure of nobody."""
        return self.user_id if self.user_id is not None else self.session_id


class _AnsweredItem(msgspec.Struct):
    item_id: str
    propensity: float | None = None


class _AnsweredExperiment(msgspec.Struct):
    name: str
    variant: str


class _Answer(msgspec.Struct):
    user_id: str | None
    strategy: str
    items: list[_AnsweredItem]
    model_version: str
    recommendation_id: str
    degraded: list[str] = []
    placement: str | None = None
    experiment: _AnsweredExperiment | None = None
    session_id: str | None = None


_answer = msgspec.json.Decoder(_Answer)
_packed = msgspec.msgpack.Decoder(Exposure)
_encode = msgspec.msgpack.Encoder().encode


def exposure_of(answer: bytes, at: float, latency_s: float | None = None) -> Exposure | None:
    """Exposure that a recommendation's JSON is; None where nothing was shown because the request forbids a fallback.

    Parameters
    ----------
    answer
        JSON of `recommender.schema.Recommendations`.
    at
        When it went out, in seconds since the epoch.
    latency_s
        Seconds that it took.
    """
    found = _answer.decode(answer)
    if found.strategy == "none":
        return None
    experiment, variant = (found.experiment.name, found.experiment.variant) if found.experiment else (None, None)
    return Exposure(
        found.recommendation_id,
        found.user_id,
        at,
        tuple(ShownItem(each.item_id, place, each.propensity) for place, each in enumerate(found.items, 1)),
        found.model_version,
        found.placement,
        experiment,
        variant,
        bool(found.degraded),
        latency_s,
        found.session_id,
    )


def pack(exposure: Exposure) -> bytes:
    """Bytes that `unpack` reads."""
    return FORMAT + _encode(exposure)


def unpack(packed: bytes) -> Exposure:
    """Exposure of packed bytes.

    Raises
    ------
    StoreError
        They are none.
    """
    try:
        if packed[:1] == FORMAT:
            return _packed.decode(memoryview(packed)[1:])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StoreError(f"an exposure cannot be read: {error}") from error
    raise StoreError(f"an exposure has format {packed[:1]!r}, this release reads {FORMAT!r}")


def as_json(exposure: Exposure, taken: Mapping[int, Mapping[str, int]] | None = None) -> dict[str, Any]:
    """Exposure as the HTTP contract words it.

    Parameters
    ----------
    exposure
        Which.
    taken
        By position, how many interactions of each event are attributed to the item there.
    """
    return {
        "recommendation_id": exposure.recommendation_id,
        "user_id": exposure.user_id,
        "placement": exposure.placement,
        "model_version": exposure.model_version,
        "experiment": exposure.experiment,
        "variant": exposure.variant,
        "at": exposure.at,
        "items": [_item_as_json(item, (taken or {}).get(item.position)) for item in exposure.items],
    }


def _item_as_json(item: ShownItem, taken: Mapping[str, int] | None) -> dict[str, Any]:
    shown: dict[str, Any] = {"item_id": item.item_id, "position": item.position}
    if item.propensity is not None:
        shown["propensity"] = item.propensity
    if taken:
        shown["interactions"] = dict(taken)
    return shown
