"""Data folders: what is well formed means what it says; what is not is refused by file, line and column."""

from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from lightfm_serve.records.values import clean_text, is_missing, whole_float
from recommender.datasets import folder
from recommender.datasets.dataset import feature_records
from recommender.errors import InvalidDataError

INTERACTIONS = "user_id,item_id\na,1\n"


def written(path, **files):
    """Folder with CSV files of the given text or bytes; a dict becomes a Parquet file."""
    for name, content in files.items():
        if isinstance(content, dict):
            pq.write_table(pa.table(content), path / f"{name}.parquet")
        else:
            raw = content if isinstance(content, bytes) else content.encode()
            (path / f"{name}.csv").write_bytes(raw)
    return path


def item_features(path, content):
    return dict(feature_records(folder.load(written(path, interactions=INTERACTIONS, items=content)).items))


# What is well formed.


def test_interactions_have_weight_1_and_count_rows_where_nothing_is_said(tmp_path):
    interactions = folder.load(written(tmp_path, interactions="user_id,item_id\nb,2\na,1\n")).interactions

    assert interactions["user_id"].tolist() == ["b", "a"]
    assert interactions["weight"].tolist() == [1.0, 1.0]
    assert interactions["timestamp"].tolist() == [0.0, 1.0]
    assert interactions.dtypes[["weight", "timestamp"]].astype(str).tolist() == ["float32", "float64"]


def test_columns_come_in_any_order(tmp_path):
    text = "timestamp,item_id,weight,user_id\n5,i,0.5,u\n"

    assert folder.load(written(tmp_path, interactions=text)).interactions.iloc[0].tolist() == ["u", "i", 0.5, 5.0]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("1700000000.25", 1700000000.25),
        ("2023-11-14T22:13:20Z", 1700000000),
        ("2023-11-14T23:13:20.5+01:00", 1700000000.5),
        ("2023-11-14 22:13:20", 1700000000),
    ],
)
def test_timestamps_are_seconds_or_rfc_3339(tmp_path, text, seconds):
    content = f"user_id,item_id,timestamp\na,1,{text}\n"

    assert folder.load(written(tmp_path, interactions=content)).interactions["timestamp"].tolist() == [seconds]


def test_ids_stay_text_and_keep_leading_zeros(tmp_path):
    dataset = folder.load(
        written(tmp_path, interactions="user_id,item_id\n007,1.0\n a ,é/日\n", users="user_id\n007\n7\n")
    )

    assert dataset.interactions["user_id"].tolist() == ["007", "a"]
    assert dataset.interactions["item_id"].tolist() == ["1.0", "é/日"]
    assert dataset.users.index.tolist() == ["007", "7"]


def test_users_and_items_may_be_missing(tmp_path):
    dataset = folder.load(written(tmp_path, interactions=INTERACTIONS))

    assert (len(dataset.users), len(dataset.items)) == (0, 0)
    assert (dataset.users.index.name, dataset.items.index.name) == ("user_id", "item_id")


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "2", ""], [1, 2, None]),
        (["1", "2.5", "-3e2"], [1, 2.5, -300.0]),
        (["true", "False", ""], [True, False, None]),
        (["1", "nan", " 3"], [1, None, 3]),
        (["02100", "2", "3"], ["02100", "2", "3"]),
        (["M", " F", "7"], ["M", "F", "7"]),
        (["['a', 'b']", '["c"]', "[]"], [["a", "b"], ["c"], []]),
        (["a|b", "c", ""], [["a", "b"], ["c"], None]),
        (["1|2", "3", "true"], [["1", "2"], ["3"], ["true"]]),
        (["", "", ""], [None, None, None]),
    ],
)
def test_a_csv_column_has_the_type_that_all_its_cells_can_have(tmp_path, cells, values):
    content = pd.DataFrame({"item_id": range(len(cells)), "x": cells}).to_csv(index=False)
    features = item_features(tmp_path, content)

    assert [features[str(row)].get("x") for row in range(3)] == values
    assert [type(features[str(row)].get("x")) for row in range(3)] == [type(value) for value in values]


def test_a_title_is_text_and_no_feature(tmp_path):
    content = 'item_id,title,genre\n1,1984,a\n2,Face|Off,b\n3,,c\n4,"Good, Bad\nand ""Ugly""",d\n'
    dataset = folder.load(written(tmp_path, interactions=INTERACTIONS, items=content))

    assert dataset.items["title"].tolist() == ["1984", "Face|Off", None, 'Good, Bad\nand "Ugly"']
    assert dict(feature_records(dataset.items))["2"] == {"genre": "b"}


def test_a_byte_order_mark_windows_line_ends_and_empty_lines_are_no_content(tmp_path):
    content = b"\xef\xbb\xbfuser_id,item_id\r\na,1\r\n\r\nb,2\r\n\r\n"

    assert folder.load(written(tmp_path, interactions=content)).interactions["user_id"].tolist() == ["a", "b"]


def test_parquet_and_csv_say_the_same(tmp_path):
    (tmp_path / "csv").mkdir()
    (tmp_path / "parquet").mkdir()
    csv = folder.load(
        written(
            tmp_path / "csv",
            interactions="user_id,item_id,weight,timestamp\n1,x,0.5,1700000000\n2,y,2,1700000001\n",
            users="user_id,age,vip\n1,24,true\n2,,false\n",
            items="item_id,title,tags\nx,X,a|b\ny,,c\n",
        )
    )
    parquet = folder.load(
        written(
            tmp_path / "parquet",
            interactions={
                "user_id": [1, 2],
                "item_id": pa.array(["x", "y"]).dictionary_encode(),
                "weight": [0.5, 2.0],
                "timestamp": pa.array([1700000000, 1700000001], pa.timestamp("s")).cast(pa.timestamp("ns")),
            },
            users={"user_id": ["1", "2"], "age": pa.array([24, None]), "vip": [True, False]},
            items={"item_id": ["x", "y"], "title": ["X", None], "tags": [["a", "b"], ["c"]]},
        )
    )

    for name in ("interactions", "users", "items"):
        assert_frame_equal(getattr(csv, name), getattr(parquet, name))


def test_what_pandas_writes_as_parquet_is_read(tmp_path):
    frame = pd.DataFrame({"user_id": ["a", "b", "a"], "item_id": ["1", "2", "3"]})
    frame["timestamp"] = [datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)] * 3
    frame[frame["user_id"] == "a"].to_parquet(tmp_path / "interactions.parquet")
    pd.DataFrame({"age": [1.0, float("nan")]}, index=pd.Index(["a", "b"], name="user_id")).to_parquet(
        tmp_path / "users.parquet"
    )
    dataset = folder.load(tmp_path)

    assert dataset.interactions["timestamp"].tolist() == [1700000000.0] * 2
    assert dict(feature_records(dataset.users)) == {"a": {"age": 1.0}, "b": {}}


def test_whole_numbers_in_a_parquet_list_are_categories(tmp_path):
    assert item_features(tmp_path, {"item_id": ["1"], "tags": [[3, 4]]}) == {"1": {"tags": ["3", "4"]}}


texts = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20).filter(
    lambda text: clean_text(text) == text and not is_missing(text) and not whole_float(text)
)


@given(rows=st.dictionaries(texts, st.one_of(texts, st.just("")), min_size=1, max_size=8))
@settings(max_examples=50, deadline=None)
def test_any_text_survives_a_csv_file(tmp_path_factory, rows):
    # a lone number or list would be read as one, so a letter keeps the column text
    frame = pd.DataFrame({"item_id": list(rows), "title": list(rows.values()), "x": "text"})
    path = written(tmp_path_factory.mktemp("csv"), interactions=INTERACTIONS)
    frame.to_csv(path / "items.csv", index=False)
    items = folder.load(path).items

    assert items.index.tolist() == list(rows)
    assert items["title"].tolist() == [title or None for title in rows.values()]


# What is malformed.


def interactions(rows, header="user_id,item_id,weight,timestamp"):
    return {"interactions": f"{header}\n{rows}"}


def items(content):
    return {"interactions": INTERACTIONS, "items": content}


BROKEN = {
    "no file": ({}, r"has no interactions.csv, interactions.parquet or interactions.jsonl"),
    "both kinds": (
        {"interactions": INTERACTIONS, "both": True},
        "has both interactions.csv and interactions.parquet; keep one",
    ),
    "empty file": ({"interactions": ""}, "interactions.csv, line 1: the file is empty"),
    "empty items": (items(""), "items.csv, line 1: the file is empty"),
    "no item_id": ({"interactions": "user_id,item\n"}, "line 1: there is no column 'item_id', only user_id, item"),
    "only a header": ({"interactions": "user_id;item_id\n"}, "interactions.csv has no rows, only the names of its"),
    "no header": ({"interactions": "1::1193::5\n"}, "line 1: the first line has numbers .*put a line above it"),
    "no user_id in users": (
        {"interactions": INTERACTIONS, "users": "id,age\n"},
        "users.csv, line 1: there is no column 'user_id', only id, age",
    ),
    "unknown column": (
        {"interactions": "user_id,item_id,wieght\n"},
        "interactions.csv, line 1: column 'wieght' is none of user_id, item_id, weight, timestamp",
    ),
    "column twice": (items("item_id,a,a\n"), "items.csv, line 1: column 'a' is there twice"),
    "nameless column": (items("item_id,\n1,2\n"), "items.csv, line 1: column 2 has no name, and has '2'"),
    "long column": (items(f"item_id,{'x' * 129}\n"), "items.csv, line 1: column 2 has a name of more than 128"),
    "empty id": (interactions("a,1,1,1\n,1,1,1\n"), "interactions.csv, line 3, column 'user_id': the id is missing"),
    "long id": (interactions("a,1,1,1\n" + "x" * 257 + ",1,1,1"), "line 3, column 'user_id': id 'xxx.*…' does not"),
    "control character": (items("item_id\nab\n1\t2\n"), r"line 3, column 'item_id': id '1\\t2' has a control"),
    "line break in id": (items('item_id\nab\n"1\n2"\n'), r"line 3, column 'item_id': id '1\\n2' has a control"),
    "duplicate id": (
        items("item_id\n49\n50\n51\n50\n"),
        "items.csv, line 5, column 'item_id': duplicate id '50'",
    ),
    "zero weight": (interactions("a,1,0,1\n"), "line 2, column 'weight': '0' is not a finite number above 0"),
    "negative weight": (interactions("a,1,1,1\nb,1,-1,1"), "line 3, column 'weight': '-1' is not a finite number"),
    "weight nan": (interactions("a,1,nan,1\n"), "column 'weight': 'nan' is not a finite number above 0"),
    "weight inf": (interactions("a,1,inf,1\n"), "column 'weight': 'inf' is not a finite number above 0"),
    "no weight": (interactions("a,1,,1\n"), "column 'weight': '' is not a finite number above 0"),
    "tiny weight": (interactions("a,1,1e-60,1\n"), "column 'weight': '1e-60' is beyond what 32 bits hold"),
    "huge weight": (interactions("a,1,1e60,1\n"), "column 'weight': '1e60' is beyond what 32 bits hold"),
    "no timestamp": (interactions("a,1,1,\n"), "line 2, column 'timestamp': '' is no time: it is missing"),
    "timestamp word": (interactions("a,1,1,yesterday\n"), "column 'timestamp': 'yesterday' is neither seconds"),
    "timestamp nan": (interactions("a,1,1,nan\n"), "column 'timestamp': 'nan' is no time: it is missing"),
    "impossible date": (interactions("a,1,1,2023-02-30T00:00:00Z\n"), "'2023-02-30T00:00:00Z' is neither seconds"),
    "milliseconds": (interactions("a,1,1,1700000000000\n"), "'1700000000000' looks like milliseconds"),
    "before the epoch": (interactions("a,1,1,-1\n"), "'-1' is before 1970"),
    "cell too few": (interactions("a,1,1,1\nb,1,1\n"), "line 3: 3 cells for 4 columns; column 'timestamp' has none"),
    "cell too many": (interactions("a,1,1,1,9\n"), "line 2: 5 cells for 4 columns; '9' is one too many"),
    "line after quoted break": (
        items('item_id,title\n1,"a\nb\nc"\n\n2\n'),
        "items.csv, line 6: 1 cells for 2 columns; column 'title' has none",
    ),
    "quoted row begins": (items('item_id,x\n1,a\n"2","b\nc",3\n'), "items.csv, line 3: 3 cells for 2 columns"),
    "open quote": (items('item_id,x\n1,a\n2,"b\n3,c\n'), "items.csv, line 3: not CSV: unexpected end of data"),
    "stray quote": (items('item_id,x\n1,"a"b\n'), "items.csv, line 2: not CSV: "),
    "latin-1": (items("item_id,x\n1,a\n2,é\n".encode("latin-1")), r"items.csv, line 3: b'\\xe9' is not UTF-8"),
    "utf-16": (items("item_id\n1\n".encode("utf-16")), r"items.csv, line 1: b'\\xff' is not UTF-8"),
    "empty list member": (items("item_id,x\n1,a|b\n2,a||b\n"), "line 3, column 'x': the list 'a||b' has an empty"),
    "not parquet": ({"interactions": INTERACTIONS, "fake": b"item_id\n1\n"}, "items.parquet is not a readable Parquet"),
    "parquet no column": ({"interactions": {"user_id": ["a"]}}, "interactions.parquet: there is no column 'item_id'"),
    "parquet weight": (
        {"interactions": {"user_id": ["a", "a"], "item_id": ["1", "2"], "weight": [1.0, float("nan")]}},
        "interactions.parquet, row 2, column 'weight': 'nan' is not a finite number above 0",
    ),
    "parquet boolean weight": (
        {"interactions": {"user_id": ["a"], "item_id": ["1"], "weight": [True]}},
        "row 1, column 'weight': 'True' is not a finite number",
    ),
    "parquet missing id": (items({"item_id": ["a", None]}), "row 2, column 'item_id': the id is missing"),
    "parquet float id": (items({"item_id": [1.0, 1.5]}), "row 2, column 'item_id': an id is text or a whole number"),
    "parquet duplicate id": (items({"item_id": [7, 8, 7]}), "items.parquet, row 3, column 'item_id': duplicate id '7'"),
    "parquet infinity": (
        items({"item_id": [7], "x": [float("inf")]}),
        "row 1, column 'x': 'inf' is not a finite number",
    ),
    "parquet bytes": (items({"item_id": [7], "x": [b"a"]}), "column 'x': .* is neither text, boolean,"),
    "parquet list": (items({"item_id": [7], "x": [["a", None]]}), "column 'x': .* is a list of something"),
    "parquet title": (items({"item_id": [7], "title": [7]}), "column 'title': a title is text, not '7'"),
    "a word among numbers": (
        items("item_id,age\n1,24\n2,30\n3,old\n"),
        "items.csv, line 4, column 'age': 'old' is no number, as 2 of 3 cells of this column are",
    ),
    "decimal comma": (items('item_id;price\n1;"3,50"\n2;4,00\n'), "line 2, column 'price': '3,50' looks like .*comma"),
    "thousands": (
        items('item_id,n\n1,"1,234,567"\n2,3\n3,4\n'),
        "line 2, column 'n': '1,234,567' looks like .*thousands",
    ),
    "currency": (items("item_id,price\n1,$5\n2,$6\n"), r"line 2, column 'price': '\$5' looks like an amount with its"),
    "not finite": (items("item_id,x\n1,1\n2,inf\n3,2\n"), "line 3, column 'x': 'inf' is no number, as 2 of 3"),
    "null user": ({"interactions": "user_id,item_id\na,1\nNULL,2\n"}, "line 3, column 'user_id': the id is missing"),
    "null item": ({"interactions": "user_id,item_id\na,1\nb,N/A\n"}, "line 3, column 'item_id': the id is missing"),
    "future": (interactions("a,1,1,2099-01-01\n"), "line 2, column 'timestamp': '2099-01-01' lies more than a day in"),
    "two ways": (interactions("a,1,1,01/02/2020\n"), "column 'timestamp': '01/02/2020' can be read in two ways"),
    "weight comma": (interactions('a,1,"3,5",1\n'), "column 'weight': '3,5' looks like a number with a decimal comma"),
    "blanks make a second": (items("item_id\n1\n 1\n"), "items.csv, line 3, column 'item_id': duplicate id ' 1'"),
    "disjoint ids": (
        {"interactions": "user_id,item_id\na,1\nb,2\nc,3\n", "items": "item_id\nx1\nx2\nx3\n"},
        "none of the 3 ids in column 'item_id' of interactions.csv .* is in items.csv",
    ),
    "other names": (
        {"interactions": "userId,movieId,rating\n1,2,3\n"},
        "no column 'user_id', only userId, movieId, rating; did you mean 'userId'. Say so with --map userId=user_id",
    ),
    "rating": (
        {"interactions": "user_id,item_id,rating\n1,2,3\n"},
        "column 'rating' is none of .*; did you mean 'weight'. Say so with --map rating=weight, or .* --ignore rating",
    ),
}


@pytest.mark.parametrize(("files", "message"), BROKEN.values(), ids=BROKEN)
def test_a_malformed_folder_is_refused_by_file_line_and_column(tmp_path, files, message):
    files = dict(files)
    if files.pop("both", False):
        written(tmp_path, interactions={"user_id": ["a"], "item_id": ["1"]})
    if "fake" in files:
        (tmp_path / "items.parquet").write_bytes(files.pop("fake"))
    written(tmp_path, **files)

    with pytest.raises(InvalidDataError, match=message):
        folder.load(tmp_path)


def test_a_late_line_is_named_as_an_editor_counts_it(tmp_path):
    rows = "".join(f"u{row},i\n" for row in range(2_000))

    with pytest.raises(InvalidDataError, match=r"line 2002: 1 cells for 2 columns"):
        folder.load(written(tmp_path, interactions=f"user_id,item_id\n{rows}u\n"))
