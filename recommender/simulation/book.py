"""Simulation book: what simulated users were shown and clicked, written down by themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass
class SimulationBook:
    """What has happened, to compare with what the service says."""

    visits: int = 0
    clicks: int = 0
    shown: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Items of each answer, by its ``recommendation_id``."""
    taken: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Clicks by ``recommendation_id`` and item."""
    clicked_items: Counter[str] = field(default_factory=Counter)

    def add(self, recommendation_id: str, items: Sequence[str], clicked: Sequence[str]) -> None:
        """Write down a visit."""
        self.visits += 1
        self.clicks += len(clicked)
        self.shown[recommendation_id] = tuple(items)
        self.taken.update((recommendation_id, item_id) for item_id in clicked)
        self.clicked_items.update(clicked)

    def discoverable(self, at_least: int) -> int:
        """Items with at least so many clicks."""
        return sum(clicks >= at_least for clicks in self.clicked_items.values())

    def differences(self, exposures: Sequence[Mapping[str, object]]) -> list[str]:
        """What a service's exposures, as ``GET /v1/exposures`` has them, and this book say differently; none is right.

        Exposures that this book does not know are others'.
        """
        found: dict[str, tuple[tuple[str, ...], dict[str, int]]] = {}
        for each in exposures:
            items: Sequence[Mapping[str, object]] = each["items"]  # type: ignore[assignment]
            taken = {str(i["item_id"]): sum((i.get("interactions") or {}).values()) for i in items}  # type: ignore[attr-defined]
            found[str(each["recommendation_id"])] = tuple(taken), {name: n for name, n in taken.items() if n}
        return [
            f"{name}: {found.get(name)} is not {own}"
            for name, items in self.shown.items()
            if found.get(name) != (own := (items, {i: self.taken[name, i] for i in items if self.taken[name, i]}))
        ]
