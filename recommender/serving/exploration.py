"""Exploring: positions that newcomers get so that somebody finds them, and that are marked as such."""

from __future__ import annotations

from collections.abc import Sequence, Set
from random import Random
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from recommender.serving.catalogue import Catalogue
from recommender.serving.retrieval import RetrievalRequest, Retrieved, choose

T = TypeVar("T")

POOL = 50
"""Newcomers drawn by chance for an answer, and as many of those under way; the draw of what is shown is among them."""
DRAWN = 8
"""Rows drawn for each of them: some are of items that are gone, or replaced."""
TEMPERATURE = 0.5
"""Of the draw, in standard deviations of the score: near 0 the most valuable are shown, far above it any."""


class _Pool(NamedTuple):
    """Positions in the catalogue, and the probability with which each came among them."""

    positions: list[int]
    chances: list[float]


def explore(catalogue: Catalogue, wish: RetrievalRequest, chosen: Retrieved, share: float, chance: Random) -> Retrieved:
    """List in which newcomers have a share of the positions.

    Newcomers are items without interactions in the snapshot, and those whose trial is under way. Those that are in the
    list by their score count; the rest of the share replaces the last of the others, at positions drawn by chance.
    Which ones is drawn too: an item is worth its score for this user, what trials have shown of it, and a bonus for
    what they have not; see `recommender.serving.exploration_trials`. An item whose trial is over is not drawn.

    Parameters
    ----------
    catalogue
        Where `chosen` is from.
    wish, chosen
        What was wanted and what was found.
    share
        Of the positions, between 0 and 1. Fractions of a position are given by chance, so that the share holds
        on average for short lists too.
    chance
        Draws newcomers and positions.

    Returns
    -------
    As long a list; `Retrieved.explored` are the positions in the catalogue of those who are not there by their score,
    with their propensity: the probability of this item where one is drawn, after those drawn before it.
    Nothing changes where the candidates were given: then these are what is asked for.

    Notes
    -----
    The draw is one without replacement with weights ``exp(value / TEMPERATURE)`` (Plackett and Luce), whose
    probabilities are exact where all newcomers fit into the pool; else they are those of the pool, times the
    probability of being in it.
    """
    if wish.candidates is not None:
        return chosen
    wanted = int(share * len(chosen.positions) + chance.random())
    is_new = _are_new(catalogue, np.array(chosen.positions, np.int64))
    lacking = wanted - int(is_new.sum())
    if lacking <= 0:
        return chosen
    pool = _pool(catalogue, set(chosen.positions), max(POOL, lacking), chance)
    names = tuple(item_id for item_id, _, _ in catalogue.headings(pool.positions))
    [found] = choose(catalogue, [wish._replace(k=len(names), candidates=names)])
    if not found.positions:
        return chosen
    drawn = _draw(catalogue, found, pool, lacking, chance)
    known = np.flatnonzero(~is_new)
    kept = np.delete(np.arange(len(is_new)), known[len(known) - len(drawn) :])
    slots = sorted(chance.sample(range(len(is_new)), len(drawn)))
    places = list(drawn)
    positions = _spread(slots, [chosen.positions[each] for each in kept.tolist()], [found.positions[p] for p in places])
    scores = _spread(slots, chosen.scores[kept].tolist(), found.scores[places].tolist())
    propensities = {found.positions[place]: propensity for place, propensity in drawn.items()}
    return Retrieved(positions, np.array(scores, np.float32), propensities)


def _draw(catalogue: Catalogue, found: Retrieved, pool: _Pool, n: int, chance: Random) -> dict[int, float]:
    """Places in `found` of those drawn, at most `n`, in the order of the draw, with their propensities."""
    trials = catalogue.trials
    spread = float(found.scores.std()) or 1.0
    values = (found.scores - found.scores.mean()) / spread
    values = values + [trials.value(item_id) for item_id, _, _ in catalogue.headings(found.positions)]
    weights = np.exp((values - values.max()) / TEMPERATURE)
    came = dict(zip(pool.positions, pool.chances, strict=True))
    drawn: dict[int, float] = {}
    for _ in range(min(n, len(weights))):
        total = float(weights.sum())
        place = min(int(np.searchsorted(np.cumsum(weights), chance.random() * total, side="right")), len(weights) - 1)
        drawn[place] = float(weights[place]) / total * came[found.positions[place]]
        weights[place] = 0.0
    return drawn


def _are_new(catalogue: Catalogue, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of these items nobody had interacted with, and that may be returned."""
    snapshot, delta = catalogue.snapshot, catalogue.delta
    is_old = positions < snapshot.n_items
    new = np.zeros(len(positions), np.bool_)
    old = positions[is_old]
    new[is_old] = (old >= snapshot.n_trained_items) & ~catalogue.masked[old]
    rows = positions[~is_old] - snapshot.n_items
    new[~is_old] = (delta.places[rows] >= snapshot.n_trained_items) & delta.live[rows]
    return new


def _pool(catalogue: Catalogue, others: Set[int], n: int, chance: Random) -> _Pool:
    """At most `n` newcomers whose trial has not begun, and as many items whose trial is under way; never `others`."""
    fresh, share = _drawn(catalogue, others, n, chance)
    going = catalogue.trials.under_way
    some = [place for place in catalogue.positions_of(_some(going, n, chance)) if place not in others]
    under_way = min(1.0, n / len(going)) if going else 1.0
    return _Pool([*some, *fresh], [under_way] * len(some) + [share] * len(fresh))


def _some(names: Sequence[str], n: int, chance: Random) -> Sequence[str]:
    return chance.sample(names, n) if len(names) > n else names


def _drawn(catalogue: Catalogue, others: Set[int], n: int, chance: Random) -> tuple[list[int], float]:
    """At most `n` newcomers that are not `others`, and the probability with which one is among them.

    They are drawn from all rows that may be newcomers'; only where few of these are, all are looked at.
    """
    first, last = catalogue.snapshot.n_trained_items, len(catalogue)
    tried = np.array(chance.sample(range(first, last), min(DRAWN * n, last - first)), np.int64)
    drawn = _untried(catalogue, tried, others)
    if len(drawn) < n:
        left = _untried(catalogue, np.arange(first, last), others) if len(tried) < last - first else drawn
        share = min(1.0, n / len(left)) if left else 1.0
        return chance.sample(left, min(n, len(left))), share
    # of all rows as many are newcomers' as of those that were tried
    return drawn[:n], min(1.0, n / (len(drawn) / len(tried) * (last - first)))


def _untried(catalogue: Catalogue, rows: NDArray[np.int64], others: Set[int]) -> list[int]:
    """Those of some rows that are newcomers' whose trial has not begun."""
    places = [place for place in rows[_are_new(catalogue, rows)].tolist() if place not in others]
    if not len(catalogue.trials):
        return places
    names = (item_id for item_id, _, _ in catalogue.headings(places))
    return [place for place, name in zip(places, names, strict=True) if not catalogue.trials.has_begun(name)]


def _spread(slots: Sequence[int], old: Sequence[T], new: Sequence[T]) -> list[T]:
    """Old ones in their order around new ones in their slots."""
    spread = list(old)
    for slot, each in zip(slots, new, strict=True):
        spread.insert(slot, each)
    return spread
