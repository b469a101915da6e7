"""Routes of users, items and interactions: write, read, list (chapter 4 of the contract)."""

from collections.abc import Sequence
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from deployments.http.body_reader import read
from deployments.http.openapi import documented
from deployments.http.problems import invalid
from deployments.http.routes.parameters import (
    Cursor,
    Everyones,
    Histories,
    ItemId,
    Limit,
    LongLimit,
    UserId,
    answer,
    not_found,
    raw_answer,
)
from deployments.http.schemas import (
    InteractionBodies,
    ItemBodies,
    ItemBody,
    ItemFields,
    UserBodies,
    UserBody,
    UserFields,
)
from deployments.http.service import current
from recommender.dense_vectors.packing import with_lists
from recommender.storage.archive.interaction_pages import InteractionPage
from recommender.storage.archive.user_interactions import HistoryPage
from recommender.stores.protocols import FeatureMap, Item, User

router = APIRouter(tags=["writing"])

_interactions = msgspec.json.Decoder(InteractionBodies)
_user, _users = msgspec.json.Decoder(UserBody), msgspec.json.Decoder(UserBodies)
_item, _items = msgspec.json.Decoder(ItemBody), msgspec.json.Decoder(ItemBodies)


class Accepted(msgspec.Struct):
    """Interactions that are durable now, and those that were there before."""

    accepted: int
    duplicates: int


class UserObject(msgspec.Struct, omit_defaults=True):
    """A user."""

    user_id: str
    updated_at: float
    features: dict[str, Any] | None = None


class ItemObject(msgspec.Struct, omit_defaults=True):
    """An item."""

    item_id: str
    available: bool
    updated_at: float
    title: str | None = None
    features: dict[str, Any] | None = None


class Upserted(msgspec.Struct):
    """What a batch did."""

    created: int
    updated: int


class UserPage(msgspec.Struct):
    """Users, least recently changed first."""

    users: list[UserObject]
    next_cursor: str | None


class ItemPage(msgspec.Struct):
    """Items, least recently changed first."""

    items: list[ItemObject]
    next_cursor: str | None


@router.post("/v1/interactions", **documented(Accepted, 503, status=202, body=InteractionBodies))
async def add_interactions(request: Request) -> Response:
    """Take interactions, all or none; the answer comes when they are durable in the log."""
    body = await read(request, _interactions)
    appended = await current().append([each.interaction() for each in body.interactions])
    return answer(Accepted(appended.accepted, appended.duplicates), 202)


@router.get("/v1/interactions", **documented(InteractionPage, 503))
async def list_interactions(cursor: Everyones = None, limit: LongLimit = 1000) -> Response:
    """Interactions of everyone, learned or waiting, page by page, each user's in the order in which they came.

    The last page has no `next_cursor`; one before it may be shorter than `limit`. Who is erased while somebody reads
    is not in the pages that come.
    """
    return raw_answer(await current().interactions(cursor, limit))


@router.put("/v1/users/{user_id}", **documented(UserObject, 503, body=UserFields, creates=True))
async def put_user(user_id: UserId, request: Request) -> Response:
    """Create or replace a user; one who is put as they are already keeps their `updated_at`."""
    body = await read(request, _user)
    _check_same(body.user_id, user_id, "user_id")
    user = body.user(user_id)
    (created,) = await current().store.put_users([user])
    (stored,) = [None] if created else await current().store.get_users([user_id])
    return answer(_user_object(stored or user), 201 if created else 200)


@router.get("/v1/users/{user_id}", **documented(UserObject, 404, 503))
async def get_user(user_id: UserId) -> Response:
    """A user as stored."""
    (user,) = await current().store.get_users([user_id])
    if user is None:
        raise not_found("user")
    return answer(_user_object(user))


@router.delete("/v1/users/{user_id}", **documented(None, 404, 503))
async def delete_user(user_id: UserId) -> Response:
    """Erase a user's features, interactions and recent items; no later training sees them."""
    if not await current().delete_user(user_id):
        raise not_found("user")
    return Response(status_code=204)


@router.get("/v1/users", **documented(UserPage, 503))
async def list_users(cursor: Cursor = None, limit: Limit = 100) -> Response:
    """Users page by page, least recently changed first."""
    users, following = await current().store.list_users(cursor, limit)
    return answer(UserPage([_user_object(user) for user in users], following))


@router.post("/v1/users", **documented(Upserted, 503, body=UserBodies))
async def put_users(request: Request) -> Response:
    """Create or replace users, all or none."""
    body = await read(request, _users)
    users = {each.user_id: each.user(each.user_id) for each in body.users}
    return answer(_upserted(await current().store.put_users(list(users.values()))))


@router.get("/v1/users/{user_id}/interactions", **documented(HistoryPage, 404, 503))
async def user_interactions(user_id: UserId, cursor: Histories = None, limit: Limit = 100) -> Response:
    """Every interaction of a user, learned or waiting, repeats included, newest first by time.

    No page repeats or leaves out what was there when the first was asked for.
    """
    page = await current().user_interactions(user_id, cursor, limit)
    if page is None:
        raise not_found("user with interactions")
    return raw_answer(page)


@router.put("/v1/items/{item_id}", **documented(ItemObject, 503, body=ItemFields, creates=True))
async def put_item(item_id: ItemId, request: Request) -> Response:
    """Create or replace an item; with features it is recommendable at once.

    One that is put as it is already is not changed, and keeps its `updated_at`.
    """
    body = await read(request, _item)
    _check_same(body.item_id, item_id, "item_id")
    item = body.item(item_id)
    (created,) = await current().store.put_items([item])
    (stored,) = [None] if created else await current().store.get_items([item_id])
    return answer(_item_object(stored or item), 201 if created else 200)


@router.get("/v1/items/{item_id}", **documented(ItemObject, 404, 503))
async def get_item(item_id: ItemId) -> Response:
    """An item as stored."""
    (item,) = await current().store.get_items([item_id])
    if item is None:
        raise not_found("item")
    return answer(_item_object(item))


@router.delete("/v1/items/{item_id}", **documented(None, 404, 503))
async def delete_item(item_id: ItemId) -> Response:
    """Delete an item; it is not recommended from the next request on."""
    if not await current().delete_item(item_id):
        raise not_found("item")
    return Response(status_code=204)


@router.get("/v1/items", **documented(ItemPage, 503))
async def list_items(cursor: Cursor = None, limit: Limit = 100) -> Response:
    """Items page by page, least recently changed first."""
    items, following = await current().store.list_items(cursor, limit)
    return answer(ItemPage([_item_object(item) for item in items], following))


@router.post("/v1/items", **documented(Upserted, 503, body=ItemBodies))
async def put_items(request: Request) -> Response:
    """Create or replace items, all or none; those that are put as they are already cost next to nothing."""
    body = await read(request, _items)
    items = {each.item_id: each.item(each.item_id) for each in body.items}
    return answer(_upserted(await current().store.put_items(list(items.values()))))


def _check_same(given: str | None, expected: str, name: str) -> None:
    if given is not None and given != expected:
        raise invalid(f"body.{name}: it differs from the one in the path", f"body.{name}")


def _upserted(created: Sequence[bool]) -> Upserted:
    return Upserted(sum(created), len(created) - sum(created))


def _user_object(user: User) -> UserObject:
    return UserObject(user.user_id, user.updated_at, _shown(user.features))


def _item_object(item: Item) -> ItemObject:
    return ItemObject(item.item_id, item.available, item.updated_at, item.title, _shown(item.features))


def _shown(features: FeatureMap | None) -> dict[str, Any] | None:
    return None if features is None else with_lists(features)
