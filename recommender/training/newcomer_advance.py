"""Advance of newcomers: what is added to the scores of items that nobody has interacted with.

How often they are listed is set, not how much they score: they gain or lose what gives them a share of the first
places. What share depends on whether they are news. Of a catalogue that was sampled by what people did, some items
remain unseen; how many is told by those seen once and twice [1]_. As many untouched items as that are nothing new:
together they get what the next interactions are expected to give them, the share of items that were seen once [2]_.
Those beyond are new, and get more than their share of the catalogue, so that somebody finds them.

References
----------
.. [1] A. Chao, Nonparametric Estimation of the Number of Classes in a Population, 1984.
.. [2] I. Good, The Population Frequencies of Species and the Estimation of Population Parameters, 1953.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.serving.snapshot import Snapshot, Table

LIST_LENGTH = 10
LARGEST_SHARE = 1 / 3
"""Share of the first `LIST_LENGTH` positions that newcomers may take, on average."""
TIMES_THEIR_SHARE = 2.5
"""Share of these positions that new items get, by their share of the catalogue."""
MOST_NEWS = 0.3
"""Share of the catalogue above which untouched items are no news, but a catalogue that was loaded whole."""
LARGEST_UNSEEN_SHARE = 0.01
"""Share of these positions that untouched items get at most where they are nothing new."""
MOST_ASKED = 100
"""Users whose lists are looked at."""


class Advance(NamedTuple):
    """What is added to newcomers."""

    for_all: float
    for_strangers: float
    """To the component of the mean history: takes from strangers what makes up for the histories of others."""


def share_of_newcomers(counts: NDArray[np.int64], n_untouched: int, n_available: int) -> float:
    """Share of the first positions that untouched items should have.

    Parameters
    ----------
    counts
        Users of each item that has any.
    n_untouched, n_available
        Items of the catalogue without users, and all that can be recommended.
    """
    if not n_untouched or not n_available or not counts.sum():
        return 0.0
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    unseen = once * (once - 1) / (2 * (twice + 1))
    news = (n_untouched - unseen) / n_available
    ordinary = min(LARGEST_UNSEEN_SHARE, once / float(counts.sum()), n_untouched / n_available)
    return max(ordinary, min(LARGEST_SHARE, TIMES_THEIR_SHARE * news)) if news <= MOST_NEWS else ordinary


@dataclass(frozen=True)
class Contest:
    """Lists of some users, for which known items and newcomers contend.

    With scores k_1 >= k_2 … of known items and c_1 >= c_2 … of newcomers, these have j of n positions as soon as
    they gain ``k_(n+1-j) - c_j``: the share as a function of the gain is a distribution, and its quantile is asked.

    Parameters
    ----------
    snapshot
        With history parts, where it is to have any.
    users
        Vectors of the users of its histories, shape (n_users, d).
    known, newcomers
        Rows of the items that contend; newcomers may be known ones that are pretended to be new.
    representations
        Of the newcomers.
    """

    snapshot: Snapshot
    users: NDArray[np.float32]
    known: NDArray[np.int64]
    newcomers: NDArray[np.int64]
    representations: Table

    @property
    def share_of_catalogue(self) -> float:
        """Of the newcomers."""
        return len(self.newcomers) / max(1, len(self.known) + len(self.newcomers))

    def limited(self, most: float) -> Advance:
        """What newcomers must lose to have at most a share of the positions."""
        plain = self._gains(with_histories=False)
        for_strangers = min(0.0, _quantile(plain, most))
        return self._with_histories(for_strangers, np.searchsorted(plain, for_strangers, side="right") / len(plain))

    def advance(self, share: float) -> Advance:
        """What newcomers must gain or lose to have a share of the positions."""
        return self._with_histories(_quantile(self._gains(with_histories=False), share), share)

    def _with_histories(self, for_strangers: float, share: float) -> Advance:
        """The same share of the lists of users who have a history."""
        if self.snapshot.history is None:
            return Advance(for_strangers, 0.0)
        for_all = _quantile(self._gains(with_histories=True), share)
        return Advance(for_all, for_strangers - for_all)

    def _gains(self, *, with_histories: bool) -> NDArray[np.float32]:
        """What newcomers must gain for each position of the lists, rising; at least one."""
        snapshot, gains = self.snapshot, [np.zeros(0, np.float32)]
        (vectors, biases), (of_new, new_biases) = snapshot.items, self.representations
        judges = np.flatnonzero(np.diff(snapshot.seen.indptr))
        for user in judges[:: max(1, len(judges) // MOST_ASKED)].tolist():
            scores = vectors @ self.users[user] + biases
            scores[self.newcomers] = of_new @ self.users[user] + new_biases
            if with_histories:
                added = snapshot.item_item_part(snapshot.history_of(user))
                added[self.newcomers[self.newcomers < snapshot.n_known_items]] = 0  # they are pretended to be new
                scores += added
            scores[snapshot.seen.row(user)] = -np.inf
            contested = _best(scores[self.known])[::-1]
            contested = contested[np.isfinite(contested)]  # where known items run out, newcomers have the rest anyhow
            gains.append(contested - _best(scores[self.newcomers])[LIST_LENGTH - len(contested) :])
        together = np.sort(np.concatenate(gains))
        return together if len(together) else np.zeros(1, np.float32)


def _quantile(gains: NDArray[np.float32], share: float) -> float:
    """Gain by which newcomers get a share of the positions."""
    finite = gains[np.isfinite(gains)]  # infinite where there are fewer newcomers than positions
    return float(finite[min(int(share * len(gains)), len(finite) - 1)]) if len(finite) else 0.0


def _best(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """The `LIST_LENGTH` best, falling; -inf where there are fewer."""
    n = min(LIST_LENGTH, len(scores))
    best = np.full(LIST_LENGTH, -np.inf, np.float32)
    best[:n] = -np.sort(np.partition(-scores, n - 1)[:n])
    return best
