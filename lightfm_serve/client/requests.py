"""Request types. A mapping with the same names does as well."""

from __future__ import annotations

from datetime import datetime

import msgspec

from lightfm_serve.client.responses import Features


class Interaction(msgspec.Struct, omit_defaults=True, kw_only=True):
    """Something a user did with an item.

    `timestamp` is seconds since the epoch or a datetime, now when absent. `event_id` is made up where there is none,
    so that a repeated call does not count twice. `recommendation_id` names the answer that led to it; where a client
    has recommended the item itself, it fills that in.
    """

    user_id: str
    item_id: str
    weight: float = 1.0
    timestamp: float | datetime | None = None
    event: str | None = None
    event_id: str | None = None
    recommendation_id: str | None = None


class ShownItem(msgspec.Struct, omit_defaults=True, kw_only=True):
    """An item of a list that a page has shown; without `position` it stands behind the one before it."""

    item_id: str
    position: int | None = None
    propensity: float | None = None


class ShownList(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A list that a page has shown from elsewhere, for `Client.add_exposures`."""

    items: list[str | ShownItem]
    recommendation_id: str | None = None
    user_id: str | None = None
    placement: str | None = None
    model_version: str | None = None
    experiment: str | None = None
    variant: str | None = None
    at: float | datetime | None = None


class User(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A user to be put."""

    user_id: str
    features: Features | None = None


class Item(msgspec.Struct, omit_defaults=True, kw_only=True):
    """An item to be put."""

    item_id: str
    title: str | None = None
    features: Features | None = None
    available: bool = True


class Request(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One request for recommendations; without a user, an anonymous session.

    What is None has the value of the placement, else that of the service.
    """

    user_id: str | None = None
    features: Features | None = None
    """Instead of the stored ones; an empty map means none."""
    recent: list[str] = []
    """Item ids, newest last."""
    k: int | None = None
    exclude: list[str] = []
    candidates: list[str] | None = None
    filter: list[str] | None = None
    exclude_seen: bool | None = None
    explain: bool = False
    diversity: float | None = None
    boost: dict[str, float] | None = None
    cursor: str | None = None
    fallback: str | None = None
    placement: str | None = None
    session_id: str | None = None


class RankItem(msgspec.Struct, omit_defaults=True, kw_only=True):
    """An item to be ranked by features given here."""

    item_id: str
    features: Features | None = None
