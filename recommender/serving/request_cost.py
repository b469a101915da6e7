"""Costs: what a query takes of a processor, estimated before anything of it is done."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from recommender.schema import (
    FeatureMap,
    PopularRequest,
    Query,
    RankQuery,
    ReadRequest,
    SearchRequest,
    SimilarItemsRequest,
    SimilarUsersRequest,
)
from recommender.serving.diversification import pool_size

LIGHT_MS = 20.0
"""Up to here a call is answered at once; what costs more is answered in slices, beside the others."""
QUERY_MS = 0.2
ITEM_MS = 0.002
"""For each item of the answer, ten times as much when it is explained."""
EXPLAINED_MS = 0.02
PAIR_MS = 1.5e-5
"""With diversity: for each chosen item and each of those that it is chosen from."""
NAME_MS = 0.002
"""For each id or value that the query names."""
CLAUSE_MS = 0.01
"""For each clause of a filter: its value is looked up, and the items that have it are marked."""
ROW_MS = 4e-6
"""For each row of the catalogue in a pass, and again for each boost and each name that is filtered by: all clauses of a
name together mark an item once for each value that it has."""
HISTORY_MS = 0.2
"""For the rows of the item-item matrix that a user's history picks, and biases of their own: what
``benchmarks/search/history_parts.py`` measures at 100,000 items."""
RANKED_MS = 0.03
ASSUMED_ITEMS = 100_000
"""Size of a catalogue, where it is not known."""


def cost_ms(query: Query, n_items: int = ASSUMED_ITEMS) -> float:
    """Processor time of one query in milliseconds, on a core of 2025.

    Parameters
    ----------
    n_items
        In the catalogue.

    Notes
    -----
    ``0.2 + 0.2 [user or recent] + 0.002 k + 0.02 k [explain] + 1.5e-5 k pool [diversity] + 0.002 names
    + 0.01 clauses + 4e-6 n_items (1 + filtered)``, where ``pool`` is what `diversify` chooses from, ``[…]`` is 1 where
    it holds and 0 where it does not, ``names`` counts candidates, excluded, recent and shown items and the values of
    features, ``clauses`` those of the filter, and ``filtered`` boosts and the names that the filter has clauses of;
    with candidates there is no pass over all items.
    """
    pairs = query.k * pool_size(query.k) if query.diversity else 0
    candidates = query.candidates or ()
    names = sum(map(len, (candidates, query.exclude, query.recent, query.shown))) + _values(query.features)
    rows = 0 if query.candidates is not None else n_items
    return (
        QUERY_MS
        + _history_ms(query)
        + query.k * (ITEM_MS + EXPLAINED_MS * query.explain)
        + pairs * PAIR_MS
        + names * NAME_MS
        + len(query.filter) * CLAUSE_MS
        + (rows + n_items * (_n_filtered(query.filter) + len(query.boost))) * ROW_MS
    )


def rank_cost_ms(query: RankQuery) -> float:
    """The same of a ranking: ``0.2 + 0.2 [user or recent] + 0.03 items + 0.002 names``."""
    names = len(query.recent) + _values(query.features) + sum(_values(features) for _, features in query.items)
    return QUERY_MS + _history_ms(query) + len(query.items) * RANKED_MS + names * NAME_MS


def read_cost_ms(request: ReadRequest, n_items: int = ASSUMED_ITEMS) -> float:
    """The same of any read request; infinite for one that needs an index or the end of the log."""
    match request:
        case RankQuery():
            return rank_cost_ms(request)
        case PopularRequest():
            return cost_ms(Query(k=request.k, filter=request.filter), n_items)
        case SimilarItemsRequest():
            # one pass for the cosines, one to choose
            return n_items * ROW_MS + cost_ms(Query(k=request.k, filter=request.filter), n_items)
        case _:
            return math.inf


def is_light(queries: Sequence[Query], n_items: int = ASSUMED_ITEMS) -> bool:
    """Whether a call with these queries is answered at once."""
    return sum(cost_ms(query, n_items) for query in queries) <= LIGHT_MS


def is_heavy(request: ReadRequest) -> bool:
    """Whether a request costs more than `LIGHT_MS`."""
    return isinstance(request, RankQuery) and rank_cost_ms(request) > LIGHT_MS


def may_take_long(request: ReadRequest) -> bool:
    """Whether silence does not mean that the replica is lost: heavy work, or an index built on first use."""
    return isinstance(request, SearchRequest | SimilarUsersRequest) or is_heavy(request)


def slices(queries: Sequence[Query], most_ms: float, n_items: int = ASSUMED_ITEMS) -> Iterator[slice]:
    """Neighbouring queries that together cost at most `most_ms`, or one that alone costs more."""
    start, spent_ms = 0, 0.0
    for number, query in enumerate(queries):
        own_ms = cost_ms(query, n_items)
        if number > start and spent_ms + own_ms > most_ms:
            yield slice(start, number)
            start, spent_ms = number, 0.0
        spent_ms += own_ms
    if len(queries) > start:
        yield slice(start, len(queries))


def _history_ms(query: Query | RankQuery) -> float:
    return HISTORY_MS if query.user_id is not None or query.recent else 0.0


def _n_filtered(clauses: Sequence[str]) -> int:
    """Names that a filter has clauses of, twice where some must hold and others must not."""
    return len({clause.partition(":")[0] for clause in clauses})


def _values(features: FeatureMap | None) -> int:
    return sum(len(value) if isinstance(value, list) else 1 for value in (features or {}).values())
