"""Recommender: answers queries from a catalogue."""

from __future__ import annotations

import random
import secrets
from collections.abc import Collection, Sequence
from functools import cached_property
from itertools import islice
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from recommender import cases
from recommender.models.feedback import Feedback
from recommender.rounding import short, short_all
from recommender.schema import (
    Contribution,
    FoundItem,
    FoundItems,
    Popular,
    PopularItem,
    Query,
    Ranking,
    RankQuery,
    Recommendations,
    ScoredItem,
    SimilarItem,
    SimilarItems,
    SimilarUser,
    SimilarUsers,
    UnscoredItem,
    UserState,
)
from recommender.serving.asked_items import scored
from recommender.serving.boosts import check_boosts
from recommender.serving.catalogue import Catalogue
from recommender.serving.explanation import ExplainedUser, explained
from recommender.serving.list_shaping import shape_list, wanted_items
from recommender.serving.pagination import encode_cursor
from recommender.serving.placements.ruled_list import without_buried
from recommender.serving.retrieval import RetrievalRequest, Retrieved, choose, retrieve_by_scores
from recommender.serving.snapshot import UserVector
from recommender.serving.text_search import TextSearch
from recommender.serving.user_similarity import UserSimilarity
from recommender.serving.vocabulary import Vocabulary
from recommender.vector_search.exact import NO_ROWS, Users, best_rows

WITHDRAWN = "the item is deleted or not available"
NOBODY = UserVector(np.zeros(0, np.float32), 0.0, cases.NOTHING_KNOWN, "popular")
"""A user of whom nothing is known."""


class QueriedUser(NamedTuple):
    """A user as one query sees them."""

    vector: UserVector
    row: int
    """Of a known user, -1 for anyone else."""
    seen: NDArray[np.int32]
    """Rows of the snapshot."""
    recent: Sequence[str]
    """Item ids that the user liked and the snapshot has not learned, oldest first."""
    known: Sequence[str]
    """Ids of all items that the user knows beyond `seen`, liked or not; some of them may be in both."""
    disliked: Collection[str]
    """Those of them whose newest interaction is no liking."""
    ignored: list[str]


class Recommender:
    """Answers queries.

    Parameters
    ----------
    catalogue
        What can be recommended now. It may be changed between calls, never during one.
    explore_share
        Share of the positions for items that nobody has interacted with, see `recommender.serving.exploration`.
    feedback
        Which recent interactions are likings; as the snapshot's were read when absent.
    """

    def __init__(self, catalogue: Catalogue, explore_share: float = 0.0, feedback: Feedback | None = None) -> None:
        self.catalogue = catalogue
        self.explore_share = explore_share
        self._feedback = feedback or Feedback.from_meta(catalogue.snapshot.meta)
        self._chance = random.Random()  # noqa: S311 - who is shown what is no secret
        self.snapshot = catalogue.snapshot

    @property
    def version(self) -> str:
        """Version of the snapshot."""
        return str(self.snapshot.meta["version"])

    def recommend(self, query: Query, state: UserState | None = None) -> Recommendations:
        """`recommend_many` for one query."""
        return self.recommend_many([query], [state or UserState()])[0]

    def recommend_many(
        self, queries: Sequence[Query], states: Sequence[UserState], degraded: Sequence[str] = ()
    ) -> list[Recommendations]:
        """Rank the catalogue for each query, best first.

        Parameters
        ----------
        queries
            What is asked.
        states
            What the store knows of each query's user.
        degraded
            Parts that could not be asked; said in every answer.

        Returns
        -------
        One answer a query, in their order. Equal scores keep catalogue order; fewer than ``k`` items
        come back only when no more are left. With ``diversity`` above 0 the items are those that `diversify`
        chooses of the best, in its order, each with its true score. Where nothing is known of the user and the
        query forbids a fallback, the strategy is ``none`` and there are no items.
        """
        people = [self._person(query, state) for query, state in zip(queries, states, strict=True)]
        wishes = [_wish(*each) for each in zip(queries, people, strict=True)]
        best = choose(self.catalogue, wishes)
        asked = zip(queries, wishes, best, strict=True)
        chosen = [shape_list(self.catalogue, *each, self.explore_share, self._chance) for each in asked]
        return [
            self._answer(query, person, own, degraded)
            for query, person, own in zip(queries, people, chosen, strict=True)
        ]

    def wish(self, query: Query, state: UserState) -> RetrievalRequest:
        """What a query asks of the catalogue."""
        return _wish(query, self._person(query, state))

    def score_many(self, queries: Sequence[Query], states: Sequence[UserState]) -> NDArray[np.float32]:
        """Scores of the whole catalogue, nothing masked, float32 of shape (n_queries, n_items)."""
        people = [self._person(query, state) for query, state in zip(queries, states, strict=True)]
        return self._scores([person.vector for person in people])

    def rank(self, query: RankQuery, state: UserState | None = None, degraded: Sequence[str] = ()) -> Ranking:
        """Score exactly the asked items, best first; equal scores keep the order of the query.

        Items of which nothing is known, or which may not be returned, are named in ``unscored``.
        """
        asked = Query(user_id=query.user_id, features=query.features, recent=query.recent)
        person = self._person(asked, state or UserState())
        found = scored(self.catalogue, person.vector, query.items)
        row = person.vector.case_row
        numerals = [cases.numeral(row, block) for block in range(4)]
        ranked: list[tuple[str, float, int]] = []
        unscored: list[UnscoredItem] = []
        for (item_id, _), score, block, allowed in zip(query.items, *found[:3], strict=True):
            if allowed and block != cases.NOTHING_KNOWN:
                ranked.append((item_id, score, block))
            else:
                unscored.append(UnscoredItem(item_id, numerals[block], cases.UNSCORED if allowed else WITHDRAWN))
        ranked.sort(key=lambda each: -each[1])
        return Ranking(
            query.user_id,
            person.vector.strategy,
            cases.NUMERALS[row],
            [ScoredItem(item_id, short(score), numerals[block]) for item_id, score, block in ranked],
            unscored,
            self.version,
            _distinct([*person.ignored, *found.ignored]),
            list(degraded),
        )

    def popular(self, k: int, filters: Sequence[str] = ()) -> Popular:
        """What everyone gets, best first."""
        [chosen] = choose(self.catalogue, [RetrievalRequest(NOBODY, k, filters=tuple(filters))])
        return self._board(chosen, filters)

    def listed(
        self,
        scores: NDArray[np.float32],
        delta_scores: NDArray[np.float32],
        k: int,
        filters: Sequence[str] = (),
        degraded: Sequence[str] = (),
    ) -> Popular:
        """Best by scores made elsewhere, one a row of the snapshot and one a row of the delta; never one of -inf."""
        wish = RetrievalRequest(NOBODY, k, filters=tuple(filters))
        return self._board(retrieve_by_scores(self.catalogue, wish, scores, delta_scores), filters, degraded)

    def prepare_text_search(self) -> None:
        """Make what `find_items` looks through; unlike all else here it may run beside other calls."""
        self._finder.prepare()

    def prepare_similar_users(self) -> None:
        """Make what `similar_users` compares with; this too may run beside other calls."""
        _ = self._learned_users

    def find_items(self, text: str, k: int) -> FoundItems:
        """Items whose title or id fits `text`, the most fitting first, as `TextSearch.find` has it."""
        headings = self.catalogue.headings(self._finder.find(text, k))
        return FoundItems([FoundItem(item_id, title) for item_id, title, _ in headings], self.version)

    def similar_items(self, item_id: str, k: int, filters: Sequence[str] = ()) -> SimilarItems | None:
        """Items whose representations have the largest cosine with that of an item, which is not among them.

        Equals keep catalogue order; none is unavailable, deleted or filtered. None for an item that has no
        representation: nothing is known of it.
        """
        vectors = self.catalogue.representations([item_id])
        if not len(vectors):
            return None
        wish = RetrievalRequest(NOBODY, k, excluded=(item_id,), filters=tuple(filters))
        chosen = retrieve_by_scores(self.catalogue, wish, *self.catalogue.cosines(vectors[0]))
        headings = zip(self.catalogue.headings(chosen.positions), short_all(chosen.scores), strict=True)
        found = [SimilarItem(other, score, title) for (other, title, _), score in headings]
        return SimilarItems(item_id, found, self.version, self._warnings(filters))

    def similar_users(self, user_id: str, state: UserState, k: int) -> SimilarUsers | None:
        """Users of the snapshot whose representations have the largest cosine with a user's, who is not among them.

        A known user is represented by their features and indicator, anyone else by what they are scored by:
        features and recent interactions. The others are as the snapshot learned them; equals keep its order.
        None for a user of whom nothing is known.
        """
        person = self._person(Query(user_id=user_id), state)
        if person.vector.strategy == "popular":
            return None
        if person.vector.case_row in cases.KNOWN_USERS:
            person = self._person(Query(user_id=user_id), msgspec.structs.replace(state, recent=()))
        scores = self._learned_users.cosines(person.vector.vector)
        own = self.snapshot.user_ids.index_of(user_id)
        [best] = best_rows(
            np.zeros((len(scores), 0), np.float32),
            scores,
            Users(np.zeros((1, 0), np.float32), np.zeros(1, np.float32)),
            [k],
            masked=np.zeros(len(scores), np.bool_),
            excluded=[np.array([own], np.int32)],
        )
        ids = self.snapshot.user_ids.ids_of(best.rows.tolist())
        found = [SimilarUser(*each) for each in zip(ids, short_all(best.scores), strict=True)]
        return SimilarUsers(user_id, found, self.version, [])

    def _warnings(self, tokens: Sequence[str]) -> list[str] | msgspec.UnsetType:
        return (self._vocabulary.warnings(tokens) if tokens else []) or msgspec.UNSET

    def _board(self, chosen: Retrieved, filters: Sequence[str], degraded: Sequence[str] = ()) -> Popular:
        headings = zip(self.catalogue.headings(chosen.positions), short_all(chosen.scores), strict=True)
        items = [PopularItem(item_id, score, title) for (item_id, title, _), score in headings]
        return Popular(items, self.version, list(degraded), self._warnings(filters))

    @cached_property
    def _finder(self) -> TextSearch:
        return TextSearch(self.catalogue)

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary(self.catalogue)

    @cached_property
    def _learned_users(self) -> UserSimilarity:
        return UserSimilarity(self.snapshot)

    def _person(self, query: Query, state: UserState) -> QueriedUser:
        snapshot = self.snapshot
        erased = state.deleted_at > snapshot.log_offset
        user_id = None if erased else query.user_id
        index, seen = snapshot.look_up_user(user_id)
        stored = state.features or {}
        encoded = snapshot.user_space.encode(stored if query.features is None else query.features)
        fresh = [each for each in state.recent if each.offset > snapshot.log_offset]
        liked = {each.item_id for each in fresh if self._feedback.is_liking(each.weight, each.event)}
        names, known = [each.item_id for each in fresh], [each.item_id for each in state.recent]
        recent = [*(name for name in names if name in liked), *query.recent]
        vectors = self.catalogue.representations(recent)
        disliked = set(names) - liked
        rows = snapshot.item_ids.indices_of
        history = snapshot.history_of(index, rows(recent), rows(list(disliked - set(query.recent))))
        return QueriedUser(
            snapshot.user_vector(index, encoded, vectors, history),
            index,
            seen,
            recent,
            # whatever their offsets: a store that has come back with less gives those of others until it is put right
            [*state.older, *known, *query.recent, *snapshot.exclusions.of(user_id)],
            disliked,
            encoded.ignored,
        )

    def _scores(self, users: Sequence[UserVector]) -> NDArray[np.float32]:
        """Scores of the snapshot's rows, then of the delta's, shape (n_users, n_items)."""
        catalogue = self.catalogue
        vectors = np.stack([user.vector for user in users])
        n_items = self.snapshot.n_items
        scores = np.empty((len(users), len(catalogue)), np.float32)
        np.matmul(vectors, self.snapshot.items.vectors.T, out=scores[:, :n_items])
        np.matmul(vectors, catalogue.delta.items.vectors.T, out=scores[:, n_items:])
        scores += np.concatenate([self.snapshot.items.biases, catalogue.delta.items.biases])
        rows = self.catalogue.delta_snapshot_rows
        for own, user in zip(scores, users, strict=True):
            if len(user.history.rows):
                part = self.snapshot.item_item_part(user.history)
                own[:n_items] += part
                own[n_items:] += np.where(rows >= 0, part[rows], 0)
        baseline = [number for number, user in enumerate(users) if user.strategy == "popular"]
        if baseline:
            scores[baseline] = self._baseline()
        return scores

    def _baseline(self) -> NDArray[np.float32]:
        return np.concatenate([self.snapshot.popularity, self.catalogue.delta.popularity])

    def _answer(self, query: Query, person: QueriedUser, chosen: Retrieved, degraded: Sequence[str]) -> Recommendations:
        user = person.vector
        nothing = user.strategy == "popular" and query.fallback == "none"
        items = self._listed(query, person, chosen)
        return Recommendations(
            query.user_id,
            "none" if nothing else user.strategy,
            cases.NUMERALS[user.case_row],
            items,
            self.version,
            secrets.token_hex(16),
            _distinct(person.ignored),
            list(degraded),
            encode_cursor([*query.shown, *(item.item_id for item in items)]) if len(items) == query.k else None,
            self._warnings([*query.filter, *(token for token, _ in query.boost)]),
            query.placement or msgspec.UNSET,
            query.experiment or msgspec.UNSET,
            query.session_id or msgspec.UNSET,
        )

    def _listed(self, query: Query, person: QueriedUser, chosen: Retrieved) -> list[ScoredItem]:
        numerals = [cases.numeral(person.vector.case_row, block) for block in range(4)]
        headings = zip(self.catalogue.headings(chosen.positions), short_all(chosen.scores), strict=True)
        items = [ScoredItem(item_id, score, numerals[block], title) for (item_id, title, block), score in headings]
        if chosen.explored or chosen.rules:
            items = [_marked(item, index, chosen) for item, index in zip(items, chosen.positions, strict=True)]
        if not query.explain:
            return items
        return self._explained(items, query, person, chosen)

    def _explained(
        self, items: Sequence[ScoredItem], query: Query, person: QueriedUser, chosen: Retrieved
    ) -> list[ScoredItem]:
        asking = ExplainedUser(person.vector, person.row, person.recent, person.disliked)
        why = explained(self.catalogue, asking, chosen, query.boost)
        parts = [part for each in why for part in each.parts]
        contributions = map(Contribution, [name for name, _ in parts], short_all([amount for _, amount in parts]))
        return [
            msgspec.structs.replace(
                item,
                explanation=list(islice(contributions, len(each.parts))),
                because=each.because,
                interactions=each.interactions,
            )
            for item, each in zip(items, why, strict=True)
        ]


def _marked(item: ScoredItem, index: int, chosen: Retrieved) -> ScoredItem:
    """An item with why it stands where it does, where that is not its score."""
    explored, rule = index in chosen.explored or msgspec.UNSET, chosen.rules.get(index, msgspec.UNSET)
    if explored is msgspec.UNSET and rule is msgspec.UNSET:
        return item
    propensity = short(chosen.explored[index]) if index in chosen.explored else msgspec.UNSET
    return msgspec.structs.replace(item, explored=explored, rule=rule, propensity=propensity)


def _wish(query: Query, person: QueriedUser) -> RetrievalRequest:
    user = person.vector
    nothing = user.strategy == "popular" and query.fallback == "none"
    return RetrievalRequest(
        user,
        0 if nothing else wanted_items(query),
        [*query.exclude, *query.shown, *(person.known if query.exclude_seen else ())],
        person.seen if query.exclude_seen else NO_ROWS,
        tuple(query.filter),
        None if query.candidates is None else tuple(query.candidates),
        check_boosts(dict(query.boost)) if query.boost else (),
        without_buried(query.rules) if query.rules else (),
        {} if query.rules else None,
    )


def _distinct(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))
