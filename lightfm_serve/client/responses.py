"""Response types. Fields that a newer service adds are ignored."""

from __future__ import annotations

from typing import Any

import msgspec

FeatureValue = str | bool | int | float | list[str | float]
"""A list is one of categories, or the numbers of a dense vector."""
Features = dict[str, FeatureValue]


class Contribution(msgspec.Struct, frozen=True):
    """Part of a score."""

    feature: str
    contribution: float


class InteractionShare(msgspec.Struct, frozen=True):
    """What one of the user's interactions adds to a score."""

    item_id: str
    title: str | None
    contribution: float


class ScoredItem(msgspec.Struct, frozen=True):
    """A recommended item; `case` is the Roman numeral of what was known."""

    item_id: str
    score: float
    case: str
    title: str | None = None
    explanation: list[Contribution] | None = None
    explored: bool = False
    propensity: float | None = None
    because: str | None = None
    interactions: list[InteractionShare] | None = None
    rule: str | None = None
    """Rule of the placement because of which it stands where it does: pin, promote, limit or bury."""


class Assignment(msgspec.Struct, frozen=True):
    """The experiment that an answer belongs to, and the variant that its user was assigned to."""

    name: str
    variant: str


class Recommendations(msgspec.Struct, frozen=True):
    """Items for a user, best first."""

    user_id: str | None
    strategy: str
    case: str
    items: list[ScoredItem]
    model_version: str
    recommendation_id: str
    ignored_features: list[str] = []
    degraded: list[str] = []
    next_cursor: str | None = None
    warnings: list[str] = []
    placement: str | None = None
    experiment: Assignment | None = None
    session_id: str | None = None


class RecommendationResults(msgspec.Struct, frozen=True):
    """Answers in the order of the requests."""

    results: list[Recommendations]


class UnscoredItem(msgspec.Struct, frozen=True):
    """An item that cannot be scored, and why."""

    item_id: str
    case: str
    reason: str


class Ranking(msgspec.Struct, frozen=True):
    """The items that were asked, best first."""

    user_id: str | None
    strategy: str
    case: str
    items: list[ScoredItem]
    unscored: list[UnscoredItem]
    model_version: str
    ignored_features: list[str] = []
    degraded: list[str] = []


class NeighbourItem(msgspec.Struct, frozen=True):
    """An item and how near, or how popular, it is."""

    item_id: str
    score: float
    title: str | None = None


class SimilarItems(msgspec.Struct, frozen=True):
    """Items like one, most alike first."""

    item_id: str
    items: list[NeighbourItem]
    model_version: str | None = None
    warnings: list[str] = []


class NeighbourUser(msgspec.Struct, frozen=True):
    """A user and how near they are."""

    user_id: str
    score: float


class SimilarUsers(msgspec.Struct, frozen=True):
    """Users like one, most alike first."""

    user_id: str
    users: list[NeighbourUser]
    model_version: str | None = None
    degraded: list[str] = []


class Popular(msgspec.Struct, frozen=True):
    """What everyone gets, best first."""

    items: list[NeighbourItem]
    model_version: str | None = None
    degraded: list[str] = []
    warnings: list[str] = []


class FoundItem(msgspec.Struct, frozen=True):
    """An item that was searched for."""

    item_id: str
    title: str | None = None


class FoundItems(msgspec.Struct, frozen=True):
    """Items that were searched for, the most fitting first."""

    items: list[FoundItem]
    model_version: str | None = None


class LatestItem(msgspec.Struct, frozen=True):
    """An item of the catalogue; `updated_at` in seconds since the epoch."""

    item_id: str
    updated_at: float
    title: str | None = None


class Latest(msgspec.Struct, frozen=True):
    """Items that changed last, newest first."""

    items: list[LatestItem]


class Accepted(msgspec.Struct, frozen=True):
    """Interactions that are durable now, and those that were there before."""

    accepted: int
    duplicates: int


class StoredUser(msgspec.Struct, frozen=True):
    """A user as stored."""

    user_id: str
    updated_at: float
    features: Features | None = None


class StoredItem(msgspec.Struct, frozen=True):
    """An item as stored."""

    item_id: str
    updated_at: float
    available: bool = True
    title: str | None = None
    features: Features | None = None


class UserPage(msgspec.Struct, frozen=True):
    """Users, least recently changed first."""

    users: list[StoredUser]
    next_cursor: str | None = None


class ItemPage(msgspec.Struct, frozen=True):
    """Items, least recently changed first."""

    items: list[StoredItem]
    next_cursor: str | None = None


class Upserted(msgspec.Struct, frozen=True):
    """What a batch did."""

    created: int
    updated: int


class HistoryEntry(msgspec.Struct, frozen=True):
    """An interaction of a user whom the question names."""

    item_id: str
    weight: float
    timestamp: float
    event: str | None = None


class HistoryPage(msgspec.Struct, frozen=True):
    """Interactions of a user, newest first."""

    user_id: str
    interactions: list[HistoryEntry]
    next_cursor: str | None = None


class StoredInteraction(msgspec.Struct, frozen=True):
    """An interaction as it is kept."""

    user_id: str
    item_id: str
    weight: float
    timestamp: float
    event: str | None = None


class InteractionPage(msgspec.Struct, frozen=True):
    """Interactions of everyone, each user's in the order in which they came."""

    interactions: list[StoredInteraction]
    next_cursor: str | None = None


class ExposedItem(msgspec.Struct, frozen=True):
    """An item of an exposure, with the interactions that are attributed to it by event."""

    item_id: str
    position: int
    propensity: float | None = None
    interactions: dict[str, int] = {}


class Exposure(msgspec.Struct, frozen=True):
    """An answer that was shown."""

    recommendation_id: str
    at: float
    items: list[ExposedItem]
    user_id: str | None = None
    placement: str | None = None
    model_version: str | None = None
    experiment: str | None = None
    variant: str | None = None


class ExposurePage(msgspec.Struct, frozen=True):
    """A page of exposures, newest first."""

    exposures: list[Exposure]
    next_cursor: str | None = None


class AcceptedExposures(msgspec.Struct, frozen=True):
    """Exposures that are in the stream now, by their ids in the order given."""

    accepted: int
    recommendation_ids: list[str]


class Rate(msgspec.Struct, frozen=True):
    """Share of exposures with at least one interaction of an event, with its interval at 95 %."""

    rate: float
    low: float
    high: float


class AttributionRow(msgspec.Struct, frozen=True):
    """What came of what one version, variant, placement, position or day has shown."""

    exposures: int
    users: int
    interactions: dict[str, int]
    rates: dict[str, Rate]
    young_exposures: float
    young_interactions: float
    coverage: float | None = None
    discoverable: int | None = None
    version: str | None = None
    experiment: str | None = None
    variant: str | None = None
    placement: str | None = None
    position: int | None = None
    day: str | None = None


class Attribution(msgspec.Struct, frozen=True):
    """What came of what was shown."""

    by: str
    rows: list[AttributionRow]


class JudgedOn(msgspec.Struct, frozen=True):
    """What held-out metrics rest on: which interactions, what share of all, how many users and pairs."""

    split: str
    share: float
    users: int
    pairs: int


class SideHealth(msgspec.Struct, frozen=True):
    """Users or items that a training saw: how many, and which shares have no features, or each of them."""

    seen: int = 0
    without_features: float = 0.0
    features: dict[str, float] = {}


class DataHealth(msgspec.Struct, frozen=True):
    """What a training saw of the data; `changes` says in words what is otherwise than before."""

    interactions: int = 0
    by_event: dict[str, int] = {}
    by_day: dict[str, int] = {}
    without_timestamp: float = 0.0
    cases: dict[str, float] = {}
    popularity_shift: float | None = None
    users: SideHealth = SideHealth()
    items: SideHealth = SideHealth()
    changes: list[str] = []


class Model(msgspec.Struct, frozen=True):
    """A version of the model."""

    version: str
    created_at: str
    trained_on: dict[str, int]
    metrics: dict[str, float]
    status: str
    reason: str | None = None
    """Why it was rejected or rolled back, with the figures."""
    refused: str | None = None
    """Why it is not served though it is ready: `require_signed` asks for another signature."""
    judged_on: JudgedOn | None = None
    data: DataHealth | None = None


class Models(msgspec.Struct, frozen=True):
    """Versions, newest first."""

    models: list[Model]


class Training(msgspec.Struct, frozen=True):
    """A training has begun."""

    status: str
    mode: str


class CountedReplica(msgspec.Struct, frozen=True):
    """A process whose numbers are among those of `MetricsSnapshot`."""

    deployment: str
    replica: str
    since: float


class Counter(msgspec.Struct, frozen=True):
    """A number that only rises."""

    name: str
    labels: dict[str, str]
    value: float


class Histogram(msgspec.Struct, frozen=True):
    """Observations by size."""

    name: str
    labels: dict[str, str]
    bounds: list[float]
    buckets: list[int]
    sum: float


class MetricsSnapshot(msgspec.Struct, frozen=True):
    """What replicas have counted, added up over them."""

    replicas: list[CountedReplica]
    counters: list[Counter]
    histograms: list[Histogram]
    gauges: list[Counter] = []
    """Of one replica alone; none where several are added up."""


class TrafficMinute(msgspec.Struct, frozen=True):
    """Requests that were answered in the minute that ends at `at`, in seconds since the epoch."""

    at: float
    requests: int
    failed: int
    refused: int
    buckets: list[int]
    """How many took how long, by `TrafficHistory.bounds`."""


class TrafficHistory(msgspec.Struct, frozen=True):
    """Requests of the last day by minute, oldest first; minutes without any are left out."""

    every_s: int
    since: float | None
    bounds: list[float]
    minutes: list[TrafficMinute]


class Status(msgspec.Struct, frozen=True):
    """How the service does, as far as its parts answer."""

    model_version: str | None = None
    pinned: bool = False
    replicas: list[dict[str, Any]] = []
    interactions_waiting: int | None = None
    seconds_since_newest_learned: float | None = None
    training: str | None = None
    last_training: dict[str, Any] | None = None
    health: dict[str, str] = {}
    store: dict[str, Any] | None = None
    near: dict[str, Any] | None = None


class AuditRecord(msgspec.Struct, frozen=True):
    """What somebody did; `at` is RFC 3339, `who` the name of their key."""

    at: str
    who: str
    action: str
    target: str | None = None
    details: dict[str, Any] = {}
    request_id: str | None = None


class AuditPage(msgspec.Struct, frozen=True):
    """A page of the audit, newest first."""

    audit: list[AuditRecord]
    next_cursor: str | None


class Looked(msgspec.Struct, frozen=True):
    """What was erased of a user in one place, and what was found there afterwards; None where nobody looked."""

    place: str
    searched: str | None
    erased: int
    left: int | None


class ForgettingReport(msgspec.Struct, frozen=True):
    """How far the forgetting of a user has come: ``running``, ``done``, or ``failed`` with a reason."""

    status: str
    places: list[Looked] = []
    reason: str | None = None
