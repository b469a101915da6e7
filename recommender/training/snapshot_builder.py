"""From a trained model and a catalogue to a snapshot."""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.errors import InvalidDataError
from recommender.feature_space import Features, FeatureSpace, tokens
from recommender.ids import UNKNOWN, IdTable, TextTable
from recommender.models.entities import Entities
from recommender.models.fold_in import learn_fold_in
from recommender.models.lightfm_recommender import LFMRecommender
from recommender.models.popularity import predict_popularity
from recommender.serving.exclusions import NO_EXCLUSIONS, Exclusions
from recommender.serving.snapshot import Rows, Snapshot, Table, append_zero_row, without


class CatalogueEntry(NamedTuple):
    """An item as the store has it."""

    item_id: str
    features: Features
    title: str | None = None
    available: bool = True


def still_withdrawn(before: Snapshot | None, entries: Container[str]) -> list[str]:
    """Items that a snapshot has as deleted or not available, and of which a catalogue knows nothing.

    A store that was lost knows neither the one nor the other; its silence puts nothing back on sale.
    """
    if before is None:
        return []
    withdrawn = before.item_ids.ids_of(np.flatnonzero(~before.available).tolist())
    return [item_id for item_id in withdrawn if item_id not in entries]


def build_snapshot(
    model: LFMRecommender,
    user_space: FeatureSpace,
    item_space: FeatureSpace,
    histories: Rows,
    catalogue: Sequence[CatalogueEntry],
    *,
    disliked: Rows | None = None,
    fold_in_weights: NDArray[np.float32] | None = None,
    deleted: Collection[str] = (),
    exclusions: Exclusions = NO_EXCLUSIONS,
    meta: Mapping[str, Any],
) -> Snapshot:
    """Lay out what serves.

    Parameters
    ----------
    model
        Trained with the columns of the two spaces.
    user_space, item_space
        What names and values mean.
    histories
        What each user of the model has interacted with, by index.
    catalogue
        Items as they are now. Those that were not trained join by their features; those without any
        learned feature cannot be scored and stay out.
    disliked
        What of it they did not like; nothing when absent.
    fold_in_weights
        Map that was learned before; without one it is learned, towards the users as the model has them.
    deleted
        Trained items that are no longer in the catalogue: their rows, where they have one, are never returned.
    exclusions
        What users know of which the model has not both sides.
    meta
        ``log_offset``, ``items_sequence`` and whatever else the snapshot is to say of itself.
    """
    entries = {entry.item_id: entry for entry in catalogue}
    item_features = _learned(model.items, item_space, model.item_embeddings, model.item_biases)
    item_ids, rows = _catalogue_rows(model, item_space, entries)
    n_known = len(model.items.ids) if model.items.has_indicators else 0
    items = _item_block(model, item_features, rows, n_known)
    listed = [entries.get(item_id) for item_id in item_ids]
    words = [dict.fromkeys(tokens(entry.features)) if entry else {} for entry in listed]
    filter_tokens, filter_rows = _postings([list(own) for own in words])
    popularity_weights = _popularity_weights(model, item_space)
    available = [entry.available if entry else True for entry in listed]
    gone = item_ids.indices_of(list(deleted))
    snapshot_available = np.array(available, np.bool_)
    snapshot_available[gone[gone != UNKNOWN]] = False
    disliked = disliked or Rows(np.zeros_like(histories.indptr), np.zeros(0, np.int32), np.zeros(0, np.float32))
    if fold_in_weights is None:
        users = model.users.rows() @ model.user_embeddings
        liked = without(histories, disliked)
        fold_in_weights = learn_fold_in(items.vectors, liked.indptr, liked.indices, users)
    return Snapshot(
        user_ids=model.users.ids,
        user_space=user_space,
        user_features=_learned(model.users, user_space, model.user_embeddings, model.user_biases),
        user_indicators=_gather(model.user_embeddings, model.user_biases, model.users.indicator_columns),
        item_ids=item_ids,
        n_known_items=n_known,
        n_trained_items=len(model.items.ids),
        available=snapshot_available,
        titles=TextTable.from_texts((entry.title or "") if entry else "" for entry in listed),
        item_space=item_space,
        item_features=item_features,
        newcomer_features=append_zero_row(item_features),
        item_rows=_csr_rows(rows),
        items=items,
        popularity=_popularity(model, rows, popularity_weights),
        popularity_weights=popularity_weights,
        seen=histories,
        disliked=disliked,
        filter_tokens=filter_tokens,
        filter_rows=filter_rows,
        fold_in_weights=fold_in_weights,
        meta=meta,
        user_rows=_csr_rows(model.users.features[:, _places(model.users, user_space)]),
        exclusions=exclusions,
    )


def _csr_rows(matrix: sparse.csr_matrix) -> Rows:
    return Rows(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data.astype(np.float32))


def _gather(embeddings: Any, biases: Any, columns: NDArray[np.int32]) -> Table:
    return Table(embeddings[columns], biases[columns])


def _learned(side: Entities, space: FeatureSpace, embeddings: Any, biases: Any) -> Table:
    """Embeddings in the order of the space."""
    return _gather(embeddings, biases, side.feature_columns[_places(side, space)])


def _places(side: Entities, space: FeatureSpace) -> NDArray[np.int32]:
    places = side.names.indices_of(space.names)
    if (places == UNKNOWN).any():
        missing = space.names[int(np.flatnonzero(places == UNKNOWN)[0])]
        raise InvalidDataError(f"the model was not trained with the column {missing!r} of this feature space")
    return places


def _catalogue_rows(
    model: LFMRecommender, space: FeatureSpace, entries: Mapping[str, CatalogueEntry]
) -> tuple[IdTable, sparse.csr_matrix]:
    known = list(model.items.ids)
    unknown = [item_id for item_id in entries if item_id not in model.items.ids]
    names = [*known, *unknown]
    rows = space.encode_many(entries[item_id].features if item_id in entries else {} for item_id in names)
    with_features = np.diff(rows.indptr) > 0
    with_features[: len(known)] = True  # a known item is there whatever is said of it
    kept = np.flatnonzero(with_features)
    return IdTable.from_ids(names[index] for index in kept.tolist()), rows[kept]


def _item_block(model: LFMRecommender, features: Table, rows: sparse.csr_matrix, n_known: int) -> Table:
    vectors, biases = rows @ features.vectors, rows @ features.biases
    indicators = _gather(model.item_embeddings, model.item_biases, model.items.indicator_columns)
    vectors[:n_known] += indicators.vectors
    biases[:n_known] += indicators.biases
    return Table(np.ascontiguousarray(vectors, np.float32), np.ascontiguousarray(biases, np.float32))


def _popularity_weights(model: LFMRecommender, space: FeatureSpace) -> NDArray[np.float32]:
    learned = model.popularity_weights
    return np.append(learned[:-1][_places(model.items, space)], learned[-1]).astype(np.float32)


def _popularity(model: LFMRecommender, rows: sparse.csr_matrix, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    promised = predict_popularity(weights, rows[len(model.popularity) :])
    return np.concatenate([model.popularity, promised]).astype(np.float32)


def _postings(lists: Sequence[Sequence[str]]) -> tuple[IdTable, Rows]:
    """Inverted lists: which items have a token, by rising index."""
    table = IdTable.from_ids(token for each in lists for token in each)
    columns = table.indices_of([token for each in lists for token in each])
    items = np.repeat(np.arange(len(lists), dtype=np.int32), [len(each) for each in lists])
    order = np.argsort(columns, kind="stable")
    indptr = np.zeros(len(table) + 1, np.int64)
    np.cumsum(np.bincount(columns, minlength=len(table)), out=indptr[1:])
    return table, Rows(indptr, items[order], np.zeros(0, np.float32))
