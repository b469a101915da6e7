"""Exposures and interactions for tests, and a second, slow implementation of attribution."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from recommender.exposures.attribution import CLOCK_SKEW_S, WINDOW_S
from recommender.exposures.exposure import Exposure, ShownItem, pack
from recommender.stores.exposure_stream import ExposureEntry
from recommender.stores.protocols import Interaction, LogEntry, UserDeleted

NOW = 1_790_000_000.0


def exposure(
    name: str, user_id: str | None = "u", items: Sequence[str] = ("a", "b"), at: float = NOW, **more
) -> Exposure:
    shown = tuple(ShownItem(item_id, place) for place, item_id in enumerate(items, 1))
    return Exposure(name, user_id, at, shown, **more)


def entries(exposures: Iterable[Exposure], first: int = 1) -> list[ExposureEntry]:
    return [ExposureEntry(offset, pack(each)) for offset, each in enumerate(exposures, first)]


def clicked(
    item_id: str = "a", at: float = NOW + 1, user_id: str = "u", named: str | None = None, event: str | None = "click"
) -> Interaction:
    return Interaction(user_id, item_id, 1.0, at, event, None, named)


def answer(name: str, user_id: str | None = "u", items: Sequence[str] = ("a", "b"), **more) -> bytes:
    shown = [{"item_id": item_id, "score": 1.5, "case": "I"} for item_id in items]
    about = {"user_id": user_id, "strategy": "personalized", "items": shown, "model_version": "1", "degraded": []}
    return msgspec.json.encode({**about, "recommendation_id": name, **more})


def slow_attribution(
    exposures: Sequence[Exposure], log: Sequence[LogEntry], window_s: float = WINDOW_S
) -> dict[int, tuple[str, int | None]]:
    """By offset, exposure and position of each interaction that has one: everything looked through each time."""
    there = {each.recommendation_id: each for each in reversed(exposures)}
    book: dict[int, tuple[str, int | None]] = {}
    for offset, event in log:
        if isinstance(event, UserDeleted):
            there = {name: each for name, each in there.items() if each.user_id != event.user_id}
            continue
        found = there.get(event.recommendation_id)
        if found is None or found.user_id not in (None, event.user_id):
            found = _last_shown(list(there.values()), event, window_s)
        if found is not None:
            places = {item.item_id: item.position for item in reversed(found.items)}
            book[offset] = found.recommendation_id, places.get(event.item_id)
    return book


def _last_shown(exposures: Sequence[Exposure], event: Interaction, window_s: float) -> Exposure | None:
    having = [
        each for each in exposures if each.user_id == event.user_id and event.item_id in [i.item_id for i in each.items]
    ]
    before = [each for each in having if 0 <= event.timestamp - each.at <= window_s]
    after = [each for each in having if 0 < each.at - event.timestamp <= CLOCK_SKEW_S]
    return max(before, key=lambda each: each.at, default=None) or min(after, key=lambda each: each.at, default=None)
