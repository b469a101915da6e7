"""Dense vectors in data folders: Parquet, JSON lines and npy files, checked, exported and read back."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recommender.datasets import folder
from recommender.datasets.batches import open_folder
from recommender.datasets.dataset import feature_records
from recommender.datasets.export import write_table
from recommender.dense_vectors.packing import pack_vector, with_lists
from recommender.errors import InvalidDataError

VECTORS = [[0.5, -1.0, 0.25], [1.0, 0.0, 2.0], [0.125, 0.5, -0.5]]
IDS = ["a", "b", "c"]


@pytest.fixture
def data(tmp_path):
    (tmp_path / "interactions.csv").write_text("user_id,item_id\nu,a\nu,b\nv,c\n")
    return tmp_path


def parquet(data, **columns):
    pq.write_table(pa.table({"item_id": IDS, **columns}), data / "items.parquet")


def csv_with(data, vectors, name="items.text.npy"):
    (data / "items.csv").write_text("item_id,brand\na,x\nb,y\nc,x\n")
    np.save(data / name, np.asarray(vectors, np.float32))


def understood(data):
    """Features of the items as loading gives them, after a look whether an import sends the same."""
    loaded = {each: with_lists(features) for each, features in feature_records(folder.load(data).items)}
    items = next(rows for rows in open_folder(data) if rows.name == "items")
    sent = {record["item_id"]: record["features"] for batch in items.batches() for record in batch.records}

    assert sent == loaded
    return loaded


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64(), pa.float16()])
def test_a_list_column_of_floats_is_a_vector(data, kind):
    if kind == pa.float16():
        parquet(data, text=pa.array([np.array(row, np.float16) for row in VECTORS], pa.list_(kind)))
    else:
        parquet(data, text=pa.array(VECTORS, pa.list_(kind)))

    assert understood(data) == {each: {"text": row} for each, row in zip(IDS, VECTORS, strict=True)}


def test_a_vector_may_be_missing_and_lists_of_text_or_whole_numbers_stay_categories(data):
    parquet(data, text=[VECTORS[0], None, VECTORS[2]], tags=[["a"], ["b", "c"], []], genres=[[28, 12], [12], None])

    assert understood(data) == {
        "a": {"text": VECTORS[0], "tags": ["a"], "genres": ["28", "12"]},
        "b": {"tags": ["b", "c"], "genres": ["12"]},
        "c": {"text": VECTORS[2], "tags": []},
    }


def test_json_lines_have_vectors_too(data):
    lines = [{"item_id": each, "features": {"text": [*row, 1]}} for each, row in zip(IDS, VECTORS, strict=True)]
    (data / "items.jsonl").write_text("\n".join(map(json.dumps, lines)))

    assert understood(data)["a"] == {"text": [0.5, -1.0, 0.25, 1.0]}


def test_a_npy_file_beside_the_items_has_a_vector_for_each_row(data):
    csv_with(data, VECTORS)

    assert understood(data)["b"] == {"brand": "y", "text": VECTORS[1]}


def test_a_row_of_nan_is_no_vector(data):
    csv_with(data, [VECTORS[0], [np.nan] * 3, VECTORS[2]])

    assert understood(data)["b"] == {"brand": "y"}


@pytest.mark.parametrize("n", [2, 4])
def test_a_npy_file_of_another_count_of_rows_is_refused_with_both(data, n):
    csv_with(data, np.ones((n, 3)))
    for read in (folder.load, open_folder):
        with pytest.raises(InvalidDataError, match=rf"items\.text\.npy has {n} rows and items\.csv 3"):
            read(data)


@pytest.mark.parametrize(
    ("array", "fault"),
    [
        (np.ones(3), r"float32 of shape \(3,\)"),
        (np.ones((3, 1)), "vectors of 1 numbers; a dense vector has 2 to 4096"),
        ([[1, 2], [np.inf, 1], [1, 2]], "row 2: a number is not finite"),
        ([[1, 2], [np.nan, 1], [1, 2]], "row 2: a number is not finite"),
    ],
)
def test_a_npy_file_that_is_none_of_vectors_is_refused(data, array, fault):
    csv_with(data, array)
    with pytest.raises(InvalidDataError, match=rf"items\.text\.npy.*{fault}"):
        folder.load(data)


def test_a_npy_file_is_never_unpickled(data):
    csv_with(data, VECTORS)
    np.save(data / "items.text.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(InvalidDataError, match=r"items\.text\.npy is no file of numpy's format"):
        folder.load(data)


def test_a_name_is_a_column_or_a_npy_file(data):
    csv_with(data, VECTORS, "items.brand.npy")
    with pytest.raises(InvalidDataError, match=r"items\.brand\.npy: items\.csv has a column 'brand' too"):
        folder.load(data)


def test_a_npy_file_can_be_left_out(data):
    csv_with(data, VECTORS)
    schema = folder.Schema.of({"ignore": ["items.text"]})

    assert "text" not in folder.load(data, schema).items


@pytest.mark.parametrize(
    ("column", "fault"),
    [
        (
            [VECTORS[0], VECTORS[1][:2], VECTORS[2]],
            "row 2, column 'text': a vector of 2 numbers, where 2 others",
        ),
        ([VECTORS[0], [0.5], VECTORS[2]], r"row 2, column 'text': '\[0\.5\]' is no vector, as 2 of this column are"),
        ([[0.5], [0.5], [0.5]], r"row 1, column 'text': '\[0\.5\]' is a list of 1 numbers"),
        ([VECTORS[0], [float("nan"), 0.5, 1.0], None], "row 2, column 'text': .* is no vector, as 1 of this column"),
        ([[float("inf"), 0.5], None, None], "row 1, column 'text': .* not finite"),
    ],
)
def test_vectors_of_a_column_have_one_length_and_nothing_else_stands_there(data, column, fault):
    parquet(data, text=column)
    for read in (folder.load, open_folder):
        with pytest.raises(InvalidDataError, match=fault):
            read(data)


def test_text_among_vectors_is_refused_by_its_line(data):
    (data / "items.jsonl").write_text(
        '{"item_id":"a","features":{"text":[0.5,1.5]}}\n{"item_id":"b","features":{"text":"hello"}}\n'
    )
    with pytest.raises(InvalidDataError, match="line 2, column 'text': 'hello' is no vector, as 1 of this column are"):
        folder.load(data)


def test_inspection_names_vectors_and_their_length(data):
    csv_with(data, VECTORS)
    columns = folder.inspect(data).to_json()["files"]["items"]["columns"]
    [found] = [each for each in columns if each["column"] == "text"]

    assert found == {
        "column": "text",
        "kind": "vector of 3",
        "missing": 0,
        "distinct": 3,
        "examples": ["0.5, -1.0, 0.25, …"],
    }


@pytest.mark.parametrize("mixed", [False, True])
def test_what_is_exported_is_read_back(data, mixed):
    records = [
        {"item_id": each, "features": {"text": row, "tags": ["x"]}} for each, row in zip(IDS, VECTORS, strict=True)
    ]
    records[0]["features"] |= {"odd": 1 if mixed else "x"}
    records[1]["features"] |= {"odd": "x"}
    written = write_table(data, "items", records)

    assert written.path.suffix == (".jsonl" if mixed else ".parquet")
    assert understood(data) == {record["item_id"]: record["features"] for record in records}


def test_a_data_set_has_vectors_of_one_length():
    interactions = folder.pd.DataFrame(
        {"user_id": ["u"], "item_id": ["a"], "weight": np.ones(1, np.float32), "timestamp": [1.0]}
    )
    ids = folder.pd.Index(["a", "b"], name="item_id")
    lengths = folder.pd.Series([pack_vector([0.5] * n) for n in (2, 3)], index=ids, dtype=object)
    users = folder.pd.DataFrame(index=folder.pd.Index([], name="user_id", dtype=str))
    with pytest.raises(InvalidDataError, match="'text' that is a dense vector of 2 numbers, as others are of 3"):
        folder.Dataset(interactions, users, folder.pd.DataFrame({"text": lengths}))
