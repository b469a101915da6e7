"""What travels between deployments: msgpack of these."""

from __future__ import annotations

import msgspec

from recommender.queries import UserState


class Fetched(msgspec.Struct, frozen=True, array_like=True):
    """What the store knew, for a micro-batch."""

    states: list[UserState]
    items_sequence: int
    """Newest change of the catalogue; a predictor that is behind catches up before it answers."""
    degraded: list[str]
