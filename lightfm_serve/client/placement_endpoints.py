"""Endpoints of placements: a function for every route, which describes the call and does not send it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from lightfm_serve.client import placement_responses as responses
from lightfm_serve.client.endpoints import Call
from lightfm_serve.client.responses import Recommendations

_placement = msgspec.json.Decoder(responses.Placement).decode
_placements = msgspec.json.Decoder(responses.Placements).decode
_history = msgspec.json.Decoder(responses.PlacementHistory).decode
_recommendations = msgspec.json.Decoder(Recommendations).decode
_encode = msgspec.json.encode


def put_placement(name: str, settings: responses.PlacementSettings | Mapping[str, Any]) -> Call[responses.Placement]:
    """Create or replace a placement; it acts on the next request.

    Parameters
    ----------
    name
        Of the placement.
    settings
        Any of ``k``, ``filter``, ``boost``, ``diversity``, ``explore``, ``exclude_seen``, ``fallback`` and ``rules``.
        `InvalidError` names two rules that contradict one another.
    """
    return Call("PUT", "/v1/placements/{name}", _placement, {"name": name}, body=_encode(settings))


def get_placement(name: str) -> Call[responses.Placement]:
    """A placement as it is."""
    return Call("GET", "/v1/placements/{name}", _placement, {"name": name})


def delete_placement(name: str) -> Call[None]:
    """Delete a placement; what it was stays in its history."""
    return Call("DELETE", "/v1/placements/{name}", _nothing, {"name": name})


def list_placements() -> Call[responses.Placements]:
    """All placements, by name."""
    return Call("GET", "/v1/placements", _placements)


def placement_history(name: str) -> Call[responses.PlacementHistory]:
    """The last 50 changes of a placement, newest first; put ``settings`` of one to have them back."""
    return Call("GET", "/v1/placements/{name}/history", _history, {"name": name})


def preview_placement(
    name: str,
    settings: responses.PlacementSettings | Mapping[str, Any],
    user_id: str | None = None,
    *,
    model_version: str | None = None,
) -> Call[Recommendations]:
    """What a user would be shown with settings that are not put yet, by a version; nothing is stored."""
    given = {"user_id": user_id, "model_version": model_version}
    body = {"settings": settings, **{key: value for key, value in given.items() if value is not None}}
    return Call("POST", "/v1/placements/{name}/preview", _recommendations, {"name": name}, body=_encode(body))


def _nothing(_: bytes) -> None:
    return None
