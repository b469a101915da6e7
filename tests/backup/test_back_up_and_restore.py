"""Back-up and restoration with a real server: a drill under load, increments, points in time, and what is refused."""

import asyncio
import itertools
import shutil
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recommender.backup.blobs import BlobStore
from recommender.backup.manifest import list_backups, prune_backups
from recommender.backup.restoration import restore
from recommender.backup.state_copy import back_up
from recommender.backup.verification import verify_backup, verify_restored
from recommender.errors import CorruptArtifactError, InvalidDataError, NewerSchemaError, StoreUnavailableError
from recommender.storage.archive.archive import Archive
from recommender.storage.file_store import open_files
from recommender.storage.registry import Registry
from recommender.stores import EmbeddedValkey
from recommender.stores.audit_log import AuditEntry, open_audit_log
from recommender.stores.log_erasure import LogErasure
from recommender.stores.protocols import Interaction, Item, User
from recommender.training.erasure import StorePlace, delete, erase
from recommender.training.full import ModelSettings
from recommender.training.history_tuning import HistorySettings
from recommender.training.pipeline import TrainingPipeline
from tests.support.asynchronous import asynchronous
from tests.support.store_servers import opened, raw

pytestmark = pytest.mark.slow  # it starts the server of the store

SETTINGS = ModelSettings(no_components=4, epochs=1, min_steps=0, history=HistorySettings(tune_s=0.0))


class State:
    """A state folder with a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = EmbeddedValkey(folder / "store")
        self.server.start()

    @property
    def url(self) -> str:
        return self.server.url

    def pipeline(self, store) -> TrainingPipeline:
        registry = Registry(self.folder / "models")
        return TrainingPipeline(registry, Archive(self.folder / "archive"), store, SETTINGS, holdout=0.0)

    async def learn(self, mode: str = "incremental") -> None:
        async with opened(self.url) as store:
            pipeline = self.pipeline(store)
            await until_taken(lambda: pipeline.learn(mode))

    async def append(self, interactions) -> int:
        async with opened(self.url) as store:
            return (await until_taken(lambda: store.append(interactions))).accepted

    async def everything(self) -> list[tuple[str, str, float]]:
        """Every interaction that training or log has, repeats included."""
        async with opened(self.url) as store:
            pipeline, found, cursor = self.pipeline(store), [], None
            while True:
                page = await pipeline.interactions(cursor, 10_000)
                found += [(each.user_id, each.item_id, each.timestamp) for each in page.interactions]
                cursor = page.next_cursor
                if cursor is None:
                    return sorted(found)


@pytest.fixture
def states(tmp_path):
    made = []

    def make(name: str) -> State:
        state = State(tmp_path / name)
        made.append(state)
        return state

    yield make
    for state in made:
        state.server.stop()


@pytest.fixture
def target(tmp_path):
    return open_files(tmp_path / "backup")


def clicks(start: int, n: int, at: float = 1e9) -> list[Interaction]:
    return [
        Interaction(f"u{each % 13}", f"i{each % 7}", 1.0, at + each, "click", f"e{each}")
        for each in range(start, start + n)
    ]


async def until(holds) -> None:
    while not holds():  # noqa: ASYNC110 (that others go on is no event)
        await asyncio.sleep(0.01)


async def until_taken(write):
    """Write again until the store has taken it, as clients do: on a busy machine it may seem away for a moment."""
    while True:
        try:
            return await write()
        except StoreUnavailableError:
            await asyncio.sleep(0.05)


def keys_of(interactions) -> list[tuple[str, str, float]]:
    return sorted((each.user_id, each.item_id, each.timestamp) for each in interactions)


async def restored_into(state: State, target, until: datetime | None = None):
    plan, report = await restore(target, str(state.folder), state.url, until=until)
    counts = await verify_restored(plan, target, str(state.folder), state.url)
    return report, counts


@asynchronous
async def test_a_drill_under_load_loses_nothing_that_was_acknowledged_and_doubles_nothing(states, target):
    before = states("before")
    sent, acknowledged, stop = [], [], asyncio.Event()
    await before.append(clicks(0, 200))
    await before.learn("full")

    async def load() -> None:
        async with opened(before.url) as store:
            for number in itertools.count(200, 5):
                if stop.is_set():
                    return
                sent.append(clicks(number, 5))
                await until_taken(lambda: store.append(sent[-1]))
                await until_taken(lambda number=number: store.put_users([User(f"u{number}", {"age": number}, 0.0)]))
                acknowledged.append((time.time(), number))
                await asyncio.sleep(0.005)

    async def trainings() -> None:
        async with opened(before.url) as store:
            pipeline = before.pipeline(store)
            while not stop.is_set():
                await until_taken(lambda: pipeline.learn("incremental"))

    loading, training = asyncio.create_task(load()), asyncio.create_task(trainings())
    try:
        await until(lambda: len(acknowledged) > 20)
        # as the command does it: in a loop of its own
        report = await asyncio.to_thread(lambda: asyncio.run(back_up(str(before.folder), before.url, target)))
        n = len(acknowledged)
        await until(lambda: len(acknowledged) > n + 20)
    finally:
        stop.set()
        await asyncio.gather(loading, training)
    before.server.stop()
    shutil.rmtree(before.folder)

    after = states("after")
    await restored_into(after, target)
    there = await after.everything()
    certain = [number for at, number in acknowledged if at < report.instant.timestamp()]
    async with opened(after.url) as store:
        users = await store.get_users([f"u{number}" for number in certain])
    for batch in [clicks(0, 200), *sent]:
        await after.append(batch)
    await after.learn("incremental")
    at_last = await after.everything()

    expected = keys_of(clicks(0, 200) + [each for number in certain for each in clicks(number, 5)])
    assert len(certain) > 10, "the load had hardly begun"
    assert len(sent) > len(certain), "nothing went on behind the back-up"
    assert set(there) >= set(expected)
    assert None not in users
    assert at_last == keys_of([*clicks(0, 200), *(each for batch in sent for each in batch)])


@asynchronous
async def test_all_that_a_state_has_comes_back_as_it_was(states, target):
    before = states("before")
    async with opened(before.url) as store:
        await store.put_users([User(f"u{each}", {"age": each}, 0.0) for each in range(20)])
        await store.put_items([Item(f"i{each}", f"Item {each}", {"n": each}, True, 0.0) for each in range(10)])
        await store.append(clicks(0, 100))
        pipeline = before.pipeline(store)
        await pipeline.learn("full")
        await store.append(clicks(100, 20))
        await store.delete_item("i9")
        await store.delete_user("u3")
        await store.append(clicks(120, 5))
        await pipeline.learn("incremental")
        await store.append(clicks(125, 5))
    Registry(before.folder / "models").activate("00000001", pinned=True)
    audit = open_audit_log(before.url)
    await audit.append(AuditEntry("ann", "model.activate"))
    await audit.close()
    with raw(before.url) as client:
        client.hset("{rec}:placements", "home", b"\xff\x00")
        client.xadd("{rec}:shown", {"a": "1"})
        client.set("{rec}:soon", "1", px=3_600_000)
    (before.folder / "exposures").mkdir()
    (before.folder / "exposures" / "a.parquet").write_bytes(b"shown")
    await back_up(str(before.folder), before.url, target)
    after = states("after")
    report, counts = await restored_into(after, target)
    registry = Registry(after.folder / "models")

    assert [each.version for each in registry.versions()] == ["00000002", "00000001"]
    assert registry.pointer() == Registry(before.folder / "models").pointer()
    assert registry.highest() == 2
    assert report.serving == "00000001"
    assert (after.folder / "exposures" / "a.parquet").read_bytes() == b"shown"
    assert await after.everything() == await before.everything()
    assert counts["event ids"] == 130
    async with opened(before.url) as old, opened(after.url) as new:
        assert await new.list_users(None, 100) == await old.list_users(None, 100)
        assert (await new.item_changes(0, 100)) == (await old.item_changes(0, 100))
        assert await new.state() == await old.state()
        ids = [f"u{each}" for each in range(14)]
        assert await new.fetch(ids) == await old.fetch(ids)
        for user_id in ids:
            assert await new.waiting(user_id, None, 100) == await old.waiting(user_id, None, 100)
    with raw(before.url) as old, raw(after.url) as new:
        assert sorted(new.keys()) == sorted(old.keys())
        assert new.hgetall("{rec}:placements") == {b"home": b"\xff\x00"}
        assert new.xrange("{rec}:shown") == old.xrange("{rec}:shown")
        assert 0 < new.pttl("{rec}:soon") <= 3_600_000


@asynchronous
async def test_of_a_change_of_the_ledger_that_is_under_way_nothing_is_backed_up(states, target):
    before, after = states("before"), states("after")
    (before.folder / "ledger").mkdir()
    with closing(sqlite3.connect(before.folder / "ledger" / "ledger.sqlite", isolation_level=None)) as ledger:
        ledger.execute("CREATE TABLE shown AS SELECT 1 AS n")
        ledger.execute("BEGIN IMMEDIATE")
        ledger.execute("INSERT INTO shown VALUES (2)")
        await back_up(str(before.folder), before.url, target)
    await restored_into(after, target)
    with closing(sqlite3.connect(after.folder / "ledger" / "ledger.sqlite")) as ledger:
        shown = ledger.execute("SELECT n FROM shown").fetchall()

    assert shown == [(1,)]


@asynchronous
async def test_a_second_back_up_writes_only_what_is_new(states, target):
    state = states("state")
    await state.append(clicks(0, 300))
    await state.learn("full")
    first = await back_up(str(state.folder), state.url, target)
    again = await back_up(str(state.folder), state.url, target)
    await state.append(clicks(300, 10))
    third = await back_up(str(state.folder), state.url, target)

    assert (first.reused_bytes, again.written_bytes) == (0, 0)
    assert again.reused_bytes == first.written_bytes
    assert 0 < third.written_bytes < 0.2 * first.written_bytes
    assert [manifest.name for manifest in list_backups(target)] == [first.name, again.name, third.name]


@asynchronous
async def test_a_point_in_time_has_what_had_been_learned_and_what_had_happened_by_then(states, target):
    before = states("before")
    hour = 3_600.0
    now = time.time()
    await before.append(clicks(0, 60, now - 5 * hour))
    await before.learn("full")
    await asyncio.sleep(0.01)
    until = datetime.now(UTC)
    by_then = clicks(60, 10, now - 4 * hour)
    later = clicks(70, 10, now + hour)
    await before.append([*by_then, *later])
    await before.learn("incremental")
    more = clicks(80, 5, now - 3 * hour)
    await before.append([*more, *clicks(85, 5, now + hour)])
    await back_up(str(before.folder), before.url, target)
    after = states("after")
    report, _ = await restored_into(after, target, until)
    found = await after.everything()
    accepted = await after.append(later)
    await after.learn("incremental")
    learned = Registry(after.folder / "models").versions()

    assert report.versions == 1
    assert found == keys_of([*clicks(0, 60, now - 5 * hour), *by_then, *more])
    assert accepted == 10
    assert [each.version for each in learned] == ["00000003", "00000001"]
    assert learned[0].meta.gaps == ()
    assert await after.everything() == sorted([*found, *keys_of(later)])


@asynchronous
async def test_a_state_in_which_a_user_was_forgotten_is_backed_up_and_nothing_of_it_looks_lost(states, target):
    before, after = states("before"), states("after")
    await before.append(clicks(0, 60))
    await before.learn("full")
    erasure = LogErasure(before.url)
    async with opened(before.url) as store:
        deleted = await until_taken(lambda: delete(store, "u3"))
    # behind what was learned the log has nothing but what says that the note of the deletion is gone
    await erase(deleted, [StorePlace(erasure)])
    await erasure.close()
    await back_up(str(before.folder), before.url, target)
    await restored_into(after, target)
    await after.append(clicks(60, 5))
    await after.learn("incremental")

    assert Registry(after.folder / "models").versions()[0].meta.gaps == ()


@asynchronous
async def test_a_folder_goes_through_a_bucket_into_a_state_in_a_bucket(states, tmp_path):
    before, after = states("before"), states("after")
    await before.append(clicks(0, 60))
    await before.learn("full")
    await before.append(clicks(60, 5))
    bucket, target = f"memory://{tmp_path}/state", open_files(f"memory://{tmp_path}/backup")
    await back_up(str(before.folder), before.url, target)
    plan, _ = await restore(target, bucket, after.url)
    counts = await verify_restored(plan, target, bucket, after.url)
    again = await back_up(bucket, after.url, target)
    registry = Registry(f"{bucket}/models")

    assert (counts["versions"], counts["learned interactions"], counts["log entries"]) == (1, 60, 5)
    assert again.reused_bytes > 10 * again.written_bytes
    assert (registry.current().version, registry.highest()) == ("00000001", 1)


@asynchronous
async def test_a_moment_that_no_back_up_reaches_is_refused_with_one_that_is(states, target):
    state = states("state")
    await state.append(clicks(0, 60))
    await state.learn("full")
    await back_up(str(state.folder), state.url, target)
    empty = states("empty")

    for moment, reason in (
        (datetime(2001, 1, 1, tzinfo=UTC), "oldest version"),
        (datetime(2999, 1, 1, tzinfo=UTC), "newest back-up"),
    ):
        with pytest.raises(InvalidDataError, match=reason):
            await restore(target, str(empty.folder), empty.url, until=moment)


@asynchronous
async def test_only_an_empty_state_is_restored_into(states, target):
    state = states("state")
    await state.append(clicks(0, 60))
    await state.learn("full")
    await back_up(str(state.folder), state.url, target)
    stored = states("stored")
    await stored.append(clicks(0, 1))

    with pytest.raises(InvalidDataError, match=r"models is not empty"):
        await restore(target, str(state.folder), state.url)
    with pytest.raises(InvalidDataError, match="the store is not empty"):
        await restore(target, str(stored.folder), stored.url)


@asynchronous
async def test_damage_is_found_before_and_after_and_a_newer_format_is_named(states, target, tmp_path):
    state = states("state")
    await state.append(clicks(0, 60))
    await state.learn("full")
    await state.append(clicks(60, 9))
    await back_up(str(state.folder), state.url, target)
    (manifest,) = list_backups(target)
    read = verify_backup(target, manifest)
    after = states("after")
    plan, _ = await restore(target, str(after.folder), after.url)
    with raw(after.url) as client:
        client.xdel("{rec}:log", "67-0")
    with pytest.raises(CorruptArtifactError, match="log entries: number 7"):
        await verify_restored(plan, target, str(after.folder), after.url)
    damaged = tmp_path / "backup" / next(iter(manifest.blobs()))
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")

    assert read == len(manifest.blobs())
    with pytest.raises(CorruptArtifactError, match="not what was written"):
        verify_backup(target, manifest)
    path = tmp_path / "backup" / manifest.name
    path.write_bytes(path.read_bytes().replace(b'"format":1', b'"format":2'))
    with pytest.raises(CorruptArtifactError, match="sha256"):
        list_backups(target)


@asynchronous
async def test_old_back_ups_go_and_what_the_kept_ones_need_stays(states, target):
    state = states("state")
    await state.append(clicks(0, 60))
    await state.learn("full")
    for number in range(3):
        await state.append(clicks(60 + number, 1))
        await back_up(str(state.folder), state.url, target)
    removed = prune_backups(target, BlobStore(target), keep=1)
    (kept,) = list_backups(target)

    assert len(removed) == 2
    assert verify_backup(target, kept) == len([name for name in target.sizes() if name.startswith("objects/")])


def test_a_back_up_of_a_newer_release_is_refused_by_name(tmp_path):
    import hashlib

    content = b'{"format":2}'
    files = open_files(tmp_path)
    sealed = b'{"sha256":"%s","backup":%s}' % (hashlib.sha256(content).hexdigest().encode(), content)
    files.create("backups/20260101T000000.000000Z.json", sealed)

    with pytest.raises(NewerSchemaError, match=r"format 2.*reads up to 1"):
        list_backups(files)
