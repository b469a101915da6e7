"""The first clicks, in time: folded in for the next request, against training anew and against nothing.

Strangers are a fifth of the users of MovieLens-100k, of whom nothing was trained; their first k interactions come
in. Known are another fifth, of whom the first half was trained; their next k come in. What follows judges:
ndcg@10, everything that came in excluded. Ties in time are broken at random.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from benchmarks.harness import report
from recommender.datasets import open_dataset
from recommender.datasets.dataset import feature_records
from recommender.evaluation import evaluate
from recommender.feature_space import Features
from recommender.serving.snapshot import Snapshot
from recommender.training.full import TrainingData, fit
from recommender.training.model_settings import ModelSettings
from recommender.training.promotion_gate import JudgedSnapshot, evaluate_snapshot
from recommender.training.snapshot_builder import CatalogueEntry

LENGTHS = (1, 3, 5, 10, 20)
SEED = 0
META = {"log_offset": 0, "items_sequence": 0, "version": "benchmark"}


class World:
    """Interactions in time, each with its place among those of its user, and two groups of users to follow."""

    def __init__(self) -> None:
        dataset = open_dataset("movielens-100k")
        chance = np.random.default_rng(SEED)
        rows = dataset.interactions
        rows = rows.iloc[np.lexsort((chance.random(len(rows)), rows["timestamp"]))]
        place = rows.groupby("user_id").cumcount()
        half = rows["user_id"].map(rows["user_id"].value_counts()) // 2
        users = chance.permutation(rows["user_id"].unique())
        strangers, known = set(users[: len(users) // 5]), set(users[len(users) // 5 : 2 * (len(users) // 5)])
        # how many of each user's interactions were there before anything came in
        before = np.where(rows["user_id"].isin(known), half, np.where(rows["user_id"].isin(strangers), 0, 10**6))
        self.rows = rows.assign(age=place - before)
        self.groups = {"strangers": strangers, "known": known}
        self.users: dict[str, Features] = dict(feature_records(dataset.users))
        self.catalogue = [CatalogueEntry(item_id, features) for item_id, features in feature_records(dataset.items)]

    def trained(self, length: int) -> Snapshot:
        """Snapshot of everything up to the interaction of this number that came in."""
        data = TrainingData(self.rows[self.rows["age"] < length], self.users, self.catalogue)
        _, snapshot = fit(data, ModelSettings(), META)
        assert snapshot is not None
        return snapshot


def popular(snapshot: Snapshot, recent: pd.DataFrame, judging: pd.DataFrame) -> float:
    """What everyone gets, without what each user has had."""
    scores = snapshot.popularity
    return _by_scores(snapshot, recent, judging, lambda users: np.repeat(scores[None], len(users), axis=0))


def _by_scores(snapshot: Snapshot, recent: pd.DataFrame, judging: pd.DataFrame, score: Any) -> float:
    user_ids = judging["user_id"].drop_duplicates().tolist()
    learned = [(user, snapshot.item_ids[item]) for user in user_ids for item in snapshot.learned_items(user).tolist()]
    seen = pd.concat([pd.DataFrame(learned, columns=["user_id", "item_id"]), recent[["user_id", "item_id"]]])
    train, test = (_matrix(each, user_ids, snapshot) for each in (seen, judging))
    return evaluate(score, train, test).means["ndcg@10"]


def _matrix(pairs: pd.DataFrame, user_ids: list[str], snapshot: Snapshot) -> sparse.csr_matrix:
    places = pd.Index(user_ids).get_indexer(pairs["user_id"])
    items = snapshot.item_ids.indices_of(pairs["item_id"].tolist())
    there = (places >= 0) & (items >= 0)
    shape = (len(user_ids), snapshot.n_items)
    return sparse.csr_matrix((np.ones(int(there.sum()), np.float32), (places[there], items[there])), shape)


def folded(snapshot: Snapshot, recent: pd.DataFrame, judging: pd.DataFrame, users: Mapping[str, Features]) -> float:
    """As the service answers."""
    return evaluate_snapshot(JudgedSnapshot(snapshot, recent), judging, users).means["ndcg@10"]


def unfolded(world: World, snapshot: Snapshot, recent: pd.DataFrame, judging: pd.DataFrame) -> float:
    """By trained rows and features alone; what came in is only excluded."""
    user_ids = judging["user_id"].drop_duplicates().tolist()

    def score(rows: NDArray[np.int32]) -> NDArray[np.float32]:
        none = np.zeros((0, snapshot.no_components), np.float32)
        vectors = []
        for user_id in (user_ids[row] for row in rows.tolist()):
            encoded = snapshot.user_space.encode(world.users.get(user_id, {}))
            vectors.append(snapshot.user_vector(snapshot.user_index(user_id), encoded, none))
        return np.stack([snapshot.score(vector) for vector in vectors])

    return _by_scores(snapshot, recent, judging, score)


def main() -> None:
    """Both groups at every length."""
    world = World()
    start = world.trained(0)
    rows = []
    for length in LENGTHS:
        anew = world.trained(length)
        for group, members in world.groups.items():
            own = world.rows[world.rows["user_id"].isin(members)]
            recent, judging = own[(own["age"] >= 0) & (own["age"] < length)], own[own["age"] >= length]
            rows.append(
                {
                    "users": group,
                    "interactions": length,
                    "popular": round(popular(start, recent, judging), 3),
                    "not_folded_in": round(unfolded(world, start, recent, judging), 3),
                    "folded_in": round(folded(start, recent, judging, world.users), 3),
                    "trained_anew": round(folded(anew, recent.iloc[:0], judging, world.users), 3),
                }
            )
            print(rows[-1], flush=True)
    report.write("fold_in", SEED, rows)


if __name__ == "__main__":
    main()
