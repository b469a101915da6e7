"""Choosing items of a catalogue: which blocks are scored, what is masked, and who shares a pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.ids import UNKNOWN
from recommender.serving.boosts import Boosts, added
from recommender.serving.catalogue import Catalogue
from recommender.serving.snapshot import Table, UserVector
from recommender.vector_search.exact import NO_ROWS, Best, Users, best_rows, merged
from recommender.vector_search.ivf import search_inverted_file


class RetrievalRequest(NamedTuple):
    """What one query may get."""

    user: UserVector
    k: int
    excluded: Sequence[str] = ()
    """Item ids."""
    seen: NDArray[np.int32] = NO_ROWS
    """Rows of the snapshot, in any order."""
    filters: tuple[str, ...] = ()
    candidates: tuple[str, ...] | None = None
    boosts: Boosts = ()

    @property
    def batch_key(self) -> tuple[bool, tuple[str, ...], tuple[str, ...] | None, Boosts]:
        """What wishes must have in common to be chosen for in one pass."""
        return self.user.strategy == "popular", self.filters, self.candidates, self.boosts


class Retrieved(NamedTuple):
    """Positions in the catalogue, best first, and their scores."""

    positions: list[int]
    scores: NDArray[np.float32]
    explored: frozenset[int] = frozenset()
    """Those of `positions` that are there so that somebody finds them."""


class _Part(NamedTuple):
    """What may be returned of one block."""

    masked: NDArray[np.bool_]
    rows: NDArray[np.int32] | None
    """Only these, in catalogue order; None for all."""


def choose(catalogue: Catalogue, wishes: Sequence[RetrievalRequest]) -> list[Retrieved]:
    """Best items for each wish; those of equal `Wish.batch_key` share one pass over the item block.

    Returns
    -------
    At most `k` each, by falling score, equal scores in catalogue order; never one that is masked, excluded,
    seen, filtered or no candidate. Positions are rows of the snapshot, then of the delta.
    """
    together: dict[object, list[int]] = {}
    for number, wish in enumerate(wishes):
        together.setdefault(wish.batch_key, []).append(number)
    chosen: dict[int, Retrieved] = {}
    for numbers in together.values():
        batch_key = [wishes[number] for number in numbers]
        blocks = _blocks(catalogue, batch_key[0])
        chosen |= zip(numbers, _retrieve_batch(catalogue, batch_key, blocks), strict=True)
    return [chosen[number] for number in range(len(wishes))]


def retrieve_by_scores(
    catalogue: Catalogue, wish: RetrievalRequest, scores: NDArray[np.float32], delta_scores: NDArray[np.float32]
) -> Retrieved:
    """`choose` for one wish by scores made elsewhere, one a row of the snapshot and one a row of the delta.

    The user of the wish does not matter; a score of -inf is never chosen.
    """
    blocks = _width_zero(scores), _width_zero(delta_scores)
    return _retrieve_batch(catalogue, [wish], blocks)[0]


def _blocks(catalogue: Catalogue, wish: RetrievalRequest) -> tuple[Table, Table]:
    """What is scored for a wish: rows of the snapshot, and of the delta."""
    old, delta = catalogue.snapshot.items, catalogue.delta.items
    if wish.user.strategy == "popular":
        old, delta = _width_zero(catalogue.snapshot.popularity), _width_zero(catalogue.delta.popularity)
    if not wish.boosts:
        return old, delta
    return (
        Table(old.vectors, added(wish.boosts, old.biases, catalogue.filters.having)),
        Table(delta.vectors, added(wish.boosts, delta.biases, catalogue.delta.having)),
    )


def _retrieve_batch(
    catalogue: Catalogue, wishes: Sequence[RetrievalRequest], blocks: tuple[Table, Table]
) -> list[Retrieved]:
    popular, filters, candidates, _ = wishes[0].batch_key
    users = _users([wish.user for wish in wishes], popular=popular)
    ks = [wish.k for wish in wishes]
    part, snapshot = _old_part(catalogue, filters, candidates), catalogue.snapshot
    excluded = [_old_rows(catalogue, wish) for wish in wishes]
    if blocks[0] is snapshot.items and part.rows is None:
        # index and codes are of these scores and no others
        codes = snapshot.codes
        old = search_inverted_file(
            snapshot.index, *snapshot.items, users, ks, masked=part.masked, excluded=excluded, codes=codes
        )
    else:
        old = best_rows(*blocks[0], users, ks, masked=part.masked, excluded=excluded, rows=part.rows)
    delta = catalogue.delta
    if not delta.n:
        return [Retrieved(best.rows.tolist(), best.scores) for best in old]
    part = _delta_part(catalogue, filters, candidates)
    excluded = [_delta_rows(catalogue, wish) for wish in wishes]
    new = best_rows(*blocks[1], users, ks, masked=part.masked, excluded=excluded, rows=part.rows)
    return [_merged(catalogue, *each) for each in zip(old, new, ks, strict=True)]


def _users(users: Sequence[UserVector], *, popular: bool) -> Users:
    if popular:
        return Users(np.zeros((len(users), 0), np.float32), np.zeros(len(users), np.float32))
    return Users(
        np.array([user.vector for user in users], np.float32), np.array([user.bias for user in users], np.float32)
    )


def _width_zero(popularity: NDArray[np.float32]) -> Table:
    """The baseline as a block: every vector is empty, and what is left of a score is the bias."""
    return Table(np.zeros((len(popularity), 0), np.float32), popularity)


def _merged(catalogue: Catalogue, old: Best, new: Best, k: int) -> Retrieved:
    order, scores = merged(old, new, catalogue.delta.places[new.rows], k)
    positions = np.concatenate([old.rows, new.rows + np.int32(catalogue.snapshot.n_items)])
    return Retrieved(positions[order].tolist(), scores)


def _old_part(catalogue: Catalogue, filters: Sequence[str], candidates: Sequence[str] | None) -> _Part:
    masked = catalogue.masked
    rows = None if candidates is None else _known(catalogue.snapshot.item_ids.indices_of(candidates))
    if not filters:
        return _Part(masked, rows)
    kept = catalogue.filters.kept(filters)
    if rows is not None:
        return _Part(masked, rows[kept.rows[rows]])
    return _Part(masked, kept.listed) if kept.listed is not None else _Part(masked | ~kept.rows, None)


def _delta_part(catalogue: Catalogue, filters: Sequence[str], candidates: Sequence[str] | None) -> _Part:
    delta = catalogue.delta
    rows = delta.order
    if candidates is not None:
        named = _positions(catalogue, candidates)
        rows = named[np.argsort(delta.places[named])].astype(np.int32)
    if filters:
        rows = rows[catalogue.filters.kept(filters).filter.among(delta.n, delta.having)[rows]]
    return _Part(~delta.live, rows)


def _old_rows(catalogue: Catalogue, wish: RetrievalRequest) -> NDArray[np.int32]:
    """Rows of the snapshot that the wish must not get, rising."""
    if not wish.excluded:
        return np.sort(wish.seen)
    return np.sort(np.concatenate([wish.seen, _known(catalogue.snapshot.item_ids.indices_of(wish.excluded))]))


def _delta_rows(catalogue: Catalogue, wish: RetrievalRequest) -> NDArray[np.int32]:
    """Rows of the delta that the wish must not get, rising."""
    replaced = np.flatnonzero(np.isin(catalogue.delta.places, wish.seen))
    return np.union1d(_positions(catalogue, wish.excluded), replaced).astype(np.int32)


def _positions(catalogue: Catalogue, item_ids: Sequence[str]) -> NDArray[np.int64]:
    rows = catalogue.delta.rows
    return np.array(sorted({rows[item_id] for item_id in item_ids if item_id in rows}), np.int64)


def _known(indices: NDArray[np.int32]) -> NDArray[np.int32]:
    """Those that are there, rising, each once."""
    return np.unique(indices[indices != UNKNOWN])
