"""What is written into the audit: over the whole way from the URL, in one process without Ray."""

import asyncio

import httpx
import msgspec
import pytest

from deployments.http import audit_middleware
from deployments.http.routes import data, models, operations
from deployments.http.service import Service
from deployments.ingress import build_application
from deployments.telemetry import metrics
from recommender.errors import StoreUnavailableError
from recommender.storage.audit_trail import AuditTrail
from recommender.storage.file_store import open_files
from recommender.stores import MemoryStore
from recommender.stores.audit_log import MemoryAuditLog
from recommender.stores.protocols import User


class Log(MemoryAuditLog):
    """A log that can be away."""

    away = False

    async def append(self, entry):
        if self.away:
            raise StoreUnavailableError("away")
        return await super().append(entry)


class Graph(Service):
    """The service as the routes call it, with a trainer and a ModelStore that say yes."""

    def __init__(self, log: Log, trail: AuditTrail) -> None:
        super().__init__(None, None, None, None, MemoryStore(), log)
        self._trail = trail

    async def train(self, mode):
        pass

    async def activate(self, version):
        return {"version": version}

    async def delete_user(self, user_id):
        return await self.store.delete_user(user_id)

    async def audit_page(self, cursor, limit):
        return msgspec.json.encode(await self._trail.page(cursor, limit))


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def calls(monkeypatch, tmp_path, log):
    monkeypatch.setattr(metrics, "count", lambda *_, **__: None)
    monkeypatch.setattr(metrics, "observe", lambda *_, **__: None)
    monkeypatch.setenv("RECOMMENDER_API_KEYS", "read:r,write:shop=w,admin:ann=a,admin:b")
    service = Graph(log, AuditTrail(log, open_files(tmp_path)))
    for module in (data, models, operations):
        monkeypatch.setattr(module, "current", lambda: service)
    monkeypatch.setattr("deployments.ingress.current", lambda: service)
    asyncio.run(service.store.put_users([User("a/b", None, 0.0)]))

    def run(*asked):
        async def answers():
            transport = httpx.ASGITransport(build_application())
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
                return [
                    await client.request(
                        method,
                        path,
                        json=body,
                        headers={"authorization": f"Bearer {key}", "x-request-id": f"r{number}"},
                    )
                    for number, (key, method, path, body) in enumerate(asked)
                ]

        return asyncio.run(answers())

    return run


def test_what_was_done_is_in_the_audit_with_the_name_of_the_key(calls):
    *done, page = calls(
        ("a", "POST", "/v1/models", {"mode": "full"}),
        ("b", "PUT", "/v1/models/active", {"version": "00000001"}),
        ("w", "DELETE", "/v1/users/a%2Fb", None),
        ("a", "GET", "/v1/audit", None),
    )
    entries = page.json()["audit"]

    assert [each.status_code for each in (*done, page)] == [202, 200, 204, 200]
    assert [(each["who"].partition("-")[0], each["action"], each["target"]) for each in entries] == [
        ("shop", "user.delete", "a/b"),
        ("admin", "model.activate", None),
        ("ann", "model.train", None),
    ]
    assert entries[1]["details"] == {"version": "00000001"}
    assert [each["request_id"] for each in entries] == ["r2", "r1", "r0"]
    assert entries == sorted(entries, key=lambda each: each["at"], reverse=True)


def test_what_was_refused_was_not_done(calls):
    *refused, page = calls(
        ("r", "POST", "/v1/models", {"mode": "full"}),
        ("a", "POST", "/v1/models", {"mode": "twice"}),
        ("w", "DELETE", "/v1/users/nobody", None),
        ("a", "GET", "/v1/audit", None),
    )

    assert [each.status_code for each in refused] == [403, 422, 404]
    assert page.json() == {"audit": [], "next_cursor": None}


def test_only_administrators_read_the_audit(calls):
    answers = calls(*((key, "GET", "/v1/audit", None) for key in "rwa"))

    assert [each.status_code for each in answers] == [403, 403, 200]


def test_a_page_says_where_the_next_one_begins(calls):
    *_, first = calls(
        *[("a", "POST", "/v1/models", {"mode": "full"})] * 3,
        ("a", "GET", "/v1/audit?limit=2", None),
    )
    (second,) = calls(("a", "GET", f"/v1/audit?limit=2&cursor={first.json()['next_cursor']}", None))

    assert [len(each.json()["audit"]) for each in (first, second)] == [2, 1]
    assert second.json()["next_cursor"] is None


def test_of_two_who_act_at_once_each_is_written_once(calls, log, monkeypatch):
    append = log.append

    async def slowly(entry):
        await asyncio.sleep(0.05)
        return await append(entry)

    monkeypatch.setattr(log, "append", slowly)
    app = build_application()

    async def both():
        headers = {"authorization": "Bearer a"}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service", headers=headers) as client:
            asked = (client.put("/v1/models/active", json={"version": f"0000000{number}"}) for number in range(1, 6))
            return await asyncio.gather(*asked)

    answers = asyncio.run(both())
    (page,) = calls(("a", "GET", "/v1/audit", None))

    assert [each.status_code for each in answers] == [200] * 5
    assert sorted(each["details"]["version"] for each in page.json()["audit"]) == [f"0000000{n}" for n in range(1, 6)]


def test_an_operator_can_act_while_the_store_is_away_and_it_is_written_later(calls, log, monkeypatch):
    said = []
    monkeypatch.setattr(audit_middleware.logger, "warning", lambda text, *words: said.append(text % words))
    service_calls = calls
    log.away = True
    # one application, so that what waits is in the same process
    app = build_application()

    async def both():
        headers = {"authorization": "Bearer a"}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service", headers=headers) as client:
            away = await client.put("/v1/models/active", json={"version": "00000001"})
            log.away = False
            back = await client.put("/v1/models/active", json={"version": "latest"})
        return away.status_code, back.status_code

    statuses = asyncio.run(both())
    (page,) = service_calls(("a", "GET", "/v1/audit", None))

    assert statuses == (200, 200)
    assert [each["details"]["version"] for each in page.json()["audit"]] == ["latest", "00000001"]
    assert "00000001" in said[0]
