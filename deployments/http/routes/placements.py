"""Routes of placements: put, read, delete, history (chapter 10 of the contract)."""

import time
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from deployments.http.body_reader import read
from deployments.http.openapi import documented
from deployments.http.placement_schemas import (
    PlacementBody,
    PlacementFields,
    PlacementHistory,
    Placements,
    PreviewBody,
    StoredPlacement,
)
from deployments.http.problems import Problem, invalid
from deployments.http.routes.parameters import Name, answer, not_found, raw_answer
from deployments.http.service import current
from recommender import schema
from recommender.serving.experiments.running import check_variants
from recommender.serving.placements.placement import with_placement
from recommender.serving.placements.settings import Settings, read_placement, write_document
from recommender.stores.settings_log import SettingChange, SettingPut

router = APIRouter(tags=["placements"])

CHANGED_MEANWHILE = "somebody has changed a placement or an experiment at the same moment; ask again"

_placement = msgspec.json.Decoder(PlacementBody)
_preview = msgspec.json.Decoder(PreviewBody)


@router.get("/v1/placements", **documented(Placements))
async def list_placements() -> Response:
    """All placements, by name."""
    return answer({"placements": [_shown(each) for each in await _placements()]})


@router.put("/v1/placements/{name}", **documented(StoredPlacement, body=PlacementFields, creates=True))
async def put_placement(name: Name, request: Request) -> Response:
    """Create or replace a placement; it acts on the next request of every replica.

    A request that names the placement has its settings, as far as it does not set them itself. Rules are kept exactly:
    a pinned item stands at its position, a promoted share is spread evenly over the first `k`, no value of a limited
    feature stands more often in any window, and what is buried comes after all others. Where not all can be kept, a
    promotion gives way to a limit and both to a pin. Rules that contradict one another are refused, and so is what
    contradicts the settings of a variant of the experiment that runs there.
    """
    body = await read(request, _placement)
    if body.name not in (None, name):
        raise invalid(f"body.name: the path names {name!r}", "body.name")
    placement = body.placement()
    settings = Settings.of(await current().store.settings())
    running = settings.running(name)
    if running is not None:
        check_variants(running[1], placement)
    await current().store.put_settings([SettingPut("placement", name, write_document(placement))], time.time())
    return answer(_shown((await _history(name))[0]), 200 if name in settings.placements else 201)


@router.get("/v1/placements/{name}", **documented(StoredPlacement, 404))
async def get_placement(name: Name) -> Response:
    """A placement as it is."""
    return answer(_shown(await _found(name)))


@router.delete("/v1/placements/{name}", **documented(None, 404, 409))
async def delete_placement(name: Name) -> Response:
    """Delete a placement; its history stays, and what was there can be put back."""
    await _found(name)
    settings = Settings.of(await current().store.settings())
    running = settings.running(name)
    if running is not None:
        raise Problem(409, f"experiment {running[0]!r} splits the users of placement {name!r}; end that first")
    if await current().store.put_settings([SettingPut("placement", name, None)], time.time(), settings.number) is None:
        raise Problem(409, CHANGED_MEANWHILE)
    return Response(status_code=204)


@router.post("/v1/placements/{name}/preview", **documented(schema.Recommendations, 404, body=PreviewBody))
async def preview_placement(name: Name, request: Request) -> Response:  # noqa: ARG001 (it need not be there yet)
    """What a user would be shown with settings that are not put yet; nothing is stored, and nothing counts as shown.

    With `model_version` by that version, also one that was rejected or does not serve any more.
    """
    body = await read(request, _preview)
    query = with_placement(schema.Query(user_id=body.user_id, placement=None), body.settings.placement(), time.time())
    return raw_answer(await current().preview(query, body.model_version))


@router.get("/v1/placements/{name}/history", **documented(PlacementHistory, 404))
async def placement_history(name: Name) -> Response:
    """The last 50 changes, newest first, also of a placement that was deleted; put `settings` to have them back."""
    changes = await _history(name)
    if not changes:
        raise not_found(f"placement {name!r}")
    return answer({"name": name, "changes": [_change(each) for each in changes]})


async def _placements() -> list[SettingChange]:
    stored = await current().store.settings()
    return sorted((each for each in stored.settings if each.kind == "placement"), key=lambda each: each.name)


async def _history(name: str) -> list[SettingChange]:
    changes: list[SettingChange] = await current().store.setting_history("placement", name)
    return changes


async def _found(name: str) -> SettingChange:
    found = next((each for each in await _placements() if each.name == name), None)
    if found is None:
        raise not_found(f"placement {name!r}")
    return found


def _settings(change: SettingChange) -> dict[str, Any]:
    settings: dict[str, Any] = msgspec.to_builtins(read_placement(change))
    return settings


def _shown(change: SettingChange) -> dict[str, Any]:
    return {"name": change.name, **_settings(change), "number": change.number, "updated_at": change.at}


def _change(change: SettingChange) -> dict[str, Any]:
    settings = None if change.document is None else _settings(change)
    return {"number": change.number, "at": change.at, "settings": settings}
