"""A model's whole state as arrays, to go on training after a restart; nothing is pickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.ids import Arrays, IdTable, with_prefix, without_prefix
from recommender.models.compiled_trainer import TABLES
from recommender.models.entities import Entities
from recommender.models.lightfm_recommender import LFMRecommender

SIDES = (("user", "users"), ("item", "items"))
_RANDOM = "random.key"


def model_to_arrays(model: LFMRecommender) -> dict[str, NDArray[np.generic]]:
    """Arrays of a fitted model; the tables are its own, to be written before it trains on."""
    arrays: dict[str, NDArray[np.generic]] = {
        "popularity": model.popularity,
        "popularity_weights": model.popularity_weights,
        _RANDOM: _random_state(model)[1],
    }
    for what, name in SIDES:
        arrays |= {f"{what}_{table}": getattr(model, f"{what}_{table}") for table in TABLES}
        arrays |= with_prefix(name, _side_arrays(getattr(model, name)))
    return arrays


def model_to_meta(model: LFMRecommender) -> dict[str, Any]:
    """What is not an array, for JSON."""
    parameters = {name: value for name, value in model.get_params().items() if name != "random_state"}
    _, _, position, has_gauss, cached = _random_state(model)
    return {
        "parameters": parameters,
        "seed": model.seed,
        "random": [int(position), int(has_gauss), float(cached)],
    }


def model_from_arrays(arrays: Arrays, meta: Mapping[str, Any]) -> LFMRecommender:
    """Model that goes on exactly where that one stood; its arrays are copies, which LightFM can write."""
    model = LFMRecommender(**meta["parameters"], random_state=meta["seed"])
    position, has_gauss, cached = meta["random"]
    model.random_state.set_state(("MT19937", arrays[_RANDOM].astype(np.uint32), position, has_gauss, cached))
    for what, name in SIDES:
        for table in TABLES:
            setattr(model, f"{what}_{table}", np.array(arrays[f"{what}_{table}"]))
        setattr(model, name, _side(getattr(model, name), without_prefix(name, arrays)))
    model.restore_popularity(np.array(arrays["popularity"]), np.array(arrays["popularity_weights"]))
    return model


def _side_arrays(side: Entities) -> dict[str, NDArray[np.generic]]:
    return {
        **with_prefix("ids", side.ids.to_arrays()),
        **with_prefix("names", side.names.to_arrays()),
        "feature_columns": side.feature_columns,
        "indicator_columns": side.indicator_columns,
        "regressed": side.regressed,
        "indptr": side.features.indptr,
        "indices": side.features.indices,
        "weights": side.features.data,
    }


def _side(empty: Entities, arrays: Arrays) -> Entities:
    ids = IdTable.from_arrays(without_prefix("ids", arrays))
    names = IdTable.from_arrays(without_prefix("names", arrays))
    parts = tuple(np.array(arrays[name]) for name in ("weights", "indices", "indptr"))
    return replace(
        empty,
        ids=ids,
        names=names,
        feature_columns=np.array(arrays["feature_columns"]),
        indicator_columns=np.array(arrays["indicator_columns"]),
        features=sparse.csr_matrix(parts, (len(ids), len(names))),
        # a version from before dense vectors has none
        regressed=np.array(arrays.get("regressed", empty.regressed)),
    )


def _random_state(model: LFMRecommender) -> tuple[str, NDArray[np.uint32], int, int, float]:
    name, key, position, has_gauss, cached = model.random_state.get_state(legacy=True)
    return str(name), np.asarray(key, np.uint32), int(position), int(has_gauss), float(cached)
