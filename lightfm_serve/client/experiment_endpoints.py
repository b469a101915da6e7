"""Endpoints of experiments: a function for every route, which describes the call and does not send it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from lightfm_serve.client import experiment_responses as responses
from lightfm_serve.client.endpoints import Call

_stored = msgspec.json.Decoder(responses.Experiment).decode
_experiments = msgspec.json.Decoder(responses.Experiments).decode
_result = msgspec.json.Decoder(responses.ExperimentResult).decode
_encode = msgspec.json.encode


def put_experiment(name: str, experiment: Mapping[str, Any]) -> Call[responses.Experiment]:
    """Split the users of a placement over variants, from the next request on.

    Parameters
    ----------
    name
        Of the experiment.
    experiment
        ``placement``, ``variants`` of ``name``, ``share`` and ``settings``, and any of ``metric``, ``guardrails``,
        ``min_exposures``, ``until`` and ``salt``. `ConflictError` where the placement has another one.
    """
    return Call("PUT", "/v1/experiments/{name}", _stored, {"name": name}, body=_encode(experiment))


def get_experiment(name: str) -> Call[responses.ExperimentResult]:
    """What came of an experiment so far, and what to do; it may be asked at any time."""
    return Call("GET", "/v1/experiments/{name}", _result, {"name": name})


def list_experiments() -> Call[responses.Experiments]:
    """All experiments, by name, without figures."""
    return Call("GET", "/v1/experiments", _experiments)


def end_experiment(name: str, ship: str | None = None) -> Call[responses.Experiment]:
    """End an experiment; with `ship` the settings of that variant go into the placement."""
    body = {} if ship is None else {"ship": ship}
    return Call("POST", "/v1/experiments/{name}/end", _stored, {"name": name}, body=_encode(body), repeatable=False)


def delete_experiment(name: str) -> Call[None]:
    """End an experiment without a winner and forget it."""
    return Call("DELETE", "/v1/experiments/{name}", _nothing, {"name": name})


def _nothing(_: bytes) -> None:
    return None
