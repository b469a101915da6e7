"""List shaping: what makes a list of the best items: diversity, exploration, and the rules of a placement."""

from __future__ import annotations

from random import Random

import numpy as np

from recommender.schema import Query
from recommender.serving.catalogue import Catalogue
from recommender.serving.diversification import diversify, pool_size
from recommender.serving.exploration import explore
from recommender.serving.placements.ruled_list import apply_rules, depth
from recommender.serving.retrieval import RetrievalRequest, Retrieved


def wanted_items(query: Query) -> int:
    """How many of the best a query's list is made of."""
    wanted = depth(query.k) if query.rules else query.k
    return max(pool_size(query.k), wanted) if query.diversity else wanted


def shape_list(
    catalogue: Catalogue, query: Query, wish: RetrievalRequest, best: Retrieved, explore_share: float, chance: Random
) -> Retrieved:
    """Make the list of a query from the best `wanted_items` of the catalogue.

    Parameters
    ----------
    catalogue
        Where `best` is from.
    query, wish
        What is asked, and what of it was asked of the catalogue.
    best
        By falling score.
    explore_share
        Share of the positions for newcomers, where the query does not say.
    chance
        Draws them.
    """
    if not wish.k:  # nothing is known of the user and the query forbids a fallback: nor is anything pinned
        return best
    ranked = _diversified(catalogue, query, best)
    share = explore_share if query.explore is None else query.explore
    if share:
        ranked = _explored(catalogue, wish, ranked, query.k, share, chance)
    if not query.rules:
        return ranked
    return apply_rules(catalogue, wish, ranked, query.k, query.rules, len(query.shown))


def _diversified(catalogue: Catalogue, query: Query, best: Retrieved) -> Retrieved:
    """Of the best, those that differ as much as was asked for; with rules, the others behind them."""
    if not query.diversity:
        return best
    wanted = depth(query.k) if query.rules else query.k
    places = diversify(best.scores, catalogue.vectors(best.positions), wanted, query.diversity).tolist()
    if query.rules:
        places = list(dict.fromkeys([*places, *range(len(best.positions))]))
    return Retrieved([best.positions[place] for place in places], best.scores[places])


def _explored(
    catalogue: Catalogue, wish: RetrievalRequest, ranked: Retrieved, k: int, share: float, chance: Random
) -> Retrieved:
    """A ranking whose first `k` were explored; who has lost a place to a newcomer stands behind them."""
    first = explore(catalogue, wish, Retrieved(ranked.positions[:k], ranked.scores[:k]), share, chance)
    if len(ranked.positions) <= k:
        return first
    scores = dict(zip(ranked.positions, ranked.scores.tolist(), strict=True))
    scores.update(zip(first.positions, first.scores.tolist(), strict=True))
    positions = list(dict.fromkeys([*first.positions, *ranked.positions]))
    return Retrieved(positions, np.array([scores[each] for each in positions], np.float32), first.explored)
