"""A service in one process without Ray: routes, both stages and a store in memory, asked over ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from types import SimpleNamespace
from typing import Any

import httpx
import msgspec
import pytest
from ray import serve

from deployments.feature_fetcher import FeatureFetcher
from deployments.http.service import Service
from deployments.ingress import build_application
from deployments.model_store import Published
from deployments.predictor import Predictor
from deployments.stages.answering import QueryAnswerer
from deployments.stages.fetching import UserFetcher
from deployments.stages.spans import traced_answerer, traced_fetcher
from deployments.telemetry import metrics
from recommender.errors import UnknownVersionError
from recommender.evaluation.experiment_counts import VariantCounts
from recommender.serving.recommender import Recommender
from recommender.serving.snapshot import Snapshot
from recommender.stores import MemoryStore


class Handle:
    """A deployment whose replica is an object of this process."""

    def __init__(self, replica: Any) -> None:
        self._replica = replica

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=getattr(self._replica, name))


class ServiceInProcess:
    """A service whose replicas are objects; every replica has settings and recommenders of its own.

    Parameters
    ----------
    monkeypatch
        Undoes what this changes.
    recommenders
        The first one serves; one a replica.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *recommenders: Recommender) -> None:
        monkeypatch.setattr(metrics, "count", lambda *_, **__: None)
        monkeypatch.setattr(metrics, "show", lambda *_, **__: None)
        monkeypatch.setenv("RECOMMENDER_API_KEYS", "admin:a,write:w,read:r")
        self.store = MemoryStore()
        self.answerers: list[QueryAnswerer] = []
        self.counts: dict[str, VariantCounts] = {}
        """What the trainer's ledger has of every experiment."""
        self.versions = [{"version": "00000001", "status": "active"}, {"version": "00000002", "status": "ready"}]
        self.snapshots: dict[str, Snapshot] = {}
        """What the registry has of versions that do not serve."""
        self._recommenders = recommenders
        self._monkeypatch = monkeypatch

    def run(self, *asked: tuple[Any, ...]) -> list[httpx.Response]:
        """Answers to requests, each ``(replica, method, path, body?, key?, headers?)``, one after the other.

        A function among them is called in its turn.
        """
        return asyncio.run(self._run(asked))

    async def _run(self, asked: tuple[tuple[Any, ...], ...]) -> list[httpx.Response]:
        services = [self._service(recommender) for recommender in self._recommenders]
        answers = []
        for each in asked:
            if callable(each):
                each()
            else:
                answers.append(await self._ask(services[each[0]], *each[1:]))
        return answers

    def _ask(
        self,
        service: Service,
        method: str,
        path: str,
        body: object = None,
        key: str = "a",
        headers: Mapping[str, str] | None = None,
    ) -> Coroutine[Any, Any, httpx.Response]:
        context = SimpleNamespace(servable_object=SimpleNamespace(service=service))
        self._monkeypatch.setattr(serve, "get_replica_context", lambda: context)
        return _asked(method, path, body, {"authorization": f"Bearer {key}", **(headers or {})})

    def _service(self, recommender: Recommender) -> Service:
        fetcher = FeatureFetcher.func_or_class.__new__(FeatureFetcher.func_or_class)
        fetcher._users = traced_fetcher(UserFetcher(self.store))
        predictor = Predictor.func_or_class.__new__(Predictor.func_or_class)
        predictor._answerer = traced_answerer(QueryAnswerer(self.store, catalogue_wait_s=30.0))
        predictor._answerer.serve(recommender)
        self.answerers.append(predictor._answerer)
        return Service(Handle(fetcher), Handle(predictor), Handle(_Trainer(self)), Handle(_Models(self)), self.store)


class _Trainer:
    def __init__(self, service: ServiceInProcess) -> None:
        self._service = service

    async def experiment_counts(self, _request_ids: object, _experiment: str, _event: str) -> dict[str, VariantCounts]:
        return self._service.counts


class _Models:
    def __init__(self, service: ServiceInProcess) -> None:
        self._service = service

    async def versions(self) -> list[dict[str, Any]]:
        return self._service.versions

    async def named(self, version: str) -> Published:
        if version not in self._service.snapshots:
            raise UnknownVersionError(f"there is no version {version!r}")
        snapshot = self._service.snapshots[version]
        return Published(version, [_done((snapshot.to_arrays(), {**snapshot.to_meta(), "version": version}))])


async def _done(value: Any) -> Any:
    return value


async def _asked(method: str, path: str, body: object, given: Mapping[str, str]) -> httpx.Response:
    headers = {"content-type": "application/json", **given}
    transport = httpx.ASGITransport(build_application())
    async with httpx.AsyncClient(transport=transport, base_url="http://service", headers=headers) as client:
        return await client.request(method, path, content=b"" if body is None else msgspec.json.encode(body))
