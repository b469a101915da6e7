"""Exploring: positions that newcomers get so that somebody finds them, and that are marked as such."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from recommender.catalogue import Catalogue
from recommender.choosing import Chosen, Wish, choose

T = TypeVar("T")

TRIED = 10
"""Newcomers drawn by chance for each position; the best of them for this user are shown."""


def explore(catalogue: Catalogue, wish: Wish, chosen: Chosen, share: float, chance: Random) -> Chosen:
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
    As long a list; `Chosen.explored` are the positions in the catalogue of those who are not there by their score.
    Nothing changes where the candidates were given: then these are what is asked for.
    """
    wanted = int(share * len(chosen.positions) + chance.random())
    there = _newcomers(catalogue)
    is_new = np.isin(chosen.positions, there)
    lacking = wanted - int(is_new.sum())
    if lacking <= 0 or wish.candidates is not None:
        return chosen
    drawn = _drawn(catalogue, np.setdiff1d(there, chosen.positions), TRIED * lacking, chance)
    [found] = choose(catalogue, [wish._replace(k=lacking, candidates=drawn)])
    n_found = len(found.positions)
    if not n_found:
        return chosen
    known = np.flatnonzero(~is_new)
    kept = np.delete(np.arange(len(is_new)), known[len(known) - n_found :])
    slots = sorted(chance.sample(range(len(is_new)), n_found))
    positions = _spread(slots, [chosen.positions[place] for place in kept.tolist()], found.positions)
    scores = _spread(slots, chosen.scores[kept].tolist(), found.scores.tolist())
    return Chosen(positions, np.array(scores, np.float32), frozenset(found.positions))


def _newcomers(catalogue: Catalogue) -> NDArray[np.int64]:
    """Positions of the items that nobody had interacted with and that may be returned."""
    snapshot, fresh = catalogue.snapshot, catalogue.fresh
    old = np.flatnonzero(~catalogue.masked[snapshot.n_trained_items :]) + snapshot.n_trained_items
    new = np.flatnonzero(fresh.live & (fresh.places >= snapshot.n_trained_items)) + snapshot.n_items
    return np.concatenate([old, new])


def _drawn(catalogue: Catalogue, positions: NDArray[np.int64], n: int, chance: Random) -> tuple[str, ...]:
    """Ids of at most `n` of these items."""
    drawn = chance.sample(positions.tolist(), min(n, len(positions)))
    return tuple(catalogue.item(position).item_id for position in drawn)


def _spread(slots: Sequence[int], old: Sequence[T], new: Sequence[T]) -> list[T]:
    """Old ones in their order around new ones in their slots."""
    spread = list(old)
    for slot, each in zip(slots, new, strict=True):
        spread.insert(slot, each)
    return spread
