"""Everyone: the best items of many users at once, by the very code that answers a request.

With a store, users are as they are now: features, what they did of late, the catalogue with its changes, and those
whom only the store knows. Without one they are as the version learned them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.feature_space import Encoded
from recommender.ids import UNKNOWN
from recommender.schema import Query, UserState
from recommender.serving.catalogue import Catalogue
from recommender.serving.recommender import Recommender
from recommender.serving.retrieval import RetrievalRequest, choose
from recommender.serving.snapshot import Snapshot
from recommender.vector_search.exact import NO_ROWS

TOGETHER = 256
"""Users who share a pass over the items; their vectors stay in the second cache."""


class Lists(NamedTuple):
    """Best items of some users, laid end to end: `lengths` says how many each has."""

    users: NDArray[np.int64]
    """Which of the users that were asked for each list is of; those of whom nothing is known have none."""
    lengths: NDArray[np.int64]
    positions: NDArray[np.int64]
    """Of the catalogue, best first."""
    scores: NDArray[np.float32]


class BatchRecommender:
    """Ranks for users of a snapshot, and for others by what the store knows.

    Parameters
    ----------
    snapshot
        What serves.
    k
        Length of the lists.
    exclude_seen
        Leave out what a user has interacted with.
    filters
        As in a request.
    """

    def __init__(
        self, snapshot: Snapshot, k: int = 10, *, exclude_seen: bool = True, filters: Sequence[str] = ()
    ) -> None:
        self.catalogue = Catalogue(snapshot)
        self._recommender = Recommender(self.catalogue)
        self._snapshot = snapshot
        self._k, self._exclude_seen, self._filters = k, exclude_seen, tuple(filters)
        self._nobody = np.zeros((0, snapshot.no_components), np.float32)

    def learned(self, first: int, last: int) -> Lists:
        """Lists of the users with indices from `first` to before `last`, as the version learned them."""
        return self._lists([self._learned_wish(index) for index in range(first, last)])

    def stored(self, user_ids: Sequence[str], states: Sequence[UserState]) -> Lists:
        """Lists of users, known or not, with what the store has of them."""
        return self._lists([self._stored_wish(*each) for each in zip(user_ids, states, strict=True)])

    def _learned_wish(self, index: int) -> RetrievalRequest:
        snapshot, seen = self._snapshot, self._snapshot.seen.row(index)
        # one who was forgotten has seen nothing
        known = len(seen) and len(snapshot.user_indicators.biases)
        vector = snapshot.user_vector(index if known else UNKNOWN, self._learned_features(index), self._nobody)
        if not self._exclude_seen:
            return RetrievalRequest(vector, self._k, (), NO_ROWS, self._filters)
        exclusions = snapshot.exclusions
        others = exclusions.of(snapshot.user_ids[index]) if len(exclusions.items) else ()
        return RetrievalRequest(vector, self._k, others, seen, self._filters)

    def _learned_features(self, index: int) -> Encoded:
        rows = self._snapshot.user_rows
        if len(rows.indptr) <= index + 1:
            return _NO_FEATURES
        return Encoded(rows.row(index), rows.row_weights(index), [])

    def _stored_wish(self, user_id: str, state: UserState) -> RetrievalRequest:
        query = Query(user_id=user_id, k=self._k, filter=self._filters, exclude_seen=self._exclude_seen)
        return self._recommender.wish(query, state)

    def _lists(self, wishes: Sequence[RetrievalRequest]) -> Lists:
        users = [number for number, wish in enumerate(wishes) if wish.user.strategy != "popular"]
        asked = [wishes[number] for number in users]
        parts = [asked[start : start + TOGETHER] for start in range(0, len(asked), TOGETHER)]
        found = [chosen for part in parts for chosen in choose(self.catalogue, part)]
        positions = [position for chosen in found for position in chosen.positions]
        return Lists(
            np.array(users, np.int64),
            np.array([len(chosen.positions) for chosen in found], np.int64),
            np.array(positions, np.int64),
            np.concatenate([np.zeros(0, np.float32), *(chosen.scores for chosen in found)]),
        )


_NO_FEATURES = Encoded(np.zeros(0, np.int32), np.zeros(0, np.float32), [])
