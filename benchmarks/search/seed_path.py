"""Top 100 for one user and for 64 at once: our exact path against the original's.

The original's is csr by hstack, LightFM.predict, pandas, a user at a time. Random vectors get no index. Of ours,
*scoring* is the user's vector and the pass that scores, masks and selects; the *answer* is all that a predictor does
for a request, with ids, titles, cases, a cursor and the exclusions.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from lightfm import LightFM
from scipy import sparse

from benchmarks.harness import report
from recommender.feature_space import FeatureSpace
from recommender.ids import IdTable, TextTable
from recommender.schema import Query, UserState
from recommender.serving.catalogue import Catalogue
from recommender.serving.recommender import Recommender
from recommender.serving.snapshot import Rows, Snapshot, Table
from recommender.vector_search.exact import Best, Users, best_rows
from recommender.vector_search.quantization import encode

SEED = 0
SIZES = (1_700, 10_000, 100_000, 1_000_000)
N_USERS, N_TAGS, TAGS_EACH, NO_COMPONENTS, TOP, BATCH = 10_000, 500, 5, 64, 100, 64


class World:
    """Weights as a trained model has them, and both ways of serving them."""

    def __init__(self, n_items: int) -> None:
        random = np.random.default_rng(SEED)
        self.n_items = n_items
        self.item_ids = [str(index) for index in range(n_items)]
        tags = np.sort(random.integers(0, N_TAGS, (n_items, TAGS_EACH)), axis=1)
        rows = np.repeat(np.arange(n_items), TAGS_EACH)
        self.tags = sparse.csr_matrix((np.ones(rows.size, np.float32), (rows, tags.ravel())), (n_items, N_TAGS))
        self.tags.data[:] = 1
        self.user_features = sparse.csr_matrix(np.ones((1, 4), np.float32))
        self.indicator = sparse.identity(N_USERS, np.float32, format="csr")
        self.item_indicator = sparse.identity(n_items, np.float32, format="csr")
        self.model = LightFM(NO_COMPONENTS, random_state=SEED)
        self.model._initialize(NO_COMPONENTS, N_TAGS + n_items, 4 + N_USERS)
        self.item_csr = sparse.hstack([self.tags, self.item_indicator], "csr").astype(np.float32)

    def original(self, user: int, top: int = TOP) -> pd.Series:
        """What the post's class does for one request; its item matrix is cached, as there."""
        user_csr = sparse.hstack([self.user_features, self.indicator[user]], "csr")
        scores = self.model.predict(0, np.arange(self.n_items, dtype=np.int32), self.item_csr, user_csr)
        return pd.Series(scores, index=self.item_ids).sort_values(ascending=False).head(top)

    def recommender(self) -> Recommender:
        """The same weights as a snapshot."""
        model, none = self.model, np.zeros(0, np.float32)
        users = FeatureSpace(IdTable.from_ids(f"f{index}=1" for index in range(4)), {})
        tags = FeatureSpace(IdTable.from_ids(f"tag={index}" for index in range(N_TAGS)), {})
        # whoever has no history counts as forgotten
        seen = Rows(np.arange(N_USERS + 1), np.zeros(N_USERS, np.int32), none)
        items = Table(self.item_csr @ model.item_embeddings, self.item_csr @ model.item_biases)
        snapshot = Snapshot(
            user_ids=IdTable.from_ids(str(index) for index in range(N_USERS)),
            user_space=users,
            user_features=Table(model.user_embeddings[:4], model.user_biases[:4]),
            user_indicators=Table(model.user_embeddings[4:], model.user_biases[4:]),
            item_ids=IdTable.from_ids(self.item_ids),
            n_known_items=self.n_items,
            n_trained_items=self.n_items,
            available=np.ones(self.n_items, np.bool_),
            titles=TextTable.from_texts(self.item_ids),
            item_space=tags,
            item_features=Table(model.item_embeddings[:N_TAGS], model.item_biases[:N_TAGS]),
            newcomer_features=Table(
                np.zeros((N_TAGS + 1, NO_COMPONENTS), np.float32), np.zeros(N_TAGS + 1, np.float32)
            ),
            item_rows=Rows(self.tags.indptr.astype(np.int64), self.tags.indices, self.tags.data),
            items=items,
            codes=encode(*items),
            popularity=np.ones(self.n_items, np.float32),
            popularity_weights=np.zeros(N_TAGS + 1, np.float32),
            seen=seen,
            disliked=Rows(np.zeros(N_USERS + 1, np.int64), np.zeros(0, np.int32), none),
            filter_tokens=IdTable.from_ids(),
            filter_rows=Rows(np.zeros(1, np.int64), np.zeros(0, np.int32), none),
            fold_in_weights=np.zeros((2 * (NO_COMPONENTS + 1), NO_COMPONENTS), np.float32),
            meta={"version": "bench", "log_offset": 0, "items_sequence": 0},
        )
        return Recommender(Catalogue(_as_served(snapshot)))


def _as_served(snapshot: Snapshot) -> Snapshot:
    """Over arrays that cannot be written, as they come out of the object store."""
    arrays = snapshot.to_arrays()
    for array in arrays.values():
        array.flags.writeable = False
    return Snapshot.from_arrays(arrays, snapshot.to_meta())


def measure(n_items: int) -> dict[str, float | int]:
    """Both ways, checked to give the same answer, then timed."""
    world = World(n_items)
    recommender = world.recommender()
    state = UserState({f"f{index}": "1" for index in range(4)})

    def ours() -> list[str]:
        return [
            item.item_id for item in recommender.recommend(Query(user_id="7", k=TOP, exclude_seen=False), state).items
        ]

    snapshot, items = recommender.snapshot, recommender.snapshot.items
    encoded = recommender.snapshot.user_space.encode(state.features or {})
    nothing, none = np.zeros((0, NO_COMPONENTS), np.float32), np.zeros(0, np.int32)

    def scoring() -> Best:
        user = snapshot.user_vector(7, encoded, nothing)
        users = Users(user.vector[None], np.array([user.bias], np.float32))
        masked = recommender.catalogue.masked
        return best_rows(*items, users, [TOP], masked=masked, excluded=[none], codes=snapshot.codes)[0]

    def scoring_64() -> list[Best]:
        vectors = [snapshot.user_vector(user, encoded, nothing) for user in range(BATCH)]
        users = Users(
            np.stack([user.vector for user in vectors]), np.array([user.bias for user in vectors], np.float32)
        )
        everybody = {"masked": recommender.catalogue.masked, "excluded": [none] * BATCH}
        return best_rows(*items, users, [TOP] * BATCH, **everybody, codes=snapshot.codes)

    assert snapshot.item_ids.ids_of(scoring().rows.tolist()) == ours()
    queries, states = [Query(user_id=str(user), k=TOP, exclude_seen=False) for user in range(BATCH)], [state] * BATCH
    same = set(ours()) & set(world.original(7).index)
    # of a million scores some differ by less than the rounding of two orders of summation
    assert len(same) >= TOP - (n_items >= 1_000_000), f"the two ways have only {len(same)} in common"
    original_ms, scoring_ms, ours_ms = (report.median_ms(each) for each in (lambda: world.original(7), scoring, ours))
    scoring_64_ms = report.median_ms(scoring_64) / BATCH
    batch_ms = report.median_ms(lambda: recommender.recommend_many(queries, states)) / BATCH
    return {
        "items": n_items,
        "original_ms": round(original_ms, 3),
        "scoring_ms": round(scoring_ms, 4),
        "scoring_64_ms": round(scoring_64_ms, 4),
        "answer_ms": round(ours_ms, 3),
        "answer_64_ms": round(batch_ms, 3),
        "scoring_ratio": round(original_ms / scoring_ms, 1),
        "scoring_64_ratio": round(original_ms / scoring_64_ms, 1),
        "answer_ratio": round(original_ms / ours_ms, 1),
        "answer_64_ratio": round(original_ms / batch_ms, 1),
    }


def main() -> None:
    """Measure every size."""
    report.write("scoring", SEED, [measure(int(n_items)) for n_items in sys.argv[1:] or SIZES])


if __name__ == "__main__":
    main()
