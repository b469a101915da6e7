"""Tastes: what simulated users like, known because it is made up; it fits any catalogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

OWN_SHARE = 0.5
"""How much of an item is its own, and no feature tells, against 1 of all of its features together."""


class Tastes:
    """Latent tastes of users and items; the same seed gives the same ones, whoever asks, in whatever order.

    A user is a random vector by their id. An item is the mean of the vectors of its features, so that a model can learn
    what a new item is like, and a vector of its own, so that it has to be found out what features do not tell.

    Parameters
    ----------
    features
        By item, as ``GET /v1/items`` has them; of an item that is not there, nothing but its id is known.
    seed
        Of everything that is made up.
    dimensions
        Of the vectors.
    """

    def __init__(
        self, features: Mapping[str, Mapping[str, Any] | None] | None = None, seed: int = 0, dimensions: int = 6
    ) -> None:
        self._features = dict(features or {})
        self._seed, self._dimensions = seed, dimensions
        self._known: dict[tuple[str, str], NDArray[np.float64]] = {}

    def add_item(self, item_id: str, features: Mapping[str, Any] | None) -> None:
        """Let an item have these features."""
        self._features[item_id] = features
        self._known.pop(("item", item_id), None)

    def affinities(self, user_id: str, item_ids: Sequence[str]) -> NDArray[np.float64]:
        """How much a user likes items, about standard normal over users, of shape (n_items,)."""
        if not item_ids:
            return np.zeros(0)
        items = np.stack([self._item(item_id) for item_id in item_ids])
        return items @ self._vector("user", user_id)

    def _item(self, item_id: str) -> NDArray[np.float64]:
        key = ("item", item_id)
        if key not in self._known:
            tokens = _tokens(self._features.get(item_id) or {})
            own = self._vector("own", item_id) * OWN_SHARE
            shared = np.mean([self._vector("feature", token) for token in tokens], axis=0) if tokens else 0.0
            made = own + shared
            self._known[key] = made / np.linalg.norm(made)
        return self._known[key]

    def _vector(self, kind: str, name: str) -> NDArray[np.float64]:
        key = (kind, name)
        if key not in self._known:
            digest = blake2b(f"{self._seed}/{kind}/{name}".encode(), digest_size=8).digest()
            self._known[key] = np.random.default_rng(int.from_bytes(digest)).standard_normal(self._dimensions)
        return self._known[key]


def _tokens(features: Mapping[str, Any]) -> list[str]:
    """Categories of an item; what is a number says nothing of taste."""
    tokens: list[str] = []
    for name, value in features.items():
        members = value if isinstance(value, list) else [value]
        tokens += [f"{name}:{member}" for member in members if isinstance(member, str)]
    return tokens
