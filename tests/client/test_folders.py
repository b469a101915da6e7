"""What a data folder can hold beside the plain columns, and how an export is laid out."""

import asyncio
import json

import pytest

from recommender.datasets import folder
from recommender.datasets.dataset import feature_records
from recommender.datasets.export import write_table
from recommender.errors import InvalidDataError
from recommender.storage.archive.archive import Archive
from recommender.storage.registry import Registry
from recommender.stores import open_store
from recommender.training.model_settings import ModelSettings
from recommender.training.pipeline import TrainingPipeline


def test_events_and_unavailable_items_of_a_folder_are_bootstrapped(tmp_path):
    rows = "\n".join(f"u{n % 20},i{n % 9},{'view' if n % 2 else ''}" for n in range(180))
    (tmp_path / "interactions.csv").write_text(f"user_id,item_id,event\n{rows}\n")
    (tmp_path / "items.csv").write_text("item_id,available,kind\ni0,false,a\ni1,,b\ni2,True,c\n")
    store = open_store("memory:")
    settings = ModelSettings(epochs=1, no_components=4)
    learner = TrainingPipeline(Registry(tmp_path / "models"), Archive(tmp_path / "archive"), store, settings)
    asyncio.run(learner.bootstrap(folder.load(tmp_path)))

    page = asyncio.run(learner.interactions(None, 1000))
    items = asyncio.run(store.get_items(["i0", "i1", "i2"]))

    assert sorted({row.event for row in page.interactions}, key=str) == [None, "view"]
    assert len(page.interactions) == 180
    assert [item.available for item in items] == [False, True, True]
    assert [item.features for item in items] == [{"kind": "a"}, {"kind": "b"}, {"kind": "c"}]


def test_available_is_a_feature_of_users(tmp_path):
    (tmp_path / "interactions.csv").write_text("user_id,item_id\na,1\n")
    (tmp_path / "users.csv").write_text("user_id,available\na,false\n")

    assert list(feature_records(folder.load(tmp_path).users)) == [("a", {"available": False})]


def test_json_lines_hold_what_columns_cannot(tmp_path):
    (tmp_path / "interactions.jsonl").write_text('{"user_id":"a","item_id":"1"}\n\n{"user_id":"b","item_id":"2"}\n')
    lines = [{"user_id": "a", "features": {"age": 24}}, {"user_id": "b", "features": {"age": "old", "x": ["1"]}}]
    (tmp_path / "users.jsonl").write_text("\n".join(map(json.dumps, lines)))

    loaded = folder.load(tmp_path)

    assert dict(feature_records(loaded.users)) == {"a": {"age": 24}, "b": {"age": "old", "x": ["1"]}}
    assert loaded.interactions["timestamp"].tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("features", "suffix"),
    [
        ([{"a": 1}, {"a": 2.5}, {}], ".parquet"),
        ([{"a": "1"}, {"a": "x|y"}], ".parquet"),
        ([{"a": []}, {"a": ["x"]}, {"b": True}], ".parquet"),
        ([{"a": 1}, {"a": "x"}], ".jsonl"),
        ([{"a": True}, {"a": 1}], ".jsonl"),
        ([{"a": ""}], ".jsonl"),
        ([{"a": 2**60}], ".jsonl"),
    ],
)
def test_an_export_says_the_same_whichever_format_it_needs(tmp_path, features, suffix):
    records = [{"user_id": str(n), "updated_at": 1.0, "features": each} for n, each in enumerate(features)]

    written = write_table(tmp_path, "users", records)

    assert written.path.suffix == suffix
    assert (written.why is None) == (suffix == ".parquet")
    (tmp_path / "interactions.csv").write_text("user_id,item_id\na,1\n")
    found = [dict(row) for _, row in feature_records(folder.load(tmp_path).users)]
    assert found == features
    assert sorted(path.name for path in tmp_path.iterdir()) == ["interactions.csv", f"users{suffix}"]


def test_of_a_user_who_comes_again_the_last_counts(tmp_path):
    records = [{"user_id": user, "features": {"n": n}} for n, user in enumerate("abcab")]

    write_table(tmp_path, "users", records)
    (tmp_path / "interactions.csv").write_text("user_id,item_id\na,1\n")

    assert dict(feature_records(folder.load(tmp_path).users)) == {"c": {"n": 2}, "a": {"n": 3}, "b": {"n": 4}}


def test_a_feature_that_is_called_as_a_column_cannot_be_exported(tmp_path):
    with pytest.raises(InvalidDataError, match="'title'"):
        write_table(tmp_path, "users", [{"user_id": "a", "features": {"title": "x"}}])

    assert not list(tmp_path.iterdir())
