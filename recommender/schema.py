"""Requests, answers and user state: the types that pass between service, library and store."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from recommender.dense_vectors.packing import Vector

FeatureValue = str | bool | int | float | list[str] | Vector
FeatureMap = dict[str, FeatureValue]
LeaderboardName = Literal["popular", "trending"]
RuleName = Literal["pin", "promote", "limit", "bury"]


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"from_": "from"}):
    """A rule of a placement: one of pin, promote, limit and bury, with what belongs to it.

    Checked by `recommender.serving.placements.rules.check_rules`.
    """

    pin: str | None = None
    position: int | None = None
    promote: str | None = None
    share: float | None = None
    limit: str | None = None
    at_most: int | None = None
    within: int | None = None
    bury: str | None = None
    from_: str | None = None
    """RFC 3339; the rule holds from then on."""
    until: str | None = None
    """RFC 3339; the rule holds no longer from then on."""


class Assignment(msgspec.Struct, frozen=True):
    """The experiment that an answer belongs to, and the variant that its user was assigned to."""

    name: str
    variant: str


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """One request for recommendations; words and defaults are those of the HTTP contract."""

    user_id: str | None = None
    features: FeatureMap | None = None
    """Instead of the stored ones; an empty map means none."""
    recent: tuple[str, ...] = ()
    """Item ids, newest last, beside what the store has."""
    k: int = 10
    exclude: tuple[str, ...] = ()
    candidates: tuple[str, ...] | None = None
    filter: tuple[str, ...] = ()
    exclude_seen: bool = True
    explain: bool = False
    diversity: float = 0.0
    """0 to 1: how much less alike the items are to be, at the cost of relevance."""
    boost: tuple[tuple[str, float], ...] = ()
    """What is added to the scores of items with a token, as a filter writes it."""
    shown: tuple[str, ...] = ()
    """Items of earlier pages, never to be shown again."""
    fallback: Literal["popular", "none"] = "popular"
    placement: str | None = None
    """Where the answer is shown; its settings hold for all that is not in `given`."""
    given: frozenset[str] = frozenset()
    """Names of the fields that the request has set itself."""
    session_id: str | None = None
    """Of an anonymous user, who is assigned to a variant by it."""
    explore: float | None = None
    """Share of the positions for newcomers; None for that of the service."""
    rules: tuple[Rule, ...] = ()
    """Of the placement, those that hold now."""
    experiment: Assignment | None = None
    model_version: str | None = None
    """Version that is to answer; None for the active one."""
    is_unknown: bool = False
    """Whether there is no placement of that name, so that there is no answer either."""


class RankQuery(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Items to score for one user."""

    items: tuple[tuple[str, FeatureMap | None], ...]
    """Item id and the features to take instead of those of the catalogue; None for those."""
    user_id: str | None = None
    features: FeatureMap | None = None
    recent: tuple[str, ...] = ()


class PopularRequest(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The baseline: what everyone gets."""

    k: int = 10
    filter: tuple[str, ...] = ()


class LeaderboardRequest(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A leaderboard of a time window."""

    name: LeaderboardName
    window_s: int
    k: int = 10
    filter: tuple[str, ...] = ()


class SearchRequest(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Items whose title or id fits a text."""

    text: str
    k: int = 10


class SimilarItemsRequest(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The nearest neighbours of an item."""

    item_id: str
    k: int = 10
    filter: tuple[str, ...] = ()


class SimilarUsersRequest(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The nearest neighbours of a user."""

    user_id: str
    k: int = 10


ReadRequest = (
    RankQuery | PopularRequest | LeaderboardRequest | SearchRequest | SimilarItemsRequest | SimilarUsersRequest
)
"""Every question but that for recommendations, which travel in micro-batches."""


def users_of(request: ReadRequest) -> list[str | None]:
    """Ids of the users whose stored state the answer needs; None for an anonymous one."""
    return [request.user_id] if isinstance(request, RankQuery | SimilarUsersRequest) else []


class RecentItem(NamedTuple):
    """A user's newest interaction with an item, while it is in the log."""

    item_id: str
    offset: int
    weight: float = 1.0
    event: str | None = None


class UserState(msgspec.Struct, frozen=True):
    """What the store knows of a user."""

    features: FeatureMap | None = None
    recent: tuple[RecentItem, ...] = ()
    """Oldest first; the newest `recommender.stores.protocols.RECENT` of them."""
    deleted_at: int = 0
    """Log offset at which the user was deleted; 0 for never."""
    older: tuple[str, ...] = ()
    """Ids of recent items before those, of which only that much matters: the user knows them."""


class Contribution(msgspec.Struct, frozen=True, gc=False):
    """Part of a score."""

    feature: str
    contribution: float


class InteractionShare(msgspec.Struct, frozen=True, gc=False):
    """What one of the user's interactions adds to a score."""

    item_id: str
    title: str | None
    contribution: float


class ScoredItem(msgspec.Struct, frozen=True, gc=False):
    """An item of an answer."""

    item_id: str
    score: float
    case: str
    title: str | msgspec.UnsetType | None = msgspec.UNSET
    explanation: list[Contribution] | msgspec.UnsetType = msgspec.UNSET
    explored: bool | msgspec.UnsetType = msgspec.UNSET
    """True for a newcomer that is there to be found, whatever its score."""
    because: str | msgspec.UnsetType = msgspec.UNSET
    """The explanation in words: the interaction and the feature that add most to the score."""
    interactions: list[InteractionShare] | msgspec.UnsetType = msgspec.UNSET
    """The user's interactions that add most to the score, with all that each adds, the largest first."""
    rule: RuleName | msgspec.UnsetType = msgspec.UNSET
    """Rule of the placement because of which the item stands where it does."""
    propensity: float | msgspec.UnsetType = msgspec.UNSET
    """Of an explored item: the probability with which it was drawn."""


class Recommendations(msgspec.Struct, frozen=True):
    """Answer to a `Query`, best first; with diversity in the order of choice, by scores that may rise again."""

    user_id: str | None
    strategy: str
    case: str
    items: list[ScoredItem]
    model_version: str
    recommendation_id: str
    ignored_features: list[str]
    degraded: list[str]
    next_cursor: str | None = None
    """For the page behind this one; None at the end, and where a cursor cannot hold what was shown."""
    warnings: list[str] | msgspec.UnsetType = msgspec.UNSET
    """What of the filter or the boost no item has, with the nearest name that items do have."""
    placement: str | msgspec.UnsetType = msgspec.UNSET
    experiment: Assignment | msgspec.UnsetType = msgspec.UNSET
    session_id: str | msgspec.UnsetType = msgspec.UNSET


class UnscoredItem(msgspec.Struct, frozen=True):
    """An item that cannot be scored, and why."""

    item_id: str
    case: str
    reason: str


class Ranking(msgspec.Struct, frozen=True):
    """Answer to a `RankQuery`, best first."""

    user_id: str | None
    strategy: str
    case: str
    items: list[ScoredItem]
    unscored: list[UnscoredItem]
    model_version: str
    ignored_features: list[str]
    degraded: list[str]


class PopularItem(msgspec.Struct, frozen=True):
    """An item of a leaderboard.

    `score` is the weight of all its interactions; of a window their number; of what is trending, how surely it rises.
    """

    item_id: str
    score: float
    title: str | None


class LatestItem(msgspec.Struct, frozen=True):
    """An item of the catalogue; `updated_at` in seconds since the epoch."""

    item_id: str
    title: str | None
    updated_at: float


class Latest(msgspec.Struct, frozen=True):
    """Items that were put last, newest first."""

    items: list[LatestItem]


class FoundItem(msgspec.Struct, frozen=True):
    """An item whose title or id fits what was typed."""

    item_id: str
    title: str | None


class FoundItems(msgspec.Struct, frozen=True):
    """Items that were searched for, the most fitting first."""

    items: list[FoundItem]
    model_version: str


class SimilarItem(msgspec.Struct, frozen=True):
    """A neighbour of an item; `score` is the cosine of the two representations."""

    item_id: str
    score: float
    title: str | None


class SimilarItems(msgspec.Struct, frozen=True):
    """Neighbours of an item, most alike first."""

    item_id: str
    items: list[SimilarItem]
    model_version: str
    warnings: list[str] | msgspec.UnsetType = msgspec.UNSET
    """What of the filter or the boost no item has, with the nearest name that items do have."""


class SimilarUser(msgspec.Struct, frozen=True):
    """A neighbour of a user; `score` is the cosine of the two representations."""

    user_id: str
    score: float


class SimilarUsers(msgspec.Struct, frozen=True):
    """Neighbours of a user, most alike first."""

    user_id: str
    users: list[SimilarUser]
    model_version: str
    degraded: list[str]


class Popular(msgspec.Struct, frozen=True):
    """A leaderboard, best first; the baseline is one."""

    items: list[PopularItem]
    model_version: str
    degraded: list[str]
    """``interactions``, where those of the last moment may be missing."""
    warnings: list[str] | msgspec.UnsetType = msgspec.UNSET
    """What of the filter or the boost no item has, with the nearest name that items do have."""
