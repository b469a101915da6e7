"""Routes of model versions: list, train, activate (chapter 5 of the contract)."""

from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from deployments.http.body_reader import read
from deployments.http.openapi import documented
from deployments.http.routes.parameters import answer
from deployments.http.schemas import ActiveModel, TrainRequest
from deployments.http.service import current
from recommender.storage.registry.data_health import DataHealth

router = APIRouter(tags=["models"])

_train = msgspec.json.Decoder(TrainRequest)
_active = msgspec.json.Decoder(ActiveModel)


class JudgedOn(msgspec.Struct):
    """What held-out metrics rest on: which interactions, what share of all, how many users and pairs."""

    split: str
    share: float
    users: int
    pairs: int


class Model(msgspec.Struct):
    """A version of the model."""

    version: str
    created_at: str
    trained_on: dict[str, int]
    metrics: dict[str, float]
    status: str
    """``active``, ``ready``, ``rejected``, ``canary`` while it is tried, or ``rolled_back``."""
    reason: str | None = None
    """Why it was rejected or rolled back, with the figures."""
    refused: str | None = None
    """Why it is not served though it is ready: `require_signed` asks for another signature."""
    judged_on: JudgedOn | None = None
    data: DataHealth | None = None
    """What the training saw of the data; `changes` says in words what is otherwise than before."""


class Models(msgspec.Struct):
    """Versions, newest first."""

    models: list[Model]


class Training(msgspec.Struct):
    """A training has begun."""

    status: str
    mode: str


class Status(msgspec.Struct):
    """How everything does; what a part that is down would have said is null or empty."""

    model_version: str | None
    pinned: bool
    """Whether a version was chosen by hand, so that newer ones do not take over."""
    replicas: list[dict[str, Any]]
    """Predictors and, unless ``args.near`` is never, ingresses, and which version each serves."""
    interactions_waiting: int | None
    seconds_since_newest_learned: float | None
    training: str | None
    last_training: dict[str, Any] | None
    health: dict[str, str]
    """By part ``ok``, or what is wrong."""
    store: dict[str, Any] | None
    near: dict[str, Any]
    """By which rule requests are answered in the process that took them, and how many were in either way."""


@router.get("/v1/models", **documented(Models))
async def list_models() -> Response:
    """Versions of the model, newest first."""
    return answer({"models": await current().versions()})


@router.post("/v1/models", **documented(Training, 409, status=202, body=TrainRequest))
async def train(request: Request) -> Response:
    """Train now."""
    body = await read(request, _train)
    await current().train(body.mode)
    return answer(Training("training", body.mode), 202)


@router.get("/v1/models/active", **documented(Model, 503))
async def active_model() -> Response:
    """Which version serves."""
    return answer(await current().active())


@router.put("/v1/models/active", **documented(Model, 404, 409, 503, body=ActiveModel))
async def activate(request: Request) -> Response:
    """Roll back or forward, on every replica; `latest` follows new versions again."""
    return answer(await current().activate((await read(request, _active)).version))


@router.get("/v1/status", **documented(Status))
async def status() -> Response:
    """Health of each part, versions of the replicas, what waits and how the last training went."""
    return answer(await current().status())
