"""Worlds with a known answer, and slow second implementations."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from recommender.cases import NUMERALS
from recommender.catalogue import Catalogue
from recommender.features import FeatureSpace
from recommender.frame import SparseFrame
from recommender.model import LFMRecommender
from recommender.recommending import Recommender
from recommender.snapshot import Snapshot
from recommender.snapshot_builder import CatalogueEntry, build_snapshot

USERS = [f"u{n}" for n in range(12)]
ITEMS = [f"i{n}" for n in range(10)]


def user_features(user_id: str) -> dict:
    number = int(user_id[1:])
    return {"group": f"g{number % 2}", "age": 20 + number}


def item_features(item_id: str) -> dict:
    number = int(item_id[1:])
    return {"group": f"g{number % 2}", "tags": [f"t{number % 3}", "all"]}


def checkerboard(seed: int = 0) -> tuple[list[str], list[str]]:
    """Pairs of users and items of the same parity, most of them."""
    chance = np.random.default_rng(seed)
    pairs = [(u, i) for u in USERS for i in ITEMS if (int(u[1:]) + int(i[1:])) % 2 == 0 and chance.random() < 0.8]
    return [user for user, _ in pairs], [item for _, item in pairs]


@dataclass
class World:
    """A trained model, its spaces and frames, and a recommender over it."""

    model: LFMRecommender
    user_space: FeatureSpace
    item_space: FeatureSpace
    user_frame: SparseFrame
    item_frame: SparseFrame
    snapshot: Snapshot

    @property
    def recommender(self) -> Recommender:
        return Recommender(Catalogue(self.snapshot))

    def rows(self, side: str, an_id: str, features: dict | None) -> SparseFrame | None:
        """Frame of one row, as `predict_online` takes it."""
        if features is None:
            return None
        space = self.user_space if side == "user" else self.item_space
        return SparseFrame([an_id], space.names, space.encode_many([features]))


def make_world(indicators="both", seed: int = 0, normalise: bool = True, epochs: int = 10, cold: int = 3) -> World:
    users, items = checkerboard(seed)
    interactions = SparseFrame.from_interactions(users, items)
    user_space, user_frame = _encoded(list(interactions.rows), user_features, normalise)
    item_space, item_frame = _encoded(list(interactions.columns), item_features, normalise)
    model = LFMRecommender(indicators, no_components=6, loss="warp", random_state=seed, learning_rate=0.1)
    model.fit(interactions, user_frame, item_frame, epochs=epochs)
    log = pd.DataFrame({"user_id": users, "item_id": items, "timestamp": np.arange(len(users), dtype=float)})
    listed = [*ITEMS, *(f"i{100 + n}" for n in range(cold))]
    catalogue = [CatalogueEntry(item_id, item_features(item_id), f"Title {item_id}") for item_id in listed]
    meta = {"version": "00000001", "log_offset": 0, "items_sequence": 0}
    snapshot = build_snapshot(model, user_space, item_space, log, catalogue, user_features=user_frame, meta=meta)
    return World(model, user_space, item_space, user_frame, item_frame, snapshot)


def _encoded(ids, features, normalise):
    records = [features(each) for each in ids]
    space = FeatureSpace.empty(normalise=normalise).extended(records)
    return space, SparseFrame(ids, space.names, space.encode_many(records))


def slow_score(model: LFMRecommender, user_id, user_row, item_id, item_row) -> tuple[float | None, str]:
    """Score and case of one pair by adding up the rows that exist; None where the model alone has no answer."""
    user, bias, user_known, user_has = _slow_side(model, "user", model.users, user_id, user_row)
    item, item_bias, item_known, item_has = _slow_side(model, "item", model.items, item_id, item_row)
    row = (0 if user_known else 1) if user_has else (2 if user_known else 3)
    block = (0 if item_known else 1) if item_has else (2 if item_known else 3)
    score = None if row == 3 or block == 3 else float(user @ item + bias + item_bias)
    return score, NUMERALS[4 * block + row]


def _slow_side(model, what, side, an_id, row: dict[str, float] | None):
    embeddings, biases = getattr(model, f"{what}_embeddings"), getattr(model, f"{what}_biases")
    vector, bias, has = np.zeros(embeddings.shape[1]), 0.0, False
    for name, weight in (row or {}).items():
        if name in side.names and weight:
            column = side.feature_columns[side.names.index_of(name)]
            vector, bias, has = vector + weight * embeddings[column], bias + weight * biases[column], True
    known = side.has_indicators and an_id in side.ids
    if known:
        column = side.indicator_columns[side.ids.index_of(an_id)]
        vector, bias = vector + embeddings[column], bias + biases[column]
    return vector, bias, known, has


def as_row(space: FeatureSpace, features: dict | None) -> dict[str, float] | None:
    if features is None:
        return None
    encoded = space.encode(features)
    return dict(zip(space.names.ids_of(encoded.columns), encoded.weights.tolist(), strict=True))
