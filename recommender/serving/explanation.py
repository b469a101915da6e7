"""Explanation: what adds up to the scores of an answer, which interactions add most, and a sentence for each item."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender import cases
from recommender.feature_space import Encoded
from recommender.ids import UNKNOWN
from recommender.models.fold_in import (
    LONGEST,
    fold_in_contributions,
    history_share,
    mapped_width,
    recent_share,
    share_of_each,
)
from recommender.rounding import short
from recommender.schema import InteractionShare
from recommender.serving.boosts import Boosts
from recommender.serving.catalogue import Catalogue
from recommender.serving.history_weights import UserHistory
from recommender.serving.retrieval import Retrieved
from recommender.serving.snapshot import Snapshot, UserVector
from recommender.vector_search.row_sums import SparseRows, look_up

Parts = list[tuple[str, float]]
BOOST = "boost "
"""Before the token in a name of a contribution."""
HISTORY = "history"
"""Name of what item-item matrix and low-pass filter add for all that the user has chosen."""
MOST_INTERACTIONS = 3
"""So many of the interactions that add most are named with their shares."""
NAMED_FROM = 0.1
"""Share of all that speaks for an item, from which on a feature is named."""

_ROUNDING = 1e-6
_NO_FEATURES = frozenset({"popularity", "item_id", "new_item", HISTORY})
_CATEGORY = re.compile(r"(?P<name>(?:[^=\\]|\\.)*)=(?P<value>.*)", re.DOTALL)
_BUCKET = re.compile(r"(?P<name>.*) (?:\(-∞|\[(?P<low>[^ ,]+)), (?P<high>[^ ,]+)\)", re.DOTALL)


class Explanation(NamedTuple):
    """Why one item is in an answer."""

    parts: Parts
    """Names and contributions; they add up to the score."""
    because: str
    interactions: list[InteractionShare]
    """Those that add most, the largest share first; none that adds nothing. What they add by way of LightFM's
    vectors is in the parts of features too."""


class ExplainedUser(NamedTuple):
    """For whom an answer is."""

    vector: UserVector
    row: int
    """Of a known user, -1 for anyone else."""
    recent: Sequence[str]
    """Item ids that were liked and the snapshot has not learned, oldest first."""
    disliked: Collection[str] = ()
    """Item ids that were liked when the snapshot learned of them, if it did, and are no longer."""


def explained(catalogue: Catalogue, user: ExplainedUser, chosen: Retrieved, boosts: Boosts) -> list[Explanation]:
    """Each chosen item explained: what the request added comes first, then the largest amount.

    The sentence names the interaction and the feature that add most to the score, if they add anything: an interaction
    by its share in all of the score, a feature by its contribution.
    """
    boosted = _boosted(catalogue, chosen.positions, boosts)
    of_history = history_shares(catalogue, user.vector.history, chosen.positions)
    parts = _parts(catalogue, user.vector, chosen, boosted, of_history.sum(axis=0).tolist())
    causes = _causes(catalogue, user, chosen, of_history)
    return [
        Explanation(
            [*added, *own],
            sentence(
                history=(shares[0].title or shares[0].item_id) if shares else None,
                parts=own,
                boosts=_named(added),
                explored=position in chosen.explored,
            ),
            shares,
        )
        for position, shares, own, added in zip(chosen.positions, causes, parts, boosted, strict=True)
    ]


def history_shares(catalogue: Catalogue, history: UserHistory, positions: Sequence[int]) -> NDArray[np.float64]:
    """What item-item matrix and low-pass filter make each interaction of a history add to the scores of some items.

    Returns
    -------
    float64 of shape (n_interactions, n_positions), the interactions in their order in `history`. Sums over them are
    what the two parts add to the scores, exactly but for rounding.
    """
    snapshot = catalogue.snapshot
    matrix = SparseRows(*snapshot.item_item)
    rows = catalogue.snapshot_rows(positions)
    entries = look_up(matrix, history.rows, rows, snapshot.n_items).astype(np.float64)
    shares: NDArray[np.float64] = entries * history.item_item[:, None]
    if snapshot.history is not None and snapshot.history.n_low_pass:
        n = snapshot.history.n_low_pass
        own = history.low_pass[:, None] * snapshot.items.vectors[history.rows, -n:]
        shares += own.astype(np.float64) @ catalogue.vectors(positions)[:, -n:].T
    return shares


def history_contributions(
    snapshot: Snapshot, user: UserVector, liked: NDArray[np.int32], recent: NDArray[np.float32]
) -> NDArray[np.float32]:
    """What each interaction of a user adds to LightFM's components of their vector.

    The product of a part and an item's representation is what that interaction adds to the item's score, beside its
    `history_shares`: exactly, for interactions enter a vector by nothing but sums. Left out is only what LightFM has
    learned of the user by sampling, which no single interaction can be told from.

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
    return "because " + ", and ".join(reasons or [_otherwise(dict(parts))])


@lru_cache(10_000)
def describe_feature(column: str) -> str:
    """What a column of a feature space says of an item: ``its year is from 1990 to below 1995``."""
    category, bucket = _CATEGORY.fullmatch(column), _BUCKET.fullmatch(column)
    if category:
        name, value = _name(category["name"]), category["value"]
        return f"its {name} include {value}" if name.endswith("s") else f"its {name} is {value}"
    if bucket is None:
        return f"its {_name(column)} suits you"
    low, high = bucket["low"], bucket["high"]
    bounds = f"from {low} to below {high}" if low and high != "∞" else f"{low} or more" if low else f"below {high}"
    return f"its {_name(bucket['name'])} is {bounds}"


def feature_contributions(
    snapshot: Snapshot,
    user: UserVector,
    items: Sequence[Encoded],
    scores: Sequence[float],
    known: Sequence[bool] | NDArray[np.bool_],
) -> list[Parts]:
    """Contributions of items' features and of their identity; they add up to the scores.

    Parameters
    ----------
    snapshot
        That scores.
    user, items, scores
        Of what was scored; the scores without boosts, what the user's history adds and the user's bias.
    known
        Whether each item has an indicator.

    Returns
    -------
    For each item name and contribution, the largest amount first. ``item_id`` is the item's own indicator and
    ``new_item`` what every item without one has in its place, there only where they are more than float32 rounding.
    """
    if not items:
        return []
    columns = np.concatenate([item.columns for item in items])
    each = np.arange(len(items))
    owners = np.repeat(each, [len(item.columns) for item in items])
    # embeddings are multiplied once a feature, however many of the items have it
    distinct, places = np.unique(columns, return_inverse=True)
    tables = snapshot.newcomer_features, snapshot.item_features
    worth = np.stack([table.vectors[distinct] @ user.vector + table.biases[distinct] for table in tables])
    sides = np.asarray(known, np.int64)
    amounts = (np.concatenate([item.weights for item in items]) * worth[sides[owners], places]).astype(np.float64)
    rest = _rest(owners, amounts, np.asarray(scores, np.float64))
    names, of_columns = snapshot.item_space.named(distinct)
    n = len(names)
    # the columns of a dense vector are one feature
    together, at = np.unique(owners * n + of_columns[places], return_inverse=True)
    summed = np.bincount(at, amounts, len(together))
    labels, owners = np.concatenate([together % max(n, 1), n + sides]), np.concatenate([together // max(n, 1), each])
    return _listed([*names, "new_item", "item_id"], labels, owners, np.concatenate([summed, rest]), len(each))


def _boosted(catalogue: Catalogue, positions: Sequence[int], boosts: Boosts) -> list[Parts]:
    """What boosts add to the score of each item."""
    added: list[Parts] = [[] for _ in positions]
    for token, amount in boosts:
        for own, has in zip(added, catalogue.having(positions, token), strict=True):
            if has:
                own.append((BOOST + token, amount))
    return added


def _named(boosted: Parts) -> Parts:
    return [(name.removeprefix(BOOST), amount) for name, amount in boosted]


def _parts(
    catalogue: Catalogue,
    user: UserVector,
    chosen: Retrieved,
    boosted: Sequence[Parts],
    of_history: Sequence[float],
) -> list[Parts]:
    """What adds up to each score without its boosts."""
    added = [sum(amount for _, amount in own) for own in boosted]
    if user.strategy == "popular":
        return [[("popularity", score - own)] for score, own in zip(chosen.scores.tolist(), added, strict=True)]
    rest = zip(chosen.scores.tolist(), added, of_history, strict=True)
    scores = [score - own - history for score, own, history in rest]
    features = [catalogue.features(position) for position in chosen.positions]
    blocks = [block for _, _, block in catalogue.headings(chosen.positions)]
    known = np.isin(blocks, (cases.KNOWN_WITH_FEATURES, cases.KNOWN_ALONE))
    own = feature_contributions(catalogue.snapshot, user, features, scores, known)
    return [
        sorted([*each, (HISTORY, amount)], key=lambda part: -abs(part[1])) if amount else each
        for each, amount in zip(own, of_history, strict=True)
    ]


def _causes(
    catalogue: Catalogue, user: ExplainedUser, chosen: Retrieved, of_history: NDArray[np.float64]
) -> list[list[InteractionShare]]:
    """Interactions that add most to the score of each item."""
    snapshot, history = catalogue.snapshot, user.vector.history
    recent = catalogue.represented(user.recent)
    liked = snapshot.liked_items(user.row)
    parts = history_contributions(snapshot, user.vector, liked, catalogue.representations(recent))
    shares = parts.astype(np.float64) @ catalogue.vectors(chosen.positions).T  # (n_interactions, n_items)
    rows = np.concatenate([liked, snapshot.item_ids.indices_of(recent)])
    newest = {row: place for place, row in enumerate(rows.tolist())}
    places = np.array([newest[row] for row in history.rows.tolist()], np.int64)
    shares[places] += of_history
    # one item that comes up twice is one reason
    for place, row in enumerate(rows.tolist()):
        if row != UNKNOWN and newest[row] != place:
            shares[newest[row]] += shares[place]
            shares[place] = 0
    if user.disliked:
        against = snapshot.item_ids.indices_of(list(user.disliked))
        shares[: len(liked)][np.isin(liked, against)] = 0  # no reason to give, although the score still has it
    return list(_largest(catalogue, liked, recent, shares))


def _largest(
    catalogue: Catalogue, liked: NDArray[np.int32], recent: Sequence[str], shares: NDArray[np.float64]
) -> Iterator[list[InteractionShare]]:
    """The `MOST_INTERACTIONS` largest shares of each column that add something."""
    most = np.argsort(-shares, axis=0, kind="stable")[:MOST_INTERACTIONS].T
    adds = [[place for place in own.tolist() if shares[place, item] > 0] for item, own in enumerate(most)]
    titles = dict(
        _titles(catalogue, liked, recent, np.unique([place for own in adds for place in own]).astype(np.int64))
    )
    for item, own in enumerate(adds):
        yield [InteractionShare(*titles[place], short(float(shares[place, item]))) for place in own]


def _titles(
    catalogue: Catalogue, liked: NDArray[np.int32], recent: Sequence[str], places: NDArray[np.int64]
) -> Iterator[tuple[int, tuple[str, str | None]]]:
    """Item id and title of each place in a history."""
    learned = places[places < len(liked)]
    for place, (item_id, title, _) in zip(learned.tolist(), catalogue.headings(liked[learned].tolist()), strict=True):
        changed = catalogue.delta.rows.get(item_id)
        yield place, (item_id, title if changed is None else catalogue.delta.details[changed].title)
    for place in places[len(learned) :].tolist():
        item_id = recent[place - len(liked)]
        item = catalogue.find(item_id)
        yield place, (item_id, item.title if item else None)


def _listed(
    names: Sequence[str],
    labels: NDArray[np.int64],
    owners: NDArray[np.int64],
    amounts: NDArray[np.float64],
    n: int,
) -> list[Parts]:
    """Parts of each of n owners, the largest amount first, none of nothing."""
    order = np.lexsort((-np.abs(amounts), owners))
    order = order[amounts[order] != 0]
    parts = list(zip([names[label] for label in labels[order].tolist()], amounts[order].tolist(), strict=True))
    ends = np.searchsorted(owners[order], np.arange(n + 1)).tolist()
    return [parts[start:end] for start, end in pairwise(ends)]


def _rest(owners: NDArray[np.int64], amounts: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """What of each score features do not account for; 0 where that is only rounding."""
    n = len(scores)
    rest = scores - np.bincount(owners, amounts, n)
    sizes = np.abs(scores) + np.bincount(owners, np.abs(amounts), n)
    found: NDArray[np.float64] = np.where(np.abs(rest) > _ROUNDING * sizes, rest, 0.0)
    return found


def _learned_parts(snapshot: Snapshot, liked: NDArray[np.int32]) -> NDArray[np.float32]:
    """What `to_serving` made of each learned interaction in a user's row."""
    vectors = snapshot.items.vectors[liked]
    if not len(liked):
        return vectors
    n, d = np.array([len(liked)]), mapped_width(snapshot.fold_in_weights)
    parts = np.zeros_like(vectors)
    parts[-LONGEST:] = history_share(n) * fold_in_contributions(snapshot.fold_in_weights, vectors[-LONGEST:])
    if snapshot.history is None:
        # a version from before has components of the history in their place
        parts[:, d:] = share_of_each(n) * vectors[:, d:]
    return parts


def _strongest_feature(parts: Sequence[tuple[str, float]]) -> str | None:
    speaking, strongest, feature = 0.0, 0.0, None
    for name, amount in parts:
        if amount > 0:
            speaking += amount
            if amount > strongest and name not in _NO_FEATURES:
                strongest, feature = amount, name
    return feature if strongest >= NAMED_FROM * speaking else None


def _otherwise(parts: dict[str, float]) -> str:
    if "popularity" in parts:
        return "it is popular"
    if parts.get("item_id", 0.0) > 0:
        return "it does well with people like you"
    return "nothing else suits you better"


def _name(escaped: str) -> str:
    return re.sub(r"\\(.)", r"\1", escaped, flags=re.DOTALL).replace("_", " ")
