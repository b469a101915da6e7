"""Request bodies: msgspec types that decode strictly and check every value once."""

from __future__ import annotations

import math
import time
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeGuard

from msgspec import UNSET, Meta, Struct, UnsetType

from deployments.http import schema_patterns
from lightfm_serve.records.values import is_rfc_3339, parse_timestamp
from lightfm_serve.records.vectors import clean_json_list
from recommender.dense_vectors.packing import pack_vector
from recommender.schema import FeatureMap as Features
from recommender.schema import Query, RankQuery
from recommender.serving.boosts import check_boosts
from recommender.serving.filters import Filter
from recommender.serving.pagination import decode_cursor
from recommender.stores.protocols import Interaction, Item, User

MAX_ID_BYTES = 256
MAX_NAME_BYTES = 128
LATEST_SHOWN = 1_767_225_600
"""The newest time of which OpenAPI says that it is taken: a schema cannot say that none may lie in the future."""

MAX_VALUES = 1_000
"""Of the features of one user, item or request: strings, numbers, booleans and the members of lists."""

Id = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=256,
        description="1 to 256 bytes of UTF-8, no control characters",
        extra_json_schema={"pattern": schema_patterns.ID},
    ),
]
FilterClause = Annotated[
    str, Meta(description="genres:Comedy or -genres:Horror", extra_json_schema={"pattern": schema_patterns.FILTER})
]
Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Members = Annotated[
    list[str | Integer | float],
    Meta(description="categories, or the numbers of a dense vector", extra_json_schema=schema_patterns.MEMBERS),
]
Value = str | bool | Integer | float | Members
FeatureMap = Annotated[
    dict[str, Value],
    Meta(
        description="name to string, number, boolean, list of strings, or list of numbers: a dense vector, of one "
        f"length for all who have it; {MAX_VALUES} values at most in all, a vector is one",
        extra_json_schema={"propertyNames": {"pattern": schema_patterns.FEATURE_NAME}},
    ),
]
K = Annotated[int, Meta(ge=1, le=1000)] | Annotated[float, Meta(ge=1, le=1000, multiple_of=1)]
"""JSON knows one kind of number: 10.0 is an integer too."""
Timestamp = (
    Annotated[
        float,
        Meta(ge=0, description="seconds since the epoch", extra_json_schema={"maximum": LATEST_SHOWN}),
    ]
    | Annotated[
        str,
        Meta(
            description="RFC 3339; a bare date is its first moment in UTC",
            extra_json_schema={"pattern": schema_patterns.TIMESTAMP},
        ),
    ]
)
Diversity = Annotated[float, Meta(ge=0, le=1, description="maximal marginal relevance; items come in order of choice")]
Boost = Annotated[
    dict[str, float],
    Meta(
        max_length=100,
        description="name:value to what is added to the score",
        extra_json_schema={"propertyNames": {"pattern": schema_patterns.FEATURE}},
    ),
]
CursorText = Annotated[
    str, Meta(description="next_cursor of the page before", extra_json_schema={"pattern": schema_patterns.SHOWN})
]
Fallback = Literal["popular", "none"]


def check_id(value: str) -> None:
    """Raise ValueError for what cannot be an id."""
    size = len(value.encode())
    if not 1 <= size <= MAX_ID_BYTES:
        raise ValueError(f"an id has 1 to {MAX_ID_BYTES} bytes of UTF-8, this one has {size}")
    # ascii and printable is nearly every id there is; only the others are looked at letter by letter
    if not (value.isascii() and value.isprintable()) and any(unicodedata.category(letter) == "Cc" for letter in value):
        raise ValueError("an id has no control characters")


def check_ids(values: Iterable[str | None]) -> None:
    """Raise ValueError for one that cannot be an id; None stands for one that was not given."""
    for value in values:
        if value is not None:
            check_id(value)


def _check_features(features: Mapping[str, Value] | None) -> None:
    n_values = 0
    for name, value in (features or {}).items():
        if not 1 <= len(name.encode()) <= MAX_NAME_BYTES:
            raise ValueError(f"the name of a feature has 1 to {MAX_NAME_BYTES} bytes of UTF-8")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"the number of feature {name!r} must be finite")
        n_values += _count_members(name, value) if isinstance(value, list) else 1
    if n_values > MAX_VALUES:
        raise ValueError(f"features have up to {MAX_VALUES} values in all, these have {n_values}")


def _count_members(name: str, members: Sequence[str | float]) -> int:
    """How many values a list is: its categories, or 1 for a dense vector."""
    try:
        found = clean_json_list(members)
    except ValueError as error:
        raise ValueError(f"the list of feature {name!r} {str(error).removeprefix('{} ')}") from None
    return 1 if _is_vector(found) else len(found)


def _is_vector(members: Sequence[str | float]) -> TypeGuard[Sequence[float]]:
    return bool(members) and not isinstance(members[0], str)


def _packed(features: Mapping[str, Value] | None) -> Features | None:
    """Features as the library takes them, once they are checked."""
    if features is None:
        return None
    return {
        name: pack_vector(value) if isinstance(value, list) and _is_vector(value) else value  # type: ignore[misc]
        for name, value in features.items()
    }


class RecommendationRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """One request for recommendations."""

    user_id: Id | None = None
    features: FeatureMap | None = None
    recent: Annotated[list[Id], Meta(max_length=1000)] = []
    k: K | UnsetType = UNSET
    exclude: Annotated[
        list[Id], Meta(max_length=10_000, description="items never to return; by feature, filter with -name:value")
    ] = []
    candidates: Annotated[list[Id], Meta(max_length=10_000, description="rank only these")] | None = None
    filter: Annotated[list[FilterClause], Meta(max_length=100)] | UnsetType = UNSET
    exclude_seen: bool | UnsetType = UNSET
    explain: bool = False
    diversity: Diversity | UnsetType = UNSET
    boost: Boost | UnsetType = UNSET
    cursor: CursorText | None = None
    fallback: Fallback | UnsetType = UNSET
    placement: (
        Annotated[Id, Meta(description="where the items are shown; its settings hold for what is left out")] | None
    ) = None

    session_id: Annotated[Id, Meta(description="of an anonymous user, who is assigned to a variant by it")] | None = (
        None
    )

    def __post_init__(self) -> None:
        check_ids(
            [self.user_id, self.session_id, self.placement, *self.recent, *self.exclude, *(self.candidates or ())]
        )
        _check_features(self.features)
        Filter.parse(self.filter or ())
        check_boosts(self.boost or {})
        decode_cursor(self.cursor)

    def query(self) -> Query:
        """What the library takes."""
        given = self._given()
        return Query(
            user_id=self.user_id,
            features=_packed(self.features),
            recent=tuple(self.recent),
            exclude=tuple(self.exclude),
            candidates=None if self.candidates is None else tuple(self.candidates),
            explain=self.explain,
            shown=decode_cursor(self.cursor),
            placement=self.placement,
            session_id=self.session_id,
            given=frozenset(given),
            **given,
        )

    def _given(self) -> dict[str, Any]:
        """What this request sets itself of what a placement may set."""
        found = {name: getattr(self, name) for name in _SETTINGS if getattr(self, name) is not UNSET}
        return {name: _LIBRARY[name](value) if name in _LIBRARY else value for name, value in found.items()}


_SETTINGS = ("k", "filter", "exclude_seen", "diversity", "boost", "fallback")
_LIBRARY: Mapping[str, Callable[[Any], Any]] = {"k": int, "filter": tuple, "boost": check_boosts}


class RecommendationRequests(Struct, forbid_unknown_fields=True):
    """Body of ``POST /v1/recommendations``."""

    requests: Annotated[list[RecommendationRequest], Meta(min_length=1, max_length=256)]


class RankItem(Struct, forbid_unknown_fields=True):
    """An item to score by features given here."""

    item_id: Id
    features: FeatureMap | None = None

    def __post_init__(self) -> None:
        check_id(self.item_id)
        _check_features(self.features)


class RankRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of ``POST /v1/rank``."""

    items: Annotated[list[Id | RankItem], Meta(min_length=1, max_length=10_000)]
    user_id: Id | None = None
    features: FeatureMap | None = None
    recent: Annotated[list[Id], Meta(max_length=1000)] = []

    def __post_init__(self) -> None:
        check_ids([self.user_id, *self.recent, *(each for each in self.items if isinstance(each, str))])
        _check_features(self.features)

    def query(self) -> RankQuery:
        """What the library takes."""
        items = (
            (each, None) if isinstance(each, str) else (each.item_id, _packed(each.features)) for each in self.items
        )
        features = _packed(self.features)
        return RankQuery(items=tuple(items), user_id=self.user_id, features=features, recent=tuple(self.recent))


class InteractionBody(Struct, forbid_unknown_fields=True):
    """One interaction."""

    user_id: Id
    item_id: Id
    weight: Annotated[float, Meta(gt=0)] = 1.0
    timestamp: Timestamp | None = None
    event: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    event_id: Id | None = None
    recommendation_id: Id | None = None
    """Of the answer that led to it."""

    def __post_init__(self) -> None:
        check_ids([self.user_id, self.item_id, self.event_id, self.recommendation_id])
        if not math.isfinite(self.weight):
            raise ValueError("weight must be finite")
        seconds_of(self.timestamp)

    def interaction(self) -> Interaction:
        """What the store takes."""
        seconds = seconds_of(self.timestamp)
        names = self.event, self.event_id, self.recommendation_id
        return Interaction(self.user_id, self.item_id, self.weight, seconds, *names)


class InteractionBodies(Struct, forbid_unknown_fields=True):
    """Body of ``POST /v1/interactions``."""

    interactions: Annotated[list[InteractionBody], Meta(min_length=1, max_length=10_000)]


class UserFields(Struct, forbid_unknown_fields=True, kw_only=True):
    """A user; ``updated_at`` is accepted, so that what was read can be written back, and set here."""

    features: FeatureMap | None = None
    updated_at: float | str | None = None


class UserBody(UserFields, forbid_unknown_fields=True, kw_only=True):
    """A user with their id, which is the one in the path."""

    user_id: Id | None = None

    def __post_init__(self) -> None:
        check_ids([self.user_id])
        _check_features(self.features)

    def user(self, user_id: str) -> User:
        """What the store takes."""
        return User(user_id, _packed(self.features), time.time())


class ItemFields(Struct, forbid_unknown_fields=True, kw_only=True):
    """An item; ``updated_at`` is accepted, so that what was read can be written back, and set here."""

    title: Annotated[str, Meta(max_length=1024)] | None = None
    features: FeatureMap | None = None
    available: bool = True
    updated_at: float | str | None = None


class ItemBody(ItemFields, forbid_unknown_fields=True, kw_only=True):
    """An item with its id, which is the one in the path."""

    item_id: Id | None = None

    def __post_init__(self) -> None:
        check_ids([self.item_id])
        _check_features(self.features)

    def item(self, item_id: str) -> Item:
        """What the store takes."""
        return Item(item_id, self.title, _packed(self.features), self.available, time.time())


class NamedUserBody(UserBody, forbid_unknown_fields=True, kw_only=True):
    """A user of a batch."""

    user_id: Id


class NamedItemBody(ItemBody, forbid_unknown_fields=True, kw_only=True):
    """An item of a batch."""

    item_id: Id


class UserBodies(Struct, forbid_unknown_fields=True):
    """Body of ``POST /v1/users``."""

    users: Annotated[list[NamedUserBody], Meta(min_length=1, max_length=10_000)]


class ItemBodies(Struct, forbid_unknown_fields=True):
    """Body of ``POST /v1/items``."""

    items: Annotated[list[NamedItemBody], Meta(min_length=1, max_length=10_000)]


class TrainRequest(Struct, forbid_unknown_fields=True):
    """Body of ``POST /v1/models``."""

    mode: Literal["full", "incremental"]


class ActiveModel(Struct, forbid_unknown_fields=True):
    """Body of ``PUT /v1/models/active``."""

    version: Annotated[str, Meta(min_length=1, max_length=64)]


def seconds_of(timestamp: float | str | None, name: str = "timestamp") -> float:
    """Seconds since the epoch; now when absent. `name` is the field's, for errors."""
    if timestamp is None:
        return time.time()
    if isinstance(timestamp, str) and not is_rfc_3339(timestamp):
        raise ValueError(f"{name} is neither seconds since the epoch nor RFC 3339, as in 2026-11-25T10:00:00Z")
    try:
        return parse_timestamp(timestamp)
    except ValueError as error:
        raise ValueError(str(error).replace("{}", name)) from None
