"""A user's interactions page by page: all of them, by time, whatever is learned or comes meanwhile."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.errors import InvalidRequestError
from recommender.storage.archive.archive import Archive
from recommender.storage.archive.user_interactions import HistoryCursor, HistoryEntry, learned_rows, page_of
from recommender.storage.registry import Registry
from recommender.stores import MemoryStore
from recommender.stores.protocols import Interaction
from recommender.training.model_settings import ModelSettings
from recommender.training.pipeline import TrainingPipeline

pytestmark = pytest.mark.anyio


def learned(*rows: tuple[int, str, float]) -> pd.DataFrame:
    offsets, items, times = zip(*rows, strict=True) if rows else ([], [], [])
    frame = {"offset": offsets, "item_id": items, "timestamp": times}
    return pd.DataFrame({**frame, "weight": np.float32(1), "event": None})


async def pages(learner: TrainingPipeline, limit: int, between=None) -> list[list[HistoryEntry]]:
    found, cursor = [], None
    while True:
        page = await learner.user_interactions("me", cursor, limit)
        found.append(page.interactions)
        cursor = page.next_cursor
        if cursor is None:
            return found
        if between is not None:
            await between()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def learner(store, tmp_path) -> TrainingPipeline:
    settings = ModelSettings(no_components=4, epochs=1)
    return TrainingPipeline(Registry(tmp_path / "models"), Archive(tmp_path / "archive"), store, settings, holdout=0)


async def test_every_interaction_is_there_newest_first_by_time_before_and_after_it_is_learned(store, learner):
    await store.append([Interaction(f"u{n % 5}", f"i{n % 7}", 1.0, 1000.0 + n) for n in range(60)])
    await learner.learn("full")
    mine = [("i1", 5000.0, "play"), ("i1", 6000.0, "play"), ("i1", 7000.0, "purchase"), ("i2", 100.0, "backfill")]
    await store.append([Interaction("me", item_id, 1.0, time, event) for item_id, time, event in mine])
    wanted = [HistoryEntry(item_id, 1.0, time, event) for item_id, time, event in sorted(mine, key=lambda e: -e[1])]

    waiting = await pages(learner, 3)
    await learner.learn("incremental")

    assert waiting == [wanted[:3], wanted[3:]]
    assert await pages(learner, 3) == waiting


async def test_turning_pages_while_interactions_come_and_are_learned_shows_each_once(store, learner):
    await store.append([Interaction("me", f"i{n}", 1.0, float(n // 3)) for n in range(30)])

    async def more() -> None:
        await store.append([Interaction("me", "late", 1.0, 1e6)])
        await learner.learn("incremental")
        await store.trim((await store.state()).last_offset)

    found = [entry.item_id for page in await pages(learner, 7, more) for entry in page]

    assert sorted(found) == sorted(f"i{n}" for n in range(30))


async def test_an_archive_is_read_once_for_all_pages_of_a_user(store, learner, monkeypatch):
    await store.append([Interaction("me", f"i{n}", 1.0, float(n)) for n in range(30)])
    await learner.learn("full")
    reads = []
    read_user = Archive.read_user
    monkeypatch.setattr(Archive, "read_user", lambda *asked: reads.append(asked) or read_user(*asked))

    await pages(learner, 4)

    assert len(reads) == 1


async def test_what_was_before_a_deletion_is_not_there(store, learner):
    await store.append([Interaction("me", "old", 1.0, 9.0), Interaction("you", "old", 1.0, 9.0)])
    await learner.learn("full")
    await store.delete_user("me")
    await store.append([Interaction("me", "new", 1.0, 5.0)])

    assert await pages(learner, 9) == [[HistoryEntry("new", 1.0, 5.0)]]


@given(st.lists(st.sampled_from([1.0, 2.0, float("nan")]), max_size=12), st.integers(1, 5))
def test_imported_rows_of_one_time_or_of_none_come_each_once(times, limit):
    rows = learned_rows(learned(*((0, f"i{n}", time) for n, time in enumerate(times))))
    found, at = [], None
    while True:
        page = page_of("me", [], rows, 0, at, limit)
        found += [entry.item_id for entry in page.interactions]
        if page.next_cursor is None:
            break
        at = HistoryCursor.parse(page.next_cursor)

    assert found == [row.entry.item_id for row in rows]
    assert len(set(found)) == len(times)


@pytest.mark.parametrize("cursor", ["", "3", "1.2.x", "1.0.7ff8000000000000", "1.2.3ff0000000000000 "])
def test_a_cursor_that_was_never_given_out_is_refused(cursor):
    with pytest.raises(InvalidRequestError):
        HistoryCursor.parse(cursor)
