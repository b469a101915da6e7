"""Routes of experiments: put, read with figures, end, delete (chapter 11 of the contract)."""

import time
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from deployments.http.body_reader import read
from deployments.http.experiment_schemas import (
    EndBody,
    ExperimentBody,
    ExperimentResult,
    Experiments,
    StoredExperiment,
    StoredExperimentBody,
)
from deployments.http.openapi import documented
from deployments.http.problems import Problem, invalid
from deployments.http.routes.parameters import Name, answer, not_found
from deployments.http.routes.placements import CHANGED_MEANWHILE
from deployments.http.service import current
from recommender.serving.experiments.experiment import Experiment
from recommender.serving.experiments.judgement import judge
from recommender.serving.experiments.running import end, start
from recommender.serving.placements.settings import Settings
from recommender.stores.settings_log import SettingPut

router = APIRouter(tags=["experiments"])

_experiment = msgspec.json.Decoder(StoredExperimentBody)
_end = msgspec.json.Decoder(EndBody)


@router.get("/v1/experiments", **documented(Experiments))
async def list_experiments() -> Response:
    """All experiments, by name, without figures."""
    settings = await _settings()
    return answer({"experiments": [_shown(*each) for each in sorted(settings.experiments.items())]})


@router.put("/v1/experiments/{name}", **documented(StoredExperiment, 404, 409, body=ExperimentBody, creates=True))
async def put_experiment(name: Name, request: Request) -> Response:
    """Split the users of a placement over variants, from the next request on.

    A user, or the `session_id` of an anonymous one, is assigned by a hash of experiment, salt and id: always to the
    same variant, and independently of other experiments. While it runs only `guardrails`, `min_exposures` and `until`
    can be changed.
    """
    body = await read(request, _experiment)
    if body.name not in (None, name):
        raise invalid(f"body.name: the path names {name!r}", "body.name")
    settings = await _settings()
    if body.placement not in settings.placements:
        raise not_found(f"placement {body.placement!r}; put it first")
    experiment = body.experiment()
    await _check_versions(experiment)
    old = settings.experiments.get(name)
    is_new = old is None or old.ended_at is not None
    has_figures = is_new and bool(await current().experiment_counts(name, experiment.event))
    puts = start(name, experiment, settings, time.time(), has_figures=has_figures)
    await _change(settings, puts)
    found = (await _settings()).experiments[name]
    return answer(_shown(name, found), 200 if name in settings.experiments else 201)


@router.get("/v1/experiments/{name}", **documented(ExperimentResult, 404))
async def get_experiment(name: Name) -> Response:
    """What came of an experiment so far, and what to do.

    Intervals are confidence sequences, whose unit is the user: they hold at every look, so that an experiment may be
    looked at, and stopped, whenever one likes. `decision` is `wait`, `ship`, `rollback`, or `invalid` where users are
    not spread as they should be or a guardrail is broken; `reason` says why.
    """
    experiment = _found(name, await _settings())
    counts = await current().experiment_counts(name, experiment.event)
    judged = judge(experiment, counts, over=not experiment.runs(time.time()))
    shown = _shown(name, experiment)
    figures = zip(shown["variants"], msgspec.to_builtins(judged.variants), strict=True)
    return answer(
        {
            **shown,
            "variants": [{**own, **figures_of_own} for own, figures_of_own in figures],
            "sample_ratio_p": judged.mismatch_p,
            "decision": judged.decision,
            "reason": judged.reason,
            "best": judged.best,
            "exposures_needed": judged.exposures_needed,
        }
    )


@router.post("/v1/experiments/{name}/end", **documented(StoredExperiment, 404, 409, body=EndBody))
async def end_experiment(name: Name, request: Request) -> Response:
    """End an experiment; with `ship` the settings of that variant go into the placement, or its version serves."""
    ship = (await read(request, _end)).ship
    settings = await _settings()
    experiment = _found(name, settings)
    puts = end(name, settings, time.time(), ship)
    version = next((each.model_version for each in experiment.variants if each.name == ship), None)
    if version is not None:
        await current().activate(version)
    await _change(settings, puts)
    return answer(_shown(name, (await _settings()).experiments[name]))


@router.delete("/v1/experiments/{name}", **documented(None, 404))
async def delete_experiment(name: Name) -> Response:
    """End an experiment without a winner and forget it; what was shown stays in the exposures."""
    settings = await _settings()
    _found(name, settings)
    await _change(settings, [SettingPut("experiment", name, None)])
    return Response(status_code=204)


async def _settings() -> Settings:
    return Settings.of(await current().store.settings())


async def _change(settings: Settings, puts: list[SettingPut]) -> None:
    if await current().store.put_settings(puts, time.time(), after=settings.number) is None:
        raise Problem(409, CHANGED_MEANWHILE)


async def _check_versions(experiment: Experiment) -> None:
    wanted = [each.model_version for each in experiment.variants if each.model_version is not None]
    if not wanted:
        return
    ready = {each["version"] for each in await current().versions() if each["status"] != "rejected"}
    for version in wanted:
        if version not in ready:
            raise invalid(f"body.variants: there is no version {version!r} that could answer", "body.variants")


def _found(name: str, settings: Settings) -> Experiment:
    if name not in settings.experiments:
        raise not_found(f"experiment {name!r}")
    return settings.experiments[name]


def _shown(name: str, experiment: Experiment) -> dict[str, Any]:
    running = "running" if experiment.runs(time.time()) else "over"
    return {
        "name": name,
        **{each: getattr(experiment, each) for each in experiment.__struct_fields__},
        "variants": [_variant(each) for each in msgspec.to_builtins(experiment.variants)],
        "status": "ended" if experiment.ended_at is not None else running,
    }


def _variant(variant: dict[str, Any]) -> dict[str, Any]:
    version = {"model_version": variant["model_version"]} if "model_version" in variant else {}
    settings = {**variant.get("settings", {}), **version}
    return {"name": variant["name"], "share": variant["share"], "settings": settings}
