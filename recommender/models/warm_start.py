"""Warm start: a fit begins with what an earlier model has learned of the same users, items and features."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recommender.ids import UNKNOWN, IdTable
from recommender.models.compiled_trainer import TABLES
from recommender.models.entities import Entities
from recommender.models.vector_regression import regressed_parts_in_indicators

if TYPE_CHECKING:
    from recommender.models.lightfm_recommender import LFMRecommender

Places = NDArray[np.int32]


def take_over(model: LFMRecommender, start: LFMRecommender) -> None:
    """Overwrite the rows of a model's tables whose indicator or feature an earlier model has trained.

    Embeddings, biases and the state of the optimiser go over; what `start` does not know stays as it is. What its
    dense vectors predict goes over as part of the indicators, as always while LightFM trains.

    Parameters
    ----------
    model
        With tables of the size of its sides; written.
    start
        With as many components.
    """
    with regressed_parts_in_indicators(start):
        for what in ("user", "item"):
            own, theirs = getattr(model, f"{what}s"), getattr(start, f"{what}s")
            for to, of in _shared_columns(own, theirs):
                for table in TABLES:
                    getattr(model, f"{what}_{table}")[to] = getattr(start, f"{what}_{table}")[of]


def _shared_columns(own: Entities, theirs: Entities) -> Iterator[tuple[Places, Places]]:
    """Columns of features, then of indicators, that both sides have."""
    trained = np.delete(np.arange(len(theirs.names), dtype=np.int32), theirs.regressed)
    to, of = _shared(own.names, IdTable.from_ids(theirs.names.ids_of(trained)))
    yield own.feature_columns[to], theirs.feature_columns[trained[of]]
    if own.has_indicators and theirs.has_indicators:
        to, of = _shared(own.ids, theirs.ids)
        yield own.indicator_columns[to], theirs.indicator_columns[of]


def _shared(own: IdTable, theirs: IdTable) -> tuple[Places, Places]:
    of = theirs.indices_of(own)
    to = np.flatnonzero(of != UNKNOWN).astype(np.int32)
    return to, of[to]
