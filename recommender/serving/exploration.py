"""Exploring: positions that newcomers get so that somebody finds them, and that are marked as such."""

from __future__ import annotations

from collections.abc import Sequence, Set
from random import Random
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from recommender.serving.catalogue import Catalogue
from recommender.serving.retrieval import RetrievalRequest, Retrieved, choose

T = TypeVar("T")

TRIED = 10
"""Newcomers drawn by chance for each position; the best of them for this user are shown."""
DRAWN = 8
"""Rows drawn for each of them: some are of items that are gone, or replaced."""


def explore(catalogue: Catalogue, wish: RetrievalRequest, chosen: Retrieved, share: float, chance: Random) -> Retrieved:
    """List in which newcomers have a share of the positions.

    Newcomers are items without interactions in the snapshot. Those that are in the list by their score count; the
    rest of the share replaces the last of the others, at positions drawn by chance.

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
    As long a list; `Retrieved.explored` are the positions in the catalogue of those who are not there by their score.
    Nothing changes where the candidates were given: then these are what is asked for.
    """
    if wish.candidates is not None:
        return chosen
    wanted = int(share * len(chosen.positions) + chance.random())
    is_new = _are_new(catalogue, np.array(chosen.positions, np.int64))
    lacking = wanted - int(is_new.sum())
    if lacking <= 0:
        return chosen
    drawn = _drawn(catalogue, set(chosen.positions), TRIED * lacking, chance)
    names = tuple(item_id for item_id, _, _ in catalogue.headings(drawn))
    [found] = choose(catalogue, [wish._replace(k=lacking, candidates=names)])
    n_found = len(found.positions)
    if not n_found:
        return chosen
    known = np.flatnonzero(~is_new)
    kept = np.delete(np.arange(len(is_new)), known[len(known) - n_found :])
    slots = sorted(chance.sample(range(len(is_new)), n_found))
    positions = _spread(slots, [chosen.positions[place] for place in kept.tolist()], found.positions)
    scores = _spread(slots, chosen.scores[kept].tolist(), found.scores.tolist())
    return Retrieved(positions, np.array(scores, np.float32), frozenset(found.positions))


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


def _drawn(catalogue: Catalogue, others: Set[int], n: int, chance: Random) -> list[int]:
    """At most `n` newcomers that are not `others`.

    They are drawn from all rows that may be newcomers'; only where few of these are, all are looked at.
    """
    first, last = catalogue.snapshot.n_trained_items, len(catalogue)
    tried = np.array(chance.sample(range(first, last), min(DRAWN * n, last - first)), np.int64)
    drawn = [place for place in tried[_are_new(catalogue, tried)].tolist() if place not in others]
    if len(drawn) < n:
        rows = np.arange(first, last)
        left = [place for place in rows[_are_new(catalogue, rows)].tolist() if place not in others]
        drawn = chance.sample(left, min(n, len(left)))
    return drawn[:n]


def _spread(slots: Sequence[int], old: Sequence[T], new: Sequence[T]) -> list[T]:
    """Old ones in their order around new ones in their slots."""
    spread = list(old)
    for slot, each in zip(slots, new, strict=True):
        spread.insert(slot, each)
    return spread
