"""The audit trail: the same with a log in memory and in a server, with files in a folder and in a bucket."""

import asyncio
import time

import pytest

from recommender.storage.audit_trail import KEPT_S, AuditTrail, digest_of
from recommender.storage.file_store import open_files
from recommender.stores import EmbeddedValkey
from recommender.stores.audit_log import AuditEntry, MemoryAuditLog, open_audit_log
from tests.support.asynchronous import asynchronous
from tests.support.store_servers import flush


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    valkey = EmbeddedValkey(tmp_path_factory.mktemp("audit"))
    valkey.start()
    yield valkey
    valkey.stop()


@pytest.fixture(params=["memory", "server"])
def log_url(request):
    if request.param == "memory":
        return "memory:"
    url = request.getfixturevalue("server").url
    flush(url)
    return url


@pytest.fixture(params=["folder", "bucket"])
def files(request, tmp_path):
    return open_files(tmp_path / "audit" if request.param == "folder" else f"memory://{tmp_path}/audit")


def entries(n: int, start: int = 0) -> list[AuditEntry]:
    return [AuditEntry("ops", "model.activate", None, {"version": f"{start + number:08d}"}) for number in range(n)]


async def everything(trail: AuditTrail, limit: int = 2) -> list[str]:
    versions, cursor = [], None
    while True:
        page = await trail.page(cursor, limit)
        versions += [each.details["version"] for each in page.audit]
        cursor = page.next_cursor
        if cursor is None:
            return versions


@asynchronous
async def test_pages_bring_every_entry_once_newest_first_whether_archived_or_not(log_url, files):
    log = open_audit_log(log_url)
    trail = AuditTrail(log, files)
    for each in entries(3):
        await log.append(each)
    moved = await trail.archive(everything=True)
    for each in entries(2, 3):
        await log.append(each)
    found = await everything(trail)
    left = await log.oldest(10)
    await log.close()

    assert (moved, len(left)) == (3, 2)
    assert found == ["00000004", "00000003", "00000002", "00000001", "00000000"]


@asynchronous
async def test_an_entry_of_an_hour_ago_is_archived_and_a_young_one_stays(log_url, files):
    log, ahead_s = open_audit_log(log_url), 0.0
    trail = AuditTrail(log, files, clock=lambda: time.time() + ahead_s)
    await log.append(entries(1)[0])
    young = await trail.archive()
    ahead_s = 4_000.0
    old = await trail.archive()
    await log.close()

    assert (young, old) == (0, 1)


@asynchronous
async def test_entries_are_kept_for_400_days_and_no_longer(files):
    log, ahead_s = MemoryAuditLog(), 0.0
    trail = AuditTrail(log, files, clock=lambda: time.time() + ahead_s)
    await log.append(entries(1)[0])
    await trail.archive(everything=True)
    ahead_s = KEPT_S - 60
    await trail.archive()
    kept = await everything(trail)
    ahead_s = KEPT_S + 60
    shown = await everything(trail)
    await trail.archive()

    assert (kept, shown) == (["00000000"], [])
    assert files.sizes() == {}


@asynchronous
async def test_a_forgotten_user_leaves_a_digest_in_the_trail_wherever_it_is_kept(log_url, files):
    log = open_audit_log(log_url)
    trail = AuditTrail(log, files)
    for _ in range(2):
        await log.append(AuditEntry("shop", "user.delete", "ann"))
        await log.append(AuditEntry("shop", "item.delete", "ann"))
        await trail.archive(everything=True)
    await log.append(AuditEntry("shop", "user.delete", "ann"))
    before = await trail.count("ann")
    changed = await trail.forget("ann")
    page = await trail.page(None, 10)
    after = await trail.count("ann")
    await log.close()

    assert (before, changed, after) == (3, 3, 0)
    users = [each.target for each in page.audit if each.action == "user.delete"]
    assert users == [digest_of("ann")] * 3
    assert [each.target for each in page.audit if each.action == "item.delete"] == ["ann"] * 2


@asynchronous
async def test_numbers_rise_also_where_two_write_at_once(server):
    flush(server.url)
    logs = [open_audit_log(server.url) for _ in range(2)]
    numbers = await asyncio.gather(*(logs[each % 2].append(entry) for each, entry in enumerate(entries(40))))
    listed = [each.number for each in await logs[0].oldest(100)]
    for log in logs:
        await log.close()

    assert listed == sorted(set(numbers))
    assert len(listed) == 40
