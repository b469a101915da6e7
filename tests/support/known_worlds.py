"""Worlds whose answer is known, and slow second implementations.

Users and items of the same parity like each other: two taste groups, a checkerboard with gaps.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd

from recommender.cases import NUMERALS
from recommender.feature_space import Features, FeatureSpace
from recommender.models.lightfm_recommender import LFMRecommender
from recommender.serving.catalogue import Catalogue
from recommender.serving.recommender import Recommender
from recommender.serving.snapshot import Snapshot
from recommender.sparse_frame import SparseFrame
from recommender.training.histories import histories
from recommender.training.snapshot_builder import CatalogueEntry, build_snapshot

USERS = [f"u{n}" for n in range(12)]
ITEMS = [f"i{n}" for n in range(10)]
COLD = ["i100", "i101", "i102"]
"""Items in the catalogue that nobody has interacted with."""

INDICATORS = ["both", "users", "items", False]
LOG_OFFSET = 7
"""The newest interaction that a snapshot of these worlds has learned."""


def parity(an_id: str) -> int:
    return int(an_id[1:]) % 2


def user_features(user_id: str) -> Features:
    return {"group": f"g{parity(user_id)}", "age": 20 + int(user_id[1:])}


def item_features(item_id: str) -> Features:
    return {"group": f"g{parity(item_id)}", "tags": [f"t{int(item_id[1:]) % 3}", "all"], "year": int(item_id[1:])}


def checkerboard(seed: int = 0, share: float = 0.8) -> tuple[list[str], list[str]]:
    """Users and items of a share of the pairs that like each other."""
    chance = np.random.default_rng(seed)
    pairs = [(u, i) for u in USERS for i in ITEMS if parity(u) == parity(i) and chance.random() < share]
    return [user for user, _ in pairs], [item for _, item in pairs]


@dataclass(frozen=True)
class World:
    """A trained model and all that it was trained with."""

    model: LFMRecommender
    user_space: FeatureSpace
    item_space: FeatureSpace
    interactions: SparseFrame
    user_frame: SparseFrame
    item_frame: SparseFrame
    log: pd.DataFrame

    def users(self, *user_ids: str) -> SparseFrame:
        """Frame of the features of these users."""
        return encoded(self.user_space, user_ids, user_features)

    def items(self, *item_ids: str) -> SparseFrame:
        """Frame of the features of these items."""
        return encoded(self.item_space, item_ids, item_features)

    def snapshot(self, catalogue: Sequence[CatalogueEntry] | None = None, **more: object) -> Snapshot:
        """Snapshot with all items and the cold ones, or with this catalogue."""
        entries = [entry(item_id) for item_id in [*ITEMS, *COLD]] if catalogue is None else catalogue
        meta = {"version": "00000001", "log_offset": LOG_OFFSET, "items_sequence": 0}
        return build_snapshot(
            self.model,
            self.user_space,
            self.item_space,
            histories(self.model, self.log),
            entries,
            meta=meta,
            **more,
        )

    def recommender(self, catalogue: Sequence[CatalogueEntry] | None = None, **more: object) -> Recommender:
        """Recommender over a catalogue of its own."""
        return Recommender(Catalogue(self.snapshot(catalogue, **more)))


def entry(item_id: str) -> CatalogueEntry:
    return CatalogueEntry(item_id, item_features(item_id), f"Title of {item_id}")


def encoded(space: FeatureSpace, ids: Iterable[str], features: Callable[[str], Features]) -> SparseFrame:
    listed = list(ids)
    return SparseFrame(listed, space.names, space.encode_many(map(features, listed)))


def make_world(
    indicators="both", *, normalise: bool = True, epochs: int = 4, seed: int = 0, share: float = 0.8, **lightfm
) -> World:
    """Trained world of its own, which a test may change."""
    pairs = checkerboard(seed, share)
    interactions = SparseFrame.from_interactions(*pairs)
    user_space = FeatureSpace.empty(normalise=normalise).extended(map(user_features, interactions.rows))
    item_space = FeatureSpace.empty(normalise=normalise).extended(map(item_features, interactions.columns))
    user_frame = encoded(user_space, interactions.rows, user_features)
    item_frame = encoded(item_space, interactions.columns, item_features)
    options = {"no_components": 6, "loss": "warp", "random_state": seed, "learning_rate": 0.1, **lightfm}
    model = LFMRecommender(indicators, **options)
    model.fit(interactions, user_frame, item_frame, epochs=epochs)
    log = pd.DataFrame({"user_id": pairs[0], "item_id": pairs[1], "timestamp": np.arange(len(pairs[0]), dtype=float)})
    return World(model, user_space, item_space, interactions, user_frame, item_frame, log)


@cache
def shared_world(indicators="both", *, normalise: bool = True) -> World:
    """Trained world that no test may change."""
    return make_world(indicators, normalise=normalise)


@cache
def learned_world(indicators="both") -> World:
    """World without gaps, trained until its answer is certain; no test may change it."""
    return make_world(indicators, epochs=40, share=1.0)


@cache
def shared_snapshot(indicators="both", *, normalise: bool = True) -> Snapshot:
    """Snapshot of a shared world, its arrays locked against a test that writes."""
    snapshot = shared_world(indicators, normalise=normalise).snapshot()
    for array in snapshot.to_arrays().values():
        array.flags.writeable = False
    return snapshot


def lets_through(clauses: Sequence[str], words: set[str]) -> bool:
    """Whether a filter lets an item with these tokens through, clause by clause."""
    if any(clause[1:] in words for clause in clauses if clause[0] == "-"):
        return False
    wanted = [clause for clause in clauses if clause[0] != "-"]
    names = {clause.split(":")[0] for clause in wanted}
    return all(any(clause in words for clause in wanted if clause.split(":")[0] == name) for name in names)


def with_meta(snapshot: Snapshot, **meta: object) -> Snapshot:
    """Same snapshot with other words about itself."""
    return replace(snapshot, meta={**snapshot.meta, **meta})


@dataclass(frozen=True)
class Known:
    """One side of a pair, added up by hand."""

    vector: np.ndarray
    bias: float
    known: bool
    has_features: bool


def add_up(model: LFMRecommender, what: str, an_id: str, weights: dict[str, float] | None) -> Known:
    """Sum of the embedding rows that exist for one user or item."""
    side = {"user": model.users, "item": model.items}[what]
    embeddings, biases = getattr(model, f"{what}_embeddings"), getattr(model, f"{what}_biases")
    learned = dict(zip(side.names, side.feature_columns.tolist(), strict=True))
    terms = [(weight, learned[name]) for name, weight in (weights or {}).items() if name in learned]
    has_features = bool(terms)
    known = side.has_indicators and an_id in list(side.ids)
    if known:
        terms.append((1.0, int(side.indicator_columns[list(side.ids).index(an_id)])))
    vector = sum((weight * embeddings[column].astype(float) for weight, column in terms), np.zeros(model.no_components))
    bias = sum((weight * float(biases[column]) for weight, column in terms), 0.0)
    return Known(vector, bias, known, has_features)


def case_of(user: Known, item: Known) -> str:
    """Roman numeral, read off the table of the contract."""
    row = [(True, True), (False, True), (True, False), (False, False)].index((user.known, user.has_features))
    block = [(True, True), (False, True), (True, False), (False, False)].index((item.known, item.has_features))
    return NUMERALS[4 * block + row]


def weights_of(frame: SparseFrame, an_id: str) -> dict[str, float]:
    """Features of one row by name."""
    row = frame.matrix[frame.rows.index_of(an_id)]
    return dict(zip(frame.columns.ids_of(row.indices), row.data.tolist(), strict=True))
