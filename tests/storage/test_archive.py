"""The archive keeps every interaction, verified, and forgets exactly whom it must."""

import os
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.errors import ArtifactError, CorruptArtifactError, InvalidDataError
from recommender.storage.archive.archive import Archive
from recommender.storage.archive.backends import YOUNG_S
from tests.support.archives import appended, interactions, keys, numbered

users = st.sampled_from(["ada", "bob", "çelik", "日本"])
items = st.sampled_from(["i1", "i2", "i3"])


@pytest.fixture
def archive(tmp_path):
    return Archive(tmp_path / "archive")


batches = st.lists(st.lists(st.tuples(users, items), max_size=6), min_size=1, max_size=4)


@given(batches=batches, user=users)
@settings(max_examples=40, deadline=None)
def test_what_was_appended_is_read_in_the_order_of_the_log(tmp_path_factory, batches, user):
    archive, frames = Archive(tmp_path_factory.mktemp("archive")), numbered(batches)
    segments = appended(archive, frames)
    whole = [row for frame in frames for row in keys(frame)]

    assert keys(archive.read(segments)) == whole
    assert keys(archive.read(archive.compact(segments))) == whole
    assert keys(archive.read_user(segments, user)) == [row for row in whole if row[1] == user]


@given(batches=batches, deleted=st.dictionaries(users, st.integers(0, 24)))
@settings(max_examples=40, deadline=None)
def test_a_deleted_user_loses_what_came_before_the_deletion_and_nobody_else_anything(
    tmp_path_factory, batches, deleted
):
    archive, frames = Archive(tmp_path_factory.mktemp("archive")), numbered(batches)
    segments = archive.erase(appended(archive, frames), deleted)

    wanted = [row for frame in frames for row in keys(frame) if row[0] > deleted.get(row[1], -1)]
    assert keys(archive.read(segments)) == wanted


def test_erasing_rewrites_only_the_segments_that_hold_the_user(archive):
    first, second = appended(archive, numbered([[("ada", "i1")], [("bob", "i1"), ("ada", "i2")]]))

    kept, rewritten = archive.erase([first, second], {"bob": 3})

    assert kept is first
    assert rewritten.rows == 1
    assert [segment.rows for segment in archive.erase([first, second], {"ada": 3})] == [1]  # the first held nobody else


def test_missing_events_and_unknown_times_come_back_as_they_were(archive):
    frame = interactions([(0, "ada", "i1"), (0, "ada", "i2")]).assign(timestamp=[np.nan, 2.0])
    back = archive.read([archive.append(frame, first_offset=0, last_offset=0)])

    assert np.isnan(back["timestamp"][0])
    assert back["event"][0] == "view"
    assert pd.isna(back["event"][1])
    assert back["weight"].dtype == np.float32


@pytest.mark.parametrize("dtype", ["object", "str", "string", "category"])
def test_texts_are_stored_alike_however_pandas_holds_them(archive, dtype):
    frame = interactions([(2, "ada", "i1"), (1, "日本", "i2"), (3, "ada", "i3")])
    held = frame.astype({"user_id": dtype, "item_id": dtype, "event": dtype})
    back = archive.read([archive.append(held, first_offset=1, last_offset=3)])

    pd.testing.assert_frame_equal(back, archive.read([archive.append(frame, first_offset=1, last_offset=3)]))
    assert back["user_id"].tolist() == ["日本", "ada", "ada"]


def test_no_segment_is_an_empty_frame_with_its_columns(archive):
    assert list(archive.read([]).columns) == ["offset", "user_id", "item_id", "weight", "timestamp", "event"]
    assert archive.read_user([], "ada").empty


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "not what was written"),
        (lambda path: path.write_bytes(path.read_bytes()[:-40] + b"x" * 40), "not what was written"),
        (lambda path: path.write_bytes(b""), "not what was written"),
    ],
)
def test_a_damaged_segment_is_refused_by_name(archive, tmp_path, damage, complaint):
    [segment] = appended(archive, numbered([[("ada", "i1"), ("bob", "i2")]]))
    damage(tmp_path / "archive" / segment.name)

    with pytest.raises(CorruptArtifactError, match=f"{segment.name} .*{complaint}"):
        archive.read([segment])
    with pytest.raises(CorruptArtifactError, match=segment.name):
        archive.read_user([segment], "ada")


def test_one_flipped_bit_anywhere_is_noticed(archive, tmp_path):
    [segment] = appended(archive, numbered([[("ada", "i1"), ("bob", "i2")]]))
    path = tmp_path / "archive" / segment.name
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(CorruptArtifactError):
            archive.read([segment])


def test_a_frame_that_cannot_be_stored_is_refused_and_leaves_nothing(archive, tmp_path):
    frame = interactions([(1, "ada", "i1")])
    with pytest.raises(InvalidDataError, match="no column 'item_id'"):
        archive.append(frame.drop(columns="item_id"), first_offset=1, last_offset=1)
    with pytest.raises(InvalidDataError, match="'user_id' has missing values"):
        archive.append(frame.assign(user_id=[None]), first_offset=1, last_offset=1)
    assert not (tmp_path / "archive").exists()


def test_a_folder_that_cannot_be_written_is_an_artifact_error(tmp_path):
    (tmp_path / "archive").write_text("not a folder")
    with pytest.raises(ArtifactError, match="cannot write into the archive"):
        Archive(tmp_path / "archive").append(interactions([(1, "ada", "i1")]), first_offset=1, last_offset=1)


def test_only_old_files_that_nobody_names_are_pruned(archive, tmp_path):
    named, old, young = appended(archive, numbered([[("ada", "i1")], [("ada", "i2")], [("ada", "i3")]]))
    folder = tmp_path / "archive"
    (folder / "notes.txt").write_text("somebody's own")
    for name in (named.name, old.name, "notes.txt"):
        os.utime(folder / name, (0, time.time() - YOUNG_S - 1))

    assert archive.prune({named.name}) == [old.name]
    assert sorted(path.name for path in folder.iterdir()) == sorted([named.name, young.name, "notes.txt"])


def test_a_writer_killed_halfway_leaves_nothing_that_is_read(archive, tmp_path):
    folder = tmp_path / "archive"
    killed = """
import os, sys, pathlib, pandas as pd, recommender.storage.archive.archive as archive
def die(rows, file):
    file.write(b"half of it"); file.flush(); os.kill(os.getpid(), 9)
archive._write_parquet = die
frame = pd.DataFrame({"offset": [1], "user_id": ["a"], "item_id": ["b"], "weight": [1.0], "timestamp": [0.0]})
archive.Archive(pathlib.Path(sys.argv[1])).append(frame, first_offset=1, last_offset=1)
"""
    done = subprocess.run([sys.executable, "-c", killed, str(folder)], check=False)

    assert done.returncode == -9
    assert not list(folder.glob("*.parquet"))
    [leftover] = folder.iterdir()
    os.utime(leftover, (0, 0))
    assert archive.prune(()) == [leftover.name]


@pytest.mark.slow
def test_many_increments_leave_few_segments_and_write_no_row_often(archive, monkeypatch):
    written, write = [], Archive._write
    monkeypatch.setattr(
        Archive, "_write", lambda self, rows, *place: written.append(len(rows)) or write(self, rows, *place)
    )
    sizes = [1000, *[2] * 500]
    starts = np.cumsum([0, *sizes])
    frames = [
        interactions([(start + place + 1, f"u{place % 5}", "i1") for place in range(size)])
        for start, size in zip(starts, sizes, strict=False)
    ]
    segments, most = [], 0
    for frame in frames:
        first, last = int(frame["offset"].iloc[0]), int(frame["offset"].iloc[-1])
        segments = archive.compact_newest([*segments, archive.append(frame, first_offset=first, last_offset=last)])
        most = max(most, len(segments))

    assert most <= 16
    assert segments[0].rows >= 1000
    assert [(each.first_offset, each.last_offset) for each in segments[1:]] == sorted(
        (each.first_offset, each.last_offset) for each in segments[1:]
    )
    assert archive.read(segments)["offset"].tolist() == list(range(1, 2001))
    assert sum(written) < 2000 * 8


def test_a_text_is_there_once_however_often_it_occurs_and_in_whichever_segment(archive):
    segments = appended(archive, numbered([[("ada", "i1"), ("bob", "i1")], [("ada", "i2"), ("ada", "i1")]]))
    rows = archive.read(segments)

    assert rows["user_id"].cat.categories.tolist() == ["ada", "bob"]
    assert sorted(rows["item_id"].cat.categories) == ["i1", "i2"]
    assert rows["user_id"].cat.codes.dtype == np.int8
    assert rows["event"].cat.categories.tolist() == ["view"]


def test_replaced_segments_have_the_given_rows_and_all_as_they_are_stay_untouched(archive):
    segments = appended(archive, numbered([[("ada", "i1"), ("bob", "i1")], [("ada", "i2")]]))
    rows = archive.read(segments)
    [whole] = archive.replace(segments, rows)
    [part] = archive.replace([whole], rows[rows["item_id"] == "i1"])

    assert archive.replace([whole], rows) == [whole]
    assert keys(archive.read([whole])) == keys(rows)
    assert keys(archive.read([part])) == keys(rows)[:2]
    assert (part.first_offset, part.last_offset) == (whole.first_offset, whole.last_offset)
    assert archive.replace([whole], rows[:0]) == []
