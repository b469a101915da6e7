"""Choosing items of a catalogue: which blocks are scored, what is masked, and who shares a pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.ids import UNKNOWN
from recommender.schema import RuleName
from recommender.serving.boosts import Boosts, added
from recommender.serving.catalogue import Catalogue
from recommender.serving.personal_biases import personal_biases, users_at_once
from recommender.serving.snapshot import Table, UserVector
from recommender.vector_search.exact import NO_ROWS, Best, Users, best_rows, merged
from recommender.vector_search.ivf import Index, search_inverted_file
from recommender.vector_search.quantization import QuantizedBlock


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
    narrowed: tuple[tuple[str, ...], ...] = ()
    """Further filters, all of which must hold beside `filters`."""
    kept: dict[str, _Blocks] | None = None
    """Where what is scored for this user is kept, for further requests of the same answer; None to keep nothing."""

    @property
    def batch_key(self) -> tuple[bool, tuple[tuple[str, ...], ...], tuple[str, ...] | None, Boosts]:
        """What wishes must have in common to be chosen for in one pass."""
        filters = (self.filters, *self.narrowed) if self.filters else self.narrowed
        return self.user.strategy == "popular", filters, self.candidates, self.boosts


class Retrieved(NamedTuple):
    """Positions in the catalogue, best first, and their scores."""

    positions: list[int]
    scores: NDArray[np.float32]
    explored: Mapping[int, float] = {}
    """Those of `positions` that are there so that somebody finds them, with the probability of each in its draw."""
    rules: Mapping[int, RuleName] = {}
    """Rule of a placement because of which one of `positions` stands where it does."""


class _Blocks(NamedTuple):
    """What is scored."""

    items: Table
    """Rows of the snapshot; their biases are everyone's, or of shape (n_users, at least n) each user's own."""
    delta: Table
    lists: Index | None = None
    codes: QuantizedBlock | None = None
    touched: list[NDArray[np.int32]] | None = None
    """Rows that the item-item matrix has something for, for each user."""

    def of_user(self, number: int) -> _Blocks:
        """The same for one of the users who have biases of their own."""
        some = slice(number, number + 1)
        items, delta = (
            Table(self.items.vectors, self.items.biases[some]),
            Table(self.delta.vectors, self.delta.biases[some]),
        )
        return _Blocks(
            items, delta, self.lists, self.codes and self.codes.of_users(some), self.touched and self.touched[some]
        )


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
        batch = [wishes[number] for number in numbers]
        chosen |= zip(numbers, _retrieve_alike(catalogue, batch), strict=True)
    return [chosen[number] for number in range(len(wishes))]


def retrieve_by_scores(
    catalogue: Catalogue, wish: RetrievalRequest, scores: NDArray[np.float32], delta_scores: NDArray[np.float32]
) -> Retrieved:
    """`choose` for one wish by scores made elsewhere, one a row of the snapshot and one a row of the delta.

    The user of the wish does not matter; a score of -inf is never chosen.
    """
    blocks = _Blocks(_width_zero(scores), _width_zero(delta_scores))
    return _retrieve_batch(catalogue, [wish], blocks)[0]


def _retrieve_alike(catalogue: Catalogue, wishes: Sequence[RetrievalRequest]) -> list[Retrieved]:
    """`choose` for wishes of one `batch_key`."""
    if len(wishes) == 1 and wishes[0].kept:
        return _retrieve_batch(catalogue, wishes, wishes[0].kept["blocks"])
    blocks, snapshot = _blocks(catalogue, wishes[0]), catalogue.snapshot
    if wishes[0].user.strategy == "popular" or not any(len(wish.user.history.rows) for wish in wishes):
        return _retrieve_batch(catalogue, wishes, blocks)
    chosen, step = [], users_at_once(snapshot.n_items)
    for start in range(0, len(wishes), step):
        some = wishes[start : start + step]
        own = _personal(catalogue, some, blocks)
        chosen += _retrieve_batch(catalogue, some, own)
        for number, wish in enumerate(some):
            if wish.kept is not None:
                wish.kept["blocks"] = own.of_user(number)
    return chosen


def _personal(catalogue: Catalogue, wishes: Sequence[RetrievalRequest], blocks: _Blocks) -> _Blocks:
    """Blocks with what the item-item matrix adds for each user."""
    histories = [wish.user.history for wish in wishes]
    rows = catalogue.delta_snapshot_rows
    own = personal_biases(catalogue.snapshot, blocks.items.biases, blocks.delta.biases, rows, histories)
    codes = blocks.codes
    return _Blocks(
        Table(blocks.items.vectors, own.items),
        Table(blocks.delta.vectors, own.delta),
        blocks.lists,
        codes and codes.with_biases(own.items, own.largest),
        own.touched,
    )


def _blocks(catalogue: Catalogue, wish: RetrievalRequest) -> _Blocks:
    """What is scored for a wish."""
    snapshot = catalogue.snapshot
    old, delta = snapshot.items, catalogue.delta.items
    if wish.user.strategy == "popular":
        old, delta = _width_zero(snapshot.popularity), _width_zero(catalogue.delta.popularity)
    if not wish.boosts:
        # index and codes are of these scores and no others
        return _Blocks(old, delta, snapshot.index, snapshot.codes) if old is snapshot.items else _Blocks(old, delta)
    return _Blocks(
        Table(old.vectors, added(wish.boosts, old.biases, catalogue.filters.having)),
        Table(delta.vectors, added(wish.boosts, delta.biases, catalogue.delta.having)),
    )


def _retrieve_batch(catalogue: Catalogue, wishes: Sequence[RetrievalRequest], blocks: _Blocks) -> list[Retrieved]:
    popular, filters, candidates, _ = wishes[0].batch_key
    users = _users([wish.user for wish in wishes], popular=popular)
    ks = [wish.k for wish in wishes]
    part = _old_part(catalogue, filters, candidates)
    excluded = [_old_rows(catalogue, wish) for wish in wishes]
    if part.rows is None:
        old = search_inverted_file(
            blocks.lists,
            *blocks.items,
            users,
            ks,
            masked=part.masked,
            excluded=excluded,
            codes=blocks.codes,
            read=blocks.touched,
        )
    else:
        old = best_rows(*blocks.items, users, ks, masked=part.masked, excluded=excluded, rows=part.rows)
    delta = catalogue.delta
    if not delta.n:
        return [Retrieved(best.rows.tolist(), best.scores) for best in old]
    part = _delta_part(catalogue, filters, candidates)
    excluded = [_delta_rows(catalogue, wish) for wish in wishes]
    new = best_rows(*blocks.delta, users, ks, masked=part.masked, excluded=excluded, rows=part.rows)
    return [_merged(catalogue, *each) for each in zip(old, new, ks, strict=True)]


def _users(users: Sequence[UserVector], *, popular: bool) -> Users:
    if popular:
        return Users(np.zeros((len(users), 0), np.float32), np.zeros(len(users), np.float32))
    # what every item gets from a user orders nothing
    return Users(np.array([user.vector for user in users], np.float32), np.zeros(len(users), np.float32))


def _width_zero(popularity: NDArray[np.float32]) -> Table:
    """The baseline as a block: every vector is empty, and what is left of a score is the bias."""
    return Table(np.zeros((len(popularity), 0), np.float32), popularity)


def _merged(catalogue: Catalogue, old: Best, new: Best, k: int) -> Retrieved:
    order, scores = merged(old, new, catalogue.delta.places[new.rows], k)
    positions = np.concatenate([old.rows, new.rows + np.int32(catalogue.snapshot.n_items)])
    return Retrieved(positions[order].tolist(), scores)


def _old_part(catalogue: Catalogue, filters: Sequence[Sequence[str]], candidates: Sequence[str] | None) -> _Part:
    masked = catalogue.masked
    rows = None if candidates is None else _known(catalogue.snapshot.item_ids.indices_of(candidates))
    found = [catalogue.filters.kept(each) for each in filters]
    for kept in sorted(found, key=lambda each: each.listed is None):
        if rows is not None:
            rows = rows[kept.rows[rows]]
        elif kept.listed is not None:
            rows = kept.listed
        else:
            masked = masked | ~kept.rows
    return _Part(masked, rows)


def _delta_part(catalogue: Catalogue, filters: Sequence[Sequence[str]], candidates: Sequence[str] | None) -> _Part:
    delta = catalogue.delta
    rows = delta.order
    if candidates is not None:
        named = _positions(catalogue, candidates)
        rows = named[np.argsort(delta.places[named])].astype(np.int32)
    for each in filters:
        rows = rows[catalogue.filters.kept(each).filter.among(delta.n, delta.having)[rows]]
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
