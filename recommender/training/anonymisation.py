"""Anonymisation: a version without one user, whose place in its arrays nobody has any more.

Indices of users stay, so that nothing else of the version moves: another id stands at the user's, one that tells
nothing; the row of their indicator begins anew, and of what they did and what was said of them nothing is left. What
their interactions have taught the items is not taken back: a full training does that, which no longer has them.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from recommender.ids import UNKNOWN, Arrays, IdTable, with_prefix, without_prefix
from recommender.models.checkpoint import model_from_arrays, model_to_arrays, model_to_meta
from recommender.serving.exclusions import Exclusions
from recommender.storage.registry import Artifact

SNAPSHOT, TRAIN_STATE = "snapshot", "train_state"
ROWS = ("seen", "disliked", "user_rows")


def knows_user(artifact: Artifact, user_id: str) -> bool:
    """Whether a version has a user's id in any of its parts."""
    tables = [
        IdTable.from_arrays(without_prefix(prefix, artifact.parts[part]))
        for part, prefix in ((SNAPSHOT, "user_ids"), (SNAPSHOT, "exclusions.user_ids"), (TRAIN_STATE, "users.ids"))
        if f"{prefix}.hashes" in artifact.parts.get(part, {})
    ]
    return any(user_id in table for table in tables)


def without_user(artifact: Artifact, user_id: str) -> Artifact:
    """Artifact without a user: all of its parts, and metadata that fit them."""
    new_id = f"forgotten-{secrets.token_hex(8)}"
    parts, meta = dict(artifact.parts), artifact.meta
    if SNAPSHOT in parts:
        parts[SNAPSHOT] = _snapshot_without(parts[SNAPSHOT], user_id, new_id)
    if TRAIN_STATE in parts:
        parts[TRAIN_STATE], model = _model_without(parts[TRAIN_STATE], meta.model, user_id, new_id)
        meta = msgspec.structs.replace(meta, model=model)
    return Artifact(parts, meta)


def _snapshot_without(arrays: Arrays, user_id: str, new_id: str) -> dict[str, NDArray[Any]]:
    changed = dict(arrays)
    ids = IdTable.from_arrays(without_prefix("user_ids", arrays))
    index = ids.index_of(user_id)
    if index != UNKNOWN:
        changed |= with_prefix("user_ids", ids.renamed(user_id, new_id).to_arrays())
        changed |= _zeroed(arrays, "user_indicators", index)
        for name in ROWS:
            if f"{name}.indptr" in arrays:
                changed |= with_prefix(name, _emptied(without_prefix(name, arrays), index))
    exclusions = without_prefix("exclusions", arrays)
    if exclusions:
        kept = Exclusions.from_arrays(exclusions)
        changed |= with_prefix("exclusions", kept.extended(kept.pairs()[:0], [user_id]).to_arrays())
    return changed


def _zeroed(arrays: Arrays, name: str, index: int) -> dict[str, NDArray[Any]]:
    """A table with a row of zeros; without indicators there is none."""
    own = {key: array.copy() for key, array in with_prefix(name, without_prefix(name, arrays)).items()}
    for array in own.values():
        array[index : index + 1] = 0
    return own


def _emptied(rows: Arrays, index: int) -> dict[str, NDArray[Any]]:
    """CSR arrays with nothing in a row; where there are fewer rows they are the same."""
    indptr = rows["indptr"].view(np.int64)
    if index + 1 >= len(indptr):
        return dict(rows)
    start, end = int(indptr[index]), int(indptr[index + 1])
    shorter = indptr.copy()
    shorter[index + 1 :] -= end - start
    others = {name: array for name, array in rows.items() if name != "indptr"}
    cut = {
        name: np.delete(array, slice(start, end)) if len(array) == len(rows["indices"]) else array
        for name, array in others.items()
    }
    return {"indptr": shorter, **cut}


def _model_without(
    arrays: Arrays, meta: dict[str, Any], user_id: str, new_id: str
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    model = model_from_arrays(arrays, meta)
    if user_id not in model.users.ids:
        return dict(arrays), meta
    model.forget_users(user_id)
    model.users = replace(model.users, ids=model.users.ids.renamed(user_id, new_id))
    return model_to_arrays(model), model_to_meta(model)
