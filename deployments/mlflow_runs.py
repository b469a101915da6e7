"""Model tracking: each version of the registry as a run of MLflow, with parameters, metrics and artifact.

Runs follow the registry, they are not written by a training: what was published while MLflow was away, or just before a
crash, is logged later, and a training never waits. A version has one run, which is found by its tag.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from deployments.args import MlflowArgs
from recommender.errors import describe_error
from recommender.storage.object_store import is_url
from recommender.storage.registry import Registry, VersionInfo
from recommender.storage.registry.manifest import encoded_manifest
from recommender.training.schedule import Backoff

logger = logging.getLogger("recommender.trainer")

LOOK_EVERY_S = 5.0
KEY = "recommender.key"
"""Tag that finds the run of a version: its name and when it was made, since another state has the same names."""
FOLDER = "version"
"""Of the artifact."""
MOST_PARAMETERS = 100
LONGEST_PARAMETER = 500
"""Bounds of MLflow, the second one that of its servers before 2.8."""
SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # we try again ourselves
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_DISABLE_TELEMETRY": "true",  # the client's own, to its makers
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
LONGEST_FAILURE = 300
"""Of the status: an error of MLflow's client may have those of all layers below in it."""
_NO_NAME = re.compile(r"[^\w\-. /:]")


class VersionRun(NamedTuple):
    """What MLflow is told of a version."""

    key: str
    begin_ms: int
    end_ms: int
    parameters: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]


class MlflowRuns:
    """Logs versions as runs, one after another, beside everything else.

    Parameters
    ----------
    registry
        Whose versions are logged.
    args
        Where to, and which.

    Attributes
    ----------
    failure : str or None
        Why the last look logged less than there was; for the status.
    """

    def __init__(self, registry: Registry, args: MlflowArgs) -> None:
        self._registry, self._args = registry, args
        self._logged: set[str] = set()
        self._backoff = Backoff(LOOK_EVERY_S)
        self.failure: str | None = None

    async def follow(self) -> None:
        """Log what is published, for ever; ends at once where no server is configured."""
        if self._args.tracking_uri is None:
            return
        while True:
            await asyncio.to_thread(self.log_new)
            await asyncio.sleep(max(LOOK_EVERY_S, self._backoff.remaining_s))

    def log_new(self) -> None:
        """Log every version that has no run yet, oldest first; what fails is tried with the next look."""
        failure = None
        try:
            for version in reversed(self._registry.versions()):
                failure = self._try_to_log(version) or failure
        except Exception as error:  # noqa: BLE001 (a registry that does not answer now is asked again)
            failure = describe_error(error)
        if failure is None:
            self._backoff.succeed()
        else:
            self._backoff.fail()
            logger.warning("not every version has its run of MLflow yet: %s", failure)
        self.failure = failure and f"MLflow: {failure[:LONGEST_FAILURE]}"

    def _try_to_log(self, version: VersionInfo) -> str | None:
        """Log a version that has to be, or say what was in the way."""
        is_wanted = version.meta.mode == "full" or self._args.increments
        if not is_wanted or key_of(version) in self._logged:
            return None
        try:
            self._log(version)
        except ImportError as error:
            return f"{error}; `pip install 'lightfm-serve[mlflow]'`"
        except Exception as error:  # noqa: BLE001 (whatever it is, nothing else may suffer)
            return describe_error(error)
        self._logged.add(key_of(version))
        return None

    def _log(self, version: VersionInfo) -> None:
        run = run_of(version, self._place(version))
        experiment_id = self._experiment_id()
        found = self._found(experiment_id, run.key)
        if found is None:
            found = self._client.create_run(experiment_id, run.begin_ms, run.tags, version.version)
        elif found.info.status == "FINISHED" or found.info.lifecycle_stage == "deleted":
            return  # somebody has it already, or does not want it
        run_id = found.info.run_id
        self._log_figures(run_id, run)
        self._upload(run_id, version)
        self._client.set_terminated(run_id, "FINISHED", run.end_ms)

    def _log_figures(self, run_id: str, run: VersionRun) -> None:
        from mlflow.entities import Metric, Param  # noqa: PLC0415 (where it is configured)

        metrics = [Metric(name, value, run.end_ms, 0) for name, value in run.metrics.items()]
        parameters = [Param(name, value) for name, value in run.parameters.items()]
        self._client.log_batch(run_id, metrics, parameters[:MOST_PARAMETERS])

    def _upload(self, run_id: str, version: VersionInfo) -> None:
        place = self._place(version)
        if not is_url(place) and version.bytes <= self._args.artifacts_up_to_mib << 20:
            self._client.log_artifacts(run_id, place, FOLDER)
        else:
            manifest = encoded_manifest(self._registry.backend.manifest(version.version))
            self._client.log_text(run_id, manifest.decode(), f"{FOLDER}/manifest.json")

    def _place(self, version: VersionInfo) -> str:
        location = self._registry.backend.location
        return f"{location}/{version.version}" if is_url(location) else str(Path(location) / version.version)

    def _experiment_id(self) -> str:
        found = self._client.get_experiment_by_name(self._args.experiment)
        made = self._client.create_experiment(self._args.experiment) if found is None else found.experiment_id
        return str(made)

    def _found(self, experiment_id: str, key: str) -> Any:
        from mlflow.entities import ViewType  # noqa: PLC0415

        runs = self._client.search_runs([experiment_id], f"tags.`{KEY}` = '{key}'", ViewType.ALL, 1)
        return runs[0] if runs else None

    @cached_property
    def _client(self) -> Any:
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient  # noqa: PLC0415 (150 MB, which only who is asked for runs needs)

        return MlflowClient(self._args.tracking_uri)


def key_of(version: VersionInfo) -> str:
    """Name of a version that no other state's version has."""
    return f"{version.version} {version.created_at.isoformat()}"


def run_of(version: VersionInfo, place: str) -> VersionRun:
    """What MLflow is told of a version that lies at a place."""
    meta = version.meta
    end_ms = int(version.created_at.timestamp() * 1e3)
    tags = {
        KEY: key_of(version),
        "recommender.version": version.version,
        "recommender.mode": meta.mode,
        "recommender.parent": version.parent or "",
        "recommender.log_offset": str(meta.log_offset),
        "recommender.accepted": str(version.status != "rejected").lower(),
        "recommender.location": place,
        "mlflow.source.name": "lightfm-serve",
        "mlflow.note.content": version.reason or "",
    }
    begin_ms = end_ms - int((meta.training_s or 0.0) * 1e3)
    return VersionRun(key_of(version), begin_ms, end_ms, _parameters(version), _metrics(version), tags)


def _parameters(version: VersionInfo) -> dict[str, str]:
    """Settings of the model, and what the hold-out taught of the history parts."""
    meta = version.meta
    found = {
        **dict(_flat(meta.model.get("parameters", {}), "")),
        **dict(_flat(meta.history_choices or {}, "history.")),
        "seed": meta.model.get("seed"),
        "stopped_after": meta.stopped_after,
    }
    return {_name(name): str(value)[:LONGEST_PARAMETER] for name, value in found.items() if value is not None}


def _metrics(version: VersionInfo) -> dict[str, float]:
    meta = version.meta
    found = {
        **meta.metrics,
        **{f"trained_on.{what}": amount for what, amount in meta.trained_on.items()},
        "training_s": meta.training_s,
        "bytes": version.bytes,
        "popularity_shift": None if meta.data is None else meta.data.popularity_shift,
    }
    return {_name(name): value for name, value in found.items() if value is not None and math.isfinite(value)}


def _flat(settings: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in msgspec.to_builtins(settings).items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _name(name: str) -> str:
    """Name as MLflow takes it: ``ndcg_at_10`` for ``ndcg@10``, as its own metrics have it."""
    return _NO_NAME.sub("_", name.replace("@", "_at_"))
