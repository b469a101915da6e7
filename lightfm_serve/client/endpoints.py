"""Endpoints: a function for every route of the service, which describes the call and does not send it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import structs

from lightfm_serve.client import responses
from lightfm_serve.client.plain_values import Id, plain_body, plain_clauses, plain_features, plain_id, plain_ids
from lightfm_serve.client.requests import Interaction, Item, RankItem, Request, ShownList, User
from lightfm_serve.client.responses import Features

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Given = Mapping[str, Any]

MOST_AT_ONCE = 10_000
"""Interactions, users or items that one call takes."""


@dataclass(frozen=True)
class Call(Generic[T_co]):
    """Description of one HTTP call: method, path, parameters, body, and how to read the answer.

    Parameters
    ----------
    method, template
        Of the route, as OpenAPI names it.
    read
        Makes the answer of its body.
    ids
        What stands in the template.
    params
        Of the query; those that are None are left out.
    body
        JSON.
    repeatable
        Asking twice does what asking once does, so that it may be repeated when no answer came.
    """

    method: str
    template: str
    read: Callable[[bytes], T_co]
    ids: Mapping[str, Id] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    body: bytes | None = None
    repeatable: bool = True

    @property
    def path(self) -> str:
        """Path with the ids percent-encoded."""
        return self.template.format_map({name: _segment(plain_id(value, name)) for name, value in self.ids.items()})

    @property
    def query(self) -> list[tuple[str, str]]:
        """Parameters as they stand in the URL."""
        pairs: list[tuple[str, str]] = []
        for name, value in self.params.items():
            many = value if isinstance(value, list | tuple) else [value]
            pairs.extend((name, _text(each)) for each in many if each is not None)
        return pairs


def _segment(an_id: str) -> str:
    # a segment of dots alone would be taken for a step up the path
    return an_id.replace(".", "%2E") if an_id in (".", "..") else quote(an_id, safe="")


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _reader(kind: type[T]) -> Callable[[bytes], T]:
    return msgspec.json.Decoder(kind).decode


def _nothing(_: bytes) -> None:
    return None


_recommendations = _reader(responses.Recommendations)
_results = _reader(responses.RecommendationResults)
_ranking = _reader(responses.Ranking)
_similar_items, _similar_users = _reader(responses.SimilarItems), _reader(responses.SimilarUsers)
_popular, _latest, _found = _reader(responses.Popular), _reader(responses.Latest), _reader(responses.FoundItems)
_accepted, _upserted = _reader(responses.Accepted), _reader(responses.Upserted)
_user, _users = _reader(responses.StoredUser), _reader(responses.UserPage)
_item, _items = _reader(responses.StoredItem), _reader(responses.ItemPage)
_history, _interactions = _reader(responses.HistoryPage), _reader(responses.InteractionPage)
_exposures, _accepted_exposures = _reader(responses.ExposurePage), _reader(responses.AcceptedExposures)
_attribution = _reader(responses.Attribution)
_model, _models = _reader(responses.Model), _reader(responses.Models)
_training, _status = _reader(responses.Training), _reader(responses.Status)
_counted = _reader(responses.MetricsSnapshot)
_traffic = _reader(responses.TrafficHistory)
_forgetting = _reader(responses.ForgettingReport)
_audit = _reader(responses.AuditPage)
_health = _reader(dict[str, str])
_encode = msgspec.json.encode


def _all(given: Iterable[Any]) -> list[Any]:
    return [plain_body(each) for each in given]


# Recommending.


def recommend(
    user_id: Id,
    k: int | None = None,
    *,
    exclude_seen: bool | None = None,
    filter: str | Sequence[str] | None = None,
    explain: bool = False,
    diversity: float | None = None,
    boost: Mapping[str, float] | None = None,
    cursor: str | None = None,
    fallback: Literal["popular", "none"] | None = None,
    placement: str | None = None,
    session_id: Id | None = None,
) -> Call[responses.Recommendations]:
    """Recommend items to a user, best first.

    What is left out has the value of the placement, else that of the service.

    Parameters
    ----------
    user_id
        Known or not.
    k
        1 to 1000; 10 where nobody says.
    exclude_seen
        Leave out what the user has interacted with; true where nobody says.
    filter
        ``genres:Comedy`` must hold, ``-genres:Horror`` must not; one clause or several.
    explain
        Show what each score is made of.
    diversity
        0 to 1.
    boost
        By ``name:value``, what is added to the scores of items that have it.
    cursor
        ``next_cursor`` of the page before.
    fallback
        ``none``: `NotFoundError` for a user of whom nothing is known.
    placement
        Name of the place where the items are shown; `NotFoundError` where there is none of that name.
    session_id
        Of an anonymous user, for an experiment to assign them by.
    """
    # what is not set stays out of the URL: it is the placement's, and the service answers the plain request fastest
    params = {
        "k": k,
        "exclude_seen": exclude_seen,
        "filter": plain_clauses(filter or ()),
        "explain": explain or None,
        "diversity": diversity,
        "boost": [f"{feature}:{amount!r}" for feature, amount in (boost or {}).items()],
        "cursor": cursor,
        "fallback": fallback,
        "placement": placement,
        "session_id": None if session_id is None else plain_id(session_id, "session_id"),
    }
    return Call("GET", "/v1/users/{user_id}/recommendations", _recommendations, {"user_id": user_id}, params)


def recommend_many(requests: Iterable[Request | Given]) -> Call[responses.RecommendationResults]:
    """Recommend for 1 to 256 users or anonymous sessions at once."""
    return Call("POST", "/v1/recommendations", _results, body=_encode({"requests": _all(requests)}))


def rank(
    items: str | Iterable[Id | RankItem | Given],
    *,
    user_id: Id | None = None,
    features: Features | None = None,
    recent: str | Sequence[Id] = (),
) -> Call[responses.Ranking]:
    """Score exactly these items for one user, known or not."""
    asked = [items] if isinstance(items, str) else items
    whole = (RankItem, Mapping)
    body: dict[str, Any] = {
        "items": [plain_body(each) if isinstance(each, whole) else plain_id(each, "items") for each in asked],
        "recent": plain_ids(recent),
    }
    body |= {} if user_id is None else {"user_id": plain_id(user_id, "user_id")}
    body |= {} if features is None else {"features": plain_features(features)}
    return Call("POST", "/v1/rank", _ranking, body=_encode(body))


def similar_items(item_id: Id, k: int = 10, *, filter: str | Sequence[str] = ()) -> Call[responses.SimilarItems]:
    """Items like this one."""
    params = {"k": k, "filter": plain_clauses(filter)}
    return Call("GET", "/v1/items/{item_id}/similar", _similar_items, {"item_id": item_id}, params)


def similar_users(user_id: Id, k: int = 10) -> Call[responses.SimilarUsers]:
    """Users like this one."""
    return Call("GET", "/v1/users/{user_id}/similar", _similar_users, {"user_id": user_id}, {"k": k})


def popular(k: int = 10, *, filter: str | Sequence[str] = (), window_s: int | None = None) -> Call[responses.Popular]:
    """What everyone gets, best first; with `window_s` by the number of interactions in so many seconds up to now."""
    return Call("GET", "/v1/popular", _popular, params={"k": k, "filter": plain_clauses(filter), "window_s": window_s})


def trending(k: int = 10, *, filter: str | Sequence[str] = (), window_s: int = 86_400) -> Call[responses.Popular]:
    """Items whose part in the interactions of the last seconds is larger than before, the surest first."""
    return Call("GET", "/v1/trending", _popular, params={"k": k, "filter": plain_clauses(filter), "window_s": window_s})


def search(q: str, k: int = 10) -> Call[responses.FoundItems]:
    """Items by what someone has typed of a title or an id, the most fitting first."""
    return Call("GET", "/v1/search", _found, params={"q": q, "k": k})


def latest(k: int = 10, *, filter: str | Sequence[str] = ()) -> Call[responses.Latest]:
    """Available items by the time of their last change, newest first."""
    return Call("GET", "/v1/latest", _latest, params={"k": k, "filter": plain_clauses(filter)})


# Writing, and reading what was written.


def add_interactions(interactions: Iterable[Interaction | Given]) -> Call[responses.Accepted]:
    """Add 1 to 10,000 interactions, all or none; they are durable when the answer comes.

    One without an ``event_id`` gets one, so that a repetition does not count twice: where an answer was lost, those
    that had arrived are counted among the ``duplicates``.
    """
    named = [_named(plain_body(each)) for each in interactions]
    return Call("POST", "/v1/interactions", _accepted, body=_encode({"interactions": named}))


def _named(interaction: Interaction | Given) -> Interaction | Given:
    if isinstance(interaction, Interaction):
        if interaction.event_id is not None:
            return interaction
        return msgspec.structs.replace(interaction, event_id=uuid.uuid4().hex)
    if interaction.get("event_id") is not None:
        return interaction
    return {**interaction, "event_id": uuid.uuid4().hex}


def put_user(user_id: Id, features: Features | None = None) -> Call[responses.StoredUser]:
    """Create or replace a user."""
    return Call(
        "PUT", "/v1/users/{user_id}", _user, {"user_id": user_id}, body=_encode({"features": plain_features(features)})
    )


def get_user(user_id: Id) -> Call[responses.StoredUser]:
    """A user as stored."""
    return Call("GET", "/v1/users/{user_id}", _user, {"user_id": user_id})


def delete_user(user_id: Id) -> Call[None]:
    """Erase a user's features, interactions and recent items."""
    return Call("DELETE", "/v1/users/{user_id}", _nothing, {"user_id": user_id})


def list_users(*, cursor: str | None = None, limit: int = 100) -> Call[responses.UserPage]:
    """A page of users, least recently changed first."""
    return Call("GET", "/v1/users", _users, params={"cursor": cursor, "limit": limit})


def put_users(users: Iterable[User | Given]) -> Call[responses.Upserted]:
    """Create or replace 1 to 10,000 users, all or none."""
    return Call("POST", "/v1/users", _upserted, body=_encode({"users": _all(users)}))


def user_interactions(user_id: Id, *, cursor: str | None = None, limit: int = 100) -> Call[responses.HistoryPage]:
    """A page of a user's interactions, newest first."""
    params = {"cursor": cursor, "limit": limit}
    return Call("GET", "/v1/users/{user_id}/interactions", _history, {"user_id": user_id}, params)


def list_interactions(*, cursor: str | None = None, limit: int = 1000) -> Call[responses.InteractionPage]:
    """A page of everyone's interactions."""
    return Call("GET", "/v1/interactions", _interactions, params={"cursor": cursor, "limit": limit})


def put_item(
    item_id: Id, *, title: str | None = None, features: Features | None = None, available: bool = True
) -> Call[responses.StoredItem]:
    """Create or replace an item; with features it is recommendable at once."""
    body = _encode({"title": title, "features": plain_features(features), "available": available})
    return Call("PUT", "/v1/items/{item_id}", _item, {"item_id": item_id}, body=body)


def get_item(item_id: Id) -> Call[responses.StoredItem]:
    """An item as stored."""
    return Call("GET", "/v1/items/{item_id}", _item, {"item_id": item_id})


def delete_item(item_id: Id) -> Call[None]:
    """Delete an item; it is not recommended from the next request on."""
    return Call("DELETE", "/v1/items/{item_id}", _nothing, {"item_id": item_id})


def list_items(*, cursor: str | None = None, limit: int = 100) -> Call[responses.ItemPage]:
    """A page of items, least recently changed first."""
    return Call("GET", "/v1/items", _items, params={"cursor": cursor, "limit": limit})


def put_items(items: Iterable[Item | Given]) -> Call[responses.Upserted]:
    """Create or replace 1 to 10,000 items, all or none."""
    return Call("POST", "/v1/items", _upserted, body=_encode({"items": _all(items)}))


# What was shown.


def add_exposures(exposures: Iterable[ShownList | Given]) -> Call[responses.AcceptedExposures]:
    """Add 1 to 1,000 lists that a page has shown from elsewhere; what this service recommends is known to it.

    One without a ``recommendation_id`` gets one, so that a repetition does not count twice.
    """
    named = [_identified(plain_body(each)) for each in exposures]
    return Call("POST", "/v1/exposures", _accepted_exposures, body=_encode({"exposures": named}))


def _identified(shown: ShownList | Given) -> ShownList | Given:
    own = uuid.uuid4().hex
    if isinstance(shown, ShownList):
        return shown if shown.recommendation_id is not None else structs.replace(shown, recommendation_id=own)
    return shown if shown.get("recommendation_id") is not None else {**shown, "recommendation_id": own}


def list_exposures(*, cursor: str | None = None, limit: int = 100) -> Call[responses.ExposurePage]:
    """A page of what was shown, newest first; needs an admin key."""
    return Call("GET", "/v1/exposures", _exposures, params={"cursor": cursor, "limit": limit})


def attribution(
    by: Literal["version", "variant", "placement", "position", "day"] = "version",
    *,
    placement: str | None = None,
    since: float | str | datetime | None = None,
    until: float | str | datetime | None = None,
    daily: bool | None = None,
) -> Call[responses.Attribution]:
    """What came of what was shown; `since` and `until` are widened to whole days of UTC.

    With `daily` each row is told day by day.
    """
    params = {"by": by, "placement": placement, "from": _time(since), "to": _time(until), "daily": daily}
    return Call("GET", "/v1/attribution", _attribution, params=params)


def _time(given: float | str | datetime | None) -> float | str | None:
    return given.isoformat() if isinstance(given, datetime) else given


# Models, and operating.


def models() -> Call[responses.Models]:
    """Versions of the model, newest first."""
    return Call("GET", "/v1/models", _models)


def train(mode: Literal["full", "incremental"] = "incremental") -> Call[responses.Training]:
    """Train now; `ConflictError` when a training is running."""
    return Call("POST", "/v1/models", _training, body=_encode({"mode": mode}), repeatable=False)


def active_model() -> Call[responses.Model]:
    """Which version serves."""
    return Call("GET", "/v1/models/active", _model)


def activate(version: str) -> Call[responses.Model]:
    """Roll back or forward, on every replica; ``latest`` follows new versions again."""
    return Call("PUT", "/v1/models/active", _model, body=_encode({"version": version}))


def status() -> Call[responses.Status]:
    """Health of each part, versions of the replicas, what waits and how the last training went."""
    return Call("GET", "/v1/status", _status)


def metrics() -> Call[responses.MetricsSnapshot]:
    """Counters and histograms, added up over the replicas."""
    return Call("GET", "/v1/metrics", _counted)


def metrics_history() -> Call[responses.TrafficHistory]:
    """Requests of the last day by minute."""
    return Call("GET", "/v1/metrics/history", _traffic)


def audit(*, cursor: str | None = None, limit: int = 100) -> Call[responses.AuditPage]:
    """A page of who did what and when, newest first; for administrators."""
    return Call("GET", "/v1/audit", _audit, params={"cursor": cursor, "limit": limit})


def forget(user_id: Id, *, verify: bool = True) -> Call[responses.ForgettingReport]:
    """Begin to forget a user everywhere; `forgetting` says how far it has come."""
    path = {"user_id": user_id}
    return Call("POST", "/v1/users/{user_id}/forget", _forgetting, path, {"verify": verify})


def forgetting(user_id: Id) -> Call[responses.ForgettingReport]:
    """How far the forgetting of a user has come."""
    return Call("GET", "/v1/users/{user_id}/forget", _forgetting, {"user_id": user_id})


def healthy() -> Call[dict[str, str]]:
    """The process is up."""
    return Call("GET", "/healthz", _health)


def ready() -> Call[dict[str, str]]:
    """A model serves; `UnavailableError` until one does."""
    return Call("GET", "/readyz", _health)
