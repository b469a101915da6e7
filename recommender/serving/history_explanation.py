"""Because: why an item is in an answer, in words that its score bears out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from recommender import cases
from recommender.models.fold_in import (
    LONGEST,
    fold_in_contributions,
    history_share,
    mapped_width,
    recent_share,
    share_of_each,
)
from recommender.serving.snapshot import Snapshot, UserVector

NAMED_FROM = 0.1
"""Share of all that speaks for an item, from which on a feature is named."""

_NO_FEATURES = frozenset({"popularity", "item_id", "new_item"})
_CATEGORY = re.compile(r"(?P<name>(?:[^=\\]|\\.)*)=(?P<value>.*)", re.DOTALL)
_BUCKET = re.compile(r"(?P<name>.*) (?:\(-∞|\[(?P<low>[^ ,]+)), (?P<high>[^ ,]+)\)", re.DOTALL)


def history_contributions(
    snapshot: Snapshot, user: UserVector, liked: NDArray[np.int32], recent: NDArray[np.float32]
) -> NDArray[np.float32]:
    """What each interaction of a user adds to their vector.

    The product of a part and an item's representation is what that interaction adds to the item's score: exactly, for
    interactions enter a vector by nothing but sums. Left out is only what LightFM has learned of the user by sampling,
    which no single interaction can be told from.

    Parameters
    ----------
    snapshot
        As it serves, with its user rows `to_serving`.
    user
        Of that snapshot, whose vector it is.
    liked
        Rows of what was learned of the user, oldest first; they count for a known user only.
    recent
        Representations of what was not, oldest first, shape (n, d).

    Returns
    -------
    float32 of shape (n_learned + n_recent, d), in this order.
    """
    known = user.case_row in cases.KNOWN_USERS
    share = recent_share(len(recent), known=known, has_features=user.case_row < cases.KNOWN_ALONE) if len(recent) else 0
    learned = np.float32(1 - share) * _learned_parts(snapshot, liked if known else liked[:0])
    return np.concatenate([learned, np.float32(share) * fold_in_contributions(snapshot.fold_in_weights, recent)])


def sentence(
    *, history: str | None, parts: Sequence[tuple[str, float]], boosts: Sequence[tuple[str, float]], explored: bool
) -> str:
    """One sentence, such as ``because you chose Star Wars (1977), and its genres include Sci-Fi``.

    Parameters
    ----------
    history
        Title of the interaction that adds most to the score, None where none adds anything.
    parts
        Of the score, as `Snapshot.explain` gives them, or ``popularity``.
    boosts
        What the request added.
    explored
        Whether the item is there so that somebody finds it.
    """
    reasons = ["it is new here and waits to be found"] if explored else []
    if history is not None:
        reasons.append(f"you chose {history}")
    feature = _strongest_feature(parts)
    if feature is not None:
        reasons.append(describe_feature(feature))
    reasons += [f"{token} is put forward" for token, amount in boosts if amount > 0]
    return "because " + ", and ".join(reasons or [_rest(dict(parts))])


@lru_cache(10_000)
def describe_feature(column: str) -> str:
    """What a column of a feature space says of an item: ``its year is from 1990 to below 1995``."""
    category, bucket = _CATEGORY.fullmatch(column), _BUCKET.fullmatch(column)
    if category:
        name, value = _name(category["name"]), category["value"]
        return f"its {name} include {value}" if name.endswith("s") else f"its {name} is {value}"
    if bucket is None:
        return f"it has {column}"
    low, high = bucket["low"], bucket["high"]
    bounds = f"from {low} to below {high}" if low and high != "∞" else f"{low} or more" if low else f"below {high}"
    return f"its {_name(bucket['name'])} is {bounds}"


def _learned_parts(snapshot: Snapshot, liked: NDArray[np.int32]) -> NDArray[np.float32]:
    """What `to_serving` made of each learned interaction in a user's row."""
    vectors = snapshot.items.vectors[liked]
    if not len(liked):
        return vectors
    n, d = np.array([len(liked)]), mapped_width(snapshot.fold_in_weights)
    parts = np.zeros_like(vectors)
    parts[-LONGEST:] = history_share(n) * fold_in_contributions(snapshot.fold_in_weights, vectors[-LONGEST:])
    parts[:, d:] = share_of_each(n) * vectors[:, d:]
    return parts


def _strongest_feature(parts: Sequence[tuple[str, float]]) -> str | None:
    speaking, strongest, feature = 0.0, 0.0, None
    for name, amount in parts:
        if amount > 0 and name != "user_bias":
            speaking += amount
            if amount > strongest and name not in _NO_FEATURES:
                strongest, feature = amount, name
    return feature if strongest >= NAMED_FROM * speaking else None


def _rest(parts: dict[str, float]) -> str:
    if "popularity" in parts:
        return "it is popular"
    if parts.get("item_id", 0.0) > 0:
        return "it does well with people like you"
    return "nothing else suits you better"


def _name(escaped: str) -> str:
    return re.sub(r"\\(.)", r"\1", escaped, flags=re.DOTALL).replace("_", " ")
