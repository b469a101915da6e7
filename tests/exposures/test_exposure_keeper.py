"""What was shown is kept, archived, paged and erased."""

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from recommender.errors import ArtifactError, InvalidRequestError, NewerSchemaError
from recommender.exposures import ExposureBuffer, ExposureFollower, ExposureKeeper, ExposureWriter, follower
from recommender.exposures import keeper as keeper_module
from recommender.exposures.exposure import pack
from recommender.exposures.keeper import parse_cursor
from recommender.stores import MemoryStore
from recommender.stores.protocols import Item
from tests.support.exposures import NOW, answer, clicked, entries, exposure


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(follower, "SETTLE_S", 0.0)


@pytest.fixture
def keeper(tmp_path):
    made = ExposureKeeper(tmp_path, keep_days=3650)
    yield made
    made.close()


def names(keeper: ExposureKeeper, page: int = 3) -> list[str]:
    found, before = [], None
    while True:
        rows, before = keeper.page(before, page, NOW)
        found += [each.recommendation_id for _, each in rows]
        if before is None:
            return found


def test_pages_go_on_from_the_ledger_into_the_archive_newest_first(keeper):
    shown = [exposure(str(number), items=[]) for number in range(10)]
    keeper.ledger.add_exposures(entries(shown[:6]))
    keeper.archive(NOW, at_once=True)
    keeper.ledger.add_exposures(entries(shown[6:], 7))

    assert names(keeper) == [str(number) for number in range(9, -1, -1)]


def test_the_archive_is_parquet_and_has_every_part(keeper, tmp_path):
    shown = exposure("1", placement="home", experiment="e", variant="v", model_version="7", latency_s=0.5)
    keeper.ledger.add_exposures(entries([shown]))
    keeper.archive(NOW, at_once=True)
    [path] = (tmp_path / "exposures").glob("*.parquet")

    assert pq.read_table(path).to_pylist()[0]["item_ids"] == ["a", "b"]
    assert keeper.page(None, 10, NOW).rows == [(1, shown)]


def test_few_segments_are_left_and_nothing_is_lost(keeper, monkeypatch, tmp_path):
    monkeypatch.setattr(keeper_module, "MOST_SMALL", 3)
    for number in range(20):
        keeper.ledger.add_exposures(entries([exposure(str(number))], number + 1))
        keeper.archive(NOW, at_once=True)

    assert len(list((tmp_path / "exposures").glob("*.parquet"))) <= 4
    assert names(keeper) == [str(number) for number in range(19, -1, -1)]


def test_what_is_older_than_it_is_kept_leaves_ledger_archive_and_figures(keeper):
    day = 86_400.0
    keeper.keep_s = 30 * day
    keeper.ledger.add_exposures(entries([exposure("old", at=NOW - 40 * day), exposure("new")]))
    keeper.archive(NOW, at_once=True)
    keeper.archive(NOW, at_once=True)

    assert names(keeper) == ["new"]
    assert [segment.rows for segment in keeper.segments()] == [1]
    assert len(keeper.ledger.read("SELECT * FROM cells")) == 1


def test_two_processes_for_a_moment_archive_nothing_twice(keeper, tmp_path):
    keeper.ledger.add_exposures(entries([exposure("1")]))
    other = ExposureKeeper(tmp_path)
    rows = keeper.ledger.exposures((0, 9), 9, newest_first=False)
    other.archive(NOW, at_once=True)

    with pytest.raises(ArtifactError, match="another process"):
        keeper._swap([], keeper._archive.write(rows), archived=1)
    assert names(keeper) == ["1"]
    other.close()


def test_a_cursor_of_somebody_else_is_refused():
    with pytest.raises(InvalidRequestError):
        parse_cursor("x")
    assert parse_cursor("9" * 19) == keeper_module.NEWEST


def test_a_ledger_that_was_lost_takes_over_the_segments_that_are_there(keeper, tmp_path):
    for number in range(3):
        keeper.ledger.add_exposures(entries([exposure(f"{number}a"), exposure(f"{number}b")], 2 * number + 1))
        keeper.archive(NOW, at_once=True)
    first, second, _ = keeper.segments()
    keeper._archive.rewrite([first, second])  # whose old ones were still there
    keeper.close()
    (tmp_path / "ledger" / "ledger.sqlite").unlink()
    anew = ExposureKeeper(tmp_path, keep_days=3650)
    anew.ledger.add_exposures(entries([exposure("known"), exposure("new")], 6))

    assert names(anew) == ["new", "2b", "2a", "1b", "1a", "0b", "0a"]
    assert len(anew.segments()) == 2
    anew.close()


def test_a_user_is_erased_on_request_and_counted(keeper):
    keeper.ledger.add_exposures(entries([exposure("1"), exposure("2", "v")]))
    keeper.archive(NOW, at_once=True)

    assert keeper.count_of("u") == keeper.erase_user("u") == 2
    assert (keeper.count_of("u"), keeper.count_of("v")) == (0, 2)


async def followed(keeper: ExposureKeeper, store: MemoryStore, **more) -> None:
    await ExposureFollower(keeper, store, **more).follow()


def scan(folder: Path, word: bytes) -> list[str]:
    """Files with a word in them, in Parquet decoded."""
    found = [path.name for path in folder.rglob("*") if path.is_file() and word in path.read_bytes()]
    tables = [path for path in folder.rglob("*.parquet") if word.decode() in str(pq.read_table(path).to_pylist())]
    return found + [path.name for path in tables]


def test_of_a_deleted_user_nothing_is_left_anywhere(keeper, tmp_path):
    person = "somebody@example.org"
    store, buffer = MemoryStore(), ExposureBuffer()
    writer = ExposureWriter(buffer, store)

    async def show(name: str, user_id: str) -> None:
        buffer.record(answer(name, user_id))
        await writer.flush()
        await store.append([clicked(at=NOW, user_id=user_id)])

    async def work() -> None:
        for number in range(50):
            await show(f"{number}", person if number % 2 else "another")
        await followed(keeper, store)
        keeper.archive(at_once=True)
        assert scan(tmp_path, person.encode())
        await show("in the stream", person)
        buffer.record(answer("in the buffer", person))
        await store.delete_user(person)
        await writer.forget(person)
        # another ingress had one in its buffer
        await store.append_exposures([pack(exposure("late", person, at=NOW))])
        await followed(keeper, store)
        keeper.archive(at_once=True)
        await writer.flush()

    asyncio.run(work())

    assert scan(tmp_path, person.encode()) == []
    assert person.encode() not in str(vars(store)["_exposures"]).encode()
    assert {each.user_id for _, each in keeper.page(None, 100).rows} == {"another"}


def test_a_deletion_that_is_not_taken_over_yet_hides_the_user(keeper):
    store = MemoryStore()

    async def work() -> set[str]:
        following = ExposureFollower(keeper, store)
        await store.delete_user("u")
        return await following.hidden_users(["u", "v"], 0)

    assert asyncio.run(work()) == {"u"}


def test_the_stream_is_trimmed_behind_what_is_kept_for_good(keeper):
    store = MemoryStore()

    async def work() -> list[int]:
        await store.append_exposures([pack(exposure("1")), pack(exposure("2"))])
        before = await store.count_exposures()
        await followed(keeper, store)
        return [before, await store.count_exposures()]

    assert asyncio.run(work()) == [2, 0]


def test_an_interaction_waits_for_its_exposure(keeper, monkeypatch):
    monkeypatch.setattr(follower, "SETTLE_S", 2.0)
    store, now = MemoryStore(), [100.0]

    async def work() -> list[int]:
        following = ExposureFollower(keeper, store, clock=lambda: now[0])
        await store.append([clicked(named="1")])
        await following.follow()
        looked_at = [keeper.ledger.offsets().log]
        await store.append_exposures([pack(exposure("1"))])
        now[0] += 2.5
        await following.follow()
        return [*looked_at, keeper.ledger.offsets().log]

    assert asyncio.run(work()) == [0, 1]
    assert keeper.ledger.read("SELECT position, interactions FROM taken") == [(1, 1)]


def test_items_are_young_for_a_week_after_they_were_put_or_seen_first(keeper):
    week = 7 * 86_400
    store = MemoryStore()

    async def first_seen() -> dict[str, float]:
        return {"learned": NOW - 2 * week}

    async def work() -> None:
        await store.put_items([Item("put", None, None, True, NOW - 2 * week), Item("put now", None, None, True, NOW)])
        shown = exposure("1", items=["learned", "put", "put now", "never heard of"])
        await store.append_exposures([pack(shown)])
        await followed(keeper, store, first_seen=first_seen)

    asyncio.run(work())

    assert keeper.ledger.read("SELECT position FROM cell_positions WHERE young ORDER BY position") == [(3,), (4,)]


def test_a_log_that_was_trimmed_before_there_was_a_ledger_is_gone_on_with(keeper):
    store = MemoryStore()

    async def work() -> None:
        await store.append([clicked(), clicked()])
        await store.trim(2)
        await followed(keeper, store)

    asyncio.run(work())

    assert keeper.ledger.offsets().log == 2


@pytest.mark.slow
def test_whatever_dies_each_exposure_and_each_interaction_counts_once(tmp_path):
    command = [sys.executable, "-m", "tests.support.exposure_crashes", str(tmp_path), "5"]
    ran = subprocess.run(command, check=False, timeout=250, capture_output=True, text=True)

    assert ran.returncode == 0, ran.stderr
    assert "steps" in ran.stdout


def test_who_was_deleted_in_what_the_log_has_no_more_is_erased_nevertheless(keeper):
    store = MemoryStore()

    async def work() -> None:
        await store.append_exposures([pack(exposure("1")), pack(exposure("2", "v"))])
        await followed(keeper, store)
        await store.delete_user("u")
        await store.append([clicked(user_id="v")])
        await store.trim(2, keep_deletions=True)
        await followed(keeper, store)

    asyncio.run(work())

    assert keeper.users() == {"v"}
    assert keeper.ledger.offsets().log == 2


def test_a_damaged_ledger_is_set_aside(tmp_path):
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "ledger.sqlite").write_bytes(b"no ledger" * 1000)
    keeper = ExposureKeeper(tmp_path)
    keeper.ledger.add_exposures(entries([exposure("1")]))

    assert len(list((tmp_path / "ledger").glob("damaged-*"))) == 1
    keeper.close()


def test_a_ledger_of_a_newer_release_is_refused_by_name_and_not_set_aside(tmp_path):
    ExposureKeeper(tmp_path).close()
    path = tmp_path / "ledger" / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 2")

    with pytest.raises(NewerSchemaError, match="has schema 2, this release reads up to 1: a newer release wrote it"):
        ExposureKeeper(tmp_path)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_ledger_from_before_schemas_had_numbers_is_gone_on_with(tmp_path):
    keeper = ExposureKeeper(tmp_path)
    keeper.ledger.add_exposures(entries([exposure("1")]))
    keeper.close()
    with closing(sqlite3.connect(tmp_path / "ledger" / "ledger.sqlite")) as database:
        database.execute("PRAGMA user_version = 0")
    keeper = ExposureKeeper(tmp_path)

    assert keeper.ledger.read("SELECT count(*) FROM exposures") == [(1,)]
    assert keeper.ledger.read("PRAGMA user_version") == [(1,)]
    keeper.close()
