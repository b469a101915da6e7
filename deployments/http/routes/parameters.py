"""Parameters that several routes share."""

from typing import Annotated, Any, Literal
from urllib.parse import unquote_to_bytes

import msgspec
from fastapi import Depends, Path, Query, Request, Response
from pydantic import WithJsonSchema

from deployments.http import schema_patterns
from deployments.http.problems import Problem, invalid
from deployments.http.schemas import check_id
from recommender.serving.boosts import Boosts, parse_boosts
from recommender.serving.filters import Filter
from recommender.serving.pagination import LONGEST_CURSOR, decode_cursor
from recommender.storage.archive.interaction_pages import CURSOR
from recommender.storage.archive.user_interactions import CURSOR as HISTORY_CURSOR

JSON = "application/json"
LONGEST_WINDOW_S = 10_000_000_000
ID: Any = {"minLength": 1, "maxLength": 256, "pattern": schema_patterns.ID}


def id_of(raw: str, loc: str) -> str:
    """Percent-decode an id of a path, which came undecoded, so that %2F is a letter of it."""
    try:
        value = unquote_to_bytes(raw).decode()
        check_id(value)
    except ValueError as error:
        reason = "an id is UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise invalid(f"path.{loc}: {reason}", f"path.{loc}") from None
    return value


# async though they wait for nothing: FastAPI would run them in a thread each
async def _user_id(user_id: Annotated[str, Path(description="percent-encoded", json_schema_extra=ID)]) -> str:
    return id_of(user_id, "user_id")


async def _item_id(item_id: Annotated[str, Path(description="percent-encoded", json_schema_extra=ID)]) -> str:
    return id_of(item_id, "item_id")


async def _name(name: Annotated[str, Path(description="percent-encoded", json_schema_extra=ID)]) -> str:
    return id_of(name, "name")


async def _placement(
    placement: Annotated[str | None, Query(description="where the items are shown", json_schema_extra=ID)] = None,
) -> str | None:
    return _checked(placement, "placement")


async def _session_id(
    session_id: Annotated[str | None, Query(description="of an anonymous user", json_schema_extra=ID)] = None,
) -> str | None:
    return _checked(session_id, "session_id")


def _checked(value: str | None, name: str) -> str | None:
    try:
        if value is not None:
            check_id(value)
    except ValueError as error:
        raise invalid(f"query.{name}: {error}", f"query.{name}") from None
    return value


Name = Annotated[str, Depends(_name)]
PlacementName = Annotated[str | None, Depends(_placement)]
SessionId = Annotated[str | None, Depends(_session_id)]
UserId = Annotated[str, Depends(_user_id)]
ItemId = Annotated[str, Depends(_item_id)]
K = Annotated[int, Query(ge=1, le=1000)]
FilterClause = Annotated[str, WithJsonSchema({"type": "string", "pattern": schema_patterns.FILTER})]
BoostClause = Annotated[str, WithJsonSchema({"type": "string", "pattern": schema_patterns.BOOST})]
CursorString = Annotated[str, WithJsonSchema({"type": "string", "pattern": schema_patterns.SHOWN})]


async def _filter(
    clauses: Annotated[
        list[FilterClause], Query(alias="filter", max_length=100, description="genres:Comedy or -genres:Horror")
    ] = [],  # noqa: B006 (FastAPI copies it)
) -> tuple[str, ...]:
    Filter.parse(clauses)
    return tuple(clauses)


async def _boosts(
    clauses: Annotated[
        list[BoostClause], Query(alias="boost", max_length=100, description="genres:Comedy:0.5, added to the score")
    ] = [],  # noqa: B006 (FastAPI copies it)
) -> Boosts:
    return parse_boosts(clauses)


async def _shown(
    cursor: Annotated[
        CursorString | None, Query(max_length=LONGEST_CURSOR, description="next_cursor of the page before")
    ] = None,
) -> tuple[str, ...]:
    return decode_cursor(cursor)


FilterClauses = Annotated[tuple[str, ...], Depends(_filter)]
BoostAmounts = Annotated[Boosts, Depends(_boosts)]
ShownItems = Annotated[tuple[str, ...], Depends(_shown)]
Diversity = Annotated[float, Query(ge=0, le=1, description="0: the best; 1: the least alike behind the best one")]
Typed = Annotated[str, Query(min_length=1, max_length=256, description="part of a title or an id")]
Limit = Annotated[int, Query(ge=1, le=1000)]
Cursor = Annotated[str | None, Query(pattern=schema_patterns.CURSOR, description="next_cursor of the page before")]
WindowS = Annotated[int, Query(ge=1, le=LONGEST_WINDOW_S, description="seconds that the window has, up to now")]
LongLimit = Annotated[int, Query(ge=1, le=10_000)]
Everyones = Annotated[str | None, Query(pattern=f"^{CURSOR}$", description="next_cursor of the page before")]
Histories = Annotated[str | None, Query(pattern=f"^{HISTORY_CURSOR}$", description="next_cursor of the page before")]
Audited = Annotated[str | None, Query(pattern=r"^[0-9]{1,17}$", description="next_cursor of the page before")]
Fallback = Literal["popular", "none"]


def answer(body: object, status: int = 200) -> Response:
    """JSON of a struct or of plain values."""
    return Response(msgspec.json.encode(body), status, media_type=JSON)


def raw_answer(body: bytes, status: int = 200) -> Response:
    """JSON that is encoded already."""
    return Response(body, status, media_type=JSON)


def not_found(what: str) -> Problem:
    """404 for one thing."""
    return Problem(404, f"there is no such {what}")


__all__ = [
    "Audited",
    "BoostAmounts",
    "Cursor",
    "Diversity",
    "Everyones",
    "Fallback",
    "FilterClauses",
    "Histories",
    "ItemId",
    "K",
    "Limit",
    "LongLimit",
    "Name",
    "PlacementName",
    "Request",
    "Response",
    "SessionId",
    "ShownItems",
    "Typed",
    "UserId",
    "WindowS",
    "answer",
    "id_of",
    "not_found",
    "raw_answer",
]
