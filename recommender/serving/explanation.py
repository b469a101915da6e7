"""Explaining: what adds up to the scores of an answer, and a sentence for each."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender import cases
from recommender.serving.boosts import Boosts
from recommender.serving.catalogue import Catalogue
from recommender.serving.history_explanation import history_contributions, sentence
from recommender.serving.retrieval import Retrieved
from recommender.serving.snapshot import UserVector

Parts = list[tuple[str, float]]
BOOST = "boost "
"""Before the token in a name of a contribution."""


class Explanation(NamedTuple):
    """Why one item is in an answer."""

    parts: Parts
    """Names and contributions; they add up to the score."""
    because: str


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
    by `history_contributions`, a feature by its contribution.
    """
    boosted = _boosted(catalogue, chosen.positions, boosts)
    parts = _parts(catalogue, user.vector, chosen, boosted)
    return [
        Explanation(
            [*added, *own],
            sentence(history=title, parts=own, boosts=_named(added), explored=position in chosen.explored),
        )
        for position, title, own, added in zip(
            chosen.positions, _causes(catalogue, user, chosen), parts, boosted, strict=True
        )
    ]


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


def _parts(catalogue: Catalogue, user: UserVector, chosen: Retrieved, boosted: Sequence[Parts]) -> list[Parts]:
    """What adds up to each score without its boosts."""
    added = (sum(amount for _, amount in own) for own in boosted)
    scores = [score - own for score, own in zip(chosen.scores.tolist(), added, strict=True)]
    if user.strategy == "popular":
        return [[("popularity", score)] for score in scores]
    features = [catalogue.features(position) for position in chosen.positions]
    blocks = [block for _, _, block in catalogue.headings(chosen.positions)]
    known = np.isin(blocks, (cases.KNOWN_WITH_FEATURES, cases.KNOWN_ALONE))
    return catalogue.snapshot.explain(user, features, scores, known)


def _causes(catalogue: Catalogue, user: ExplainedUser, chosen: Retrieved) -> list[str | None]:
    """Title of the interaction that adds most to the score of each item, None where none adds anything."""
    recent = catalogue.represented(user.recent)
    liked = catalogue.snapshot.liked_items(user.row)
    parts = history_contributions(catalogue.snapshot, user.vector, liked, catalogue.representations(recent))
    if not len(parts):
        return [None] * len(chosen.positions)
    influence = parts @ catalogue.vectors(chosen.positions).T  # (n_interactions, n_items)
    if user.disliked:
        rows = catalogue.snapshot.item_ids.indices_of(list(user.disliked))
        influence[: len(liked)][np.isin(liked, rows)] = -np.inf  # no reason to give, although the score still has it
    best = influence.argmax(axis=0)
    adds = influence[best, np.arange(len(best))] > 0
    titles = dict(_titles(catalogue, liked, recent, np.unique(best[adds])))
    return [titles[place] if own else None for place, own in zip(best.tolist(), adds.tolist(), strict=True)]


def _titles(
    catalogue: Catalogue, liked: NDArray[np.int32], recent: Sequence[str], places: NDArray[np.int64]
) -> Iterator[tuple[int, str]]:
    """Title of each place in a history, or the id of an item that has none."""
    learned = places[places < len(liked)]
    for place, (item_id, title, _) in zip(learned.tolist(), catalogue.headings(liked[learned].tolist()), strict=True):
        changed = catalogue.delta.rows.get(item_id)
        yield place, (title if changed is None else catalogue.delta.details[changed].title) or item_id
    for place in places[len(learned) :].tolist():
        item_id = recent[place - len(liked)]
        item = catalogue.find(item_id)
        yield place, (item and item.title) or item_id
