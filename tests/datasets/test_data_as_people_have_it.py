"""Files of public bug reports and of people who do this job, each with the right answer."""

import json
import random
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from lightfm_serve.cli import main
from recommender.datasets import folder, open_dataset
from recommender.datasets.batches import open_folder
from recommender.datasets.dataset import feature_records
from recommender.datasets.profile import FolderProfile
from recommender.datasets.schema import Schema
from recommender.errors import InvalidDataError

PAIRS = "user_id,item_id\n" + "".join(f"u{n % 20},i{n % 20}\n" for n in range(200))


def put(path, **files):
    """Folder of CSV files by text, Parquet files by table, and a schema by its dict."""
    for name, content in files.items():
        if name == "schema":
            (path / "schema.json").write_text(json.dumps(content))
        elif isinstance(content, str):
            (path / f"{name}.csv").write_text(content, encoding="utf-8")
        else:
            pq.write_table(content if isinstance(content, pa.Table) else pa.table(content), path / f"{name}.parquet")
    return path


def both_doors(path, **types):
    """Interactions, users and items as loading gives them, after a look whether an import sends the same."""
    schema = Schema.of(types)
    loaded = folder.load(path, schema)
    profile = FolderProfile()
    rows = open_folder(path, schema=folder.check_schema(path, schema), profile=profile)
    sent = {each.name: [record for batch in each.batches() for record in batch.records] for each in rows}
    for stem, frame, id_name in (("users", loaded.users, "user_id"), ("items", loaded.items, "item_id")):
        assert [(each[id_name], each["features"]) for each in sent.get(stem, [])] == list(feature_records(frame))
    columns = ["user_id", "item_id", "weight", "timestamp"]
    assert [tuple(each[name] for name in columns) for each in sent["interactions"]] == [
        (user, item, pytest.approx(weight), when)
        for user, item, weight, when in loaded.interactions[columns].itertuples(index=False)
    ]
    assert loaded.notes == (*profile.notes(), *profile.warnings())
    return loaded


def features(frame):
    return dict(feature_records(frame))


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def inspected(path, *words):
    done = run("inspect", path, "--json", *words)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def kinds(content, stem):
    return {column["column"]: column["kind"] for column in content["files"][stem]["columns"]}


# Missing values and numbers.


@pytest.mark.parametrize("marker", ["NULL", "null", "N/A", "nan", "None", "\\N", "?", "-", " NA "])
def test_one_missing_age_leaves_a_number_column(tmp_path, marker):
    ages = "".join(f"u{n},{marker if n == 3 else 20 + n}\n" for n in range(20))
    loaded = both_doors(put(tmp_path, interactions=PAIRS, users=f"user_id,age\n{ages}"))

    assert features(loaded.users)["u4"] == {"age": 24}
    assert features(loaded.users)["u3"] == {}
    assert inspected(tmp_path)["files"]["users"]["columns"][1]["missing"] == 1


def test_what_stands_for_missing_can_be_said(tmp_path):
    users = "user_id,age,country\nu0,20,NA\nu1,k.A.,NL\nu2,22,NA\n"
    loaded = both_doors(put(tmp_path, interactions=PAIRS, users=users, schema={"missing": ["", "k.A."]}))

    assert features(loaded.users)["u0"] == {"age": 20, "country": "NA"}
    assert features(loaded.users)["u1"] == {"country": "NL"}


def test_a_word_in_a_number_column_is_refused_at_every_door(tmp_path):
    ages = "".join(f"u{n},{'old' if n == 3 else 20 + n}\n" for n in range(20))
    put(tmp_path, interactions=PAIRS, users=f"user_id,age\n{ages}")

    for door in (folder.load, open_folder, folder.inspect):
        with pytest.raises(InvalidDataError, match=r"users.csv, line 5, column 'age': 'old' is no number, as 19 of 20"):
            door(tmp_path)


def test_a_word_in_a_later_block_is_refused_by_its_line(tmp_path):
    rows = "".join(f"i{n},{n}\n" for n in range(12_000))
    put(tmp_path, items=f"item_id,x\n{rows}j,old\n")

    with pytest.raises(InvalidDataError, match=r"items.csv, line 12002, column 'x': 'old'"):
        open_folder(tmp_path)


# Ids.


def test_float_ids_are_the_whole_numbers_that_they_were(tmp_path):
    pairs = "user_id,item_id\n" + "".join(f"{u}.0,{i}.0\n" for u in range(1, 6) for i in range(5860, 5866))
    items = "item_id,genre\n" + "".join(f"{i},A\n" for i in range(5860, 5866))
    loaded = both_doors(put(tmp_path, interactions=pairs, items=items))

    assert set(loaded.interactions["item_id"]) == set(loaded.items.index)
    assert set(loaded.interactions["user_id"]) == {"1", "2", "3", "4", "5"}
    assert inspected(tmp_path)["overlap"] == [
        {"file": "items.csv", "column": "item_id", "n": 6, "n_known": 6, "n_in_file": 6}
    ]


def test_one_id_that_is_no_number_keeps_the_column_as_it_is(tmp_path):
    pairs = "user_id,item_id\na,1.0\na,2.0\na,v1.0\n"

    assert set(both_doors(put(tmp_path, interactions=pairs)).interactions["item_id"]) == {"1.0", "2.0", "v1.0"}


def test_ids_that_a_float_has_rounded_are_refused(tmp_path):
    put(tmp_path, interactions="user_id,item_id\na,9007199254740994.0\n")

    with pytest.raises(InvalidDataError, match=r"line 2, column 'item_id'.*lost digits"):
        folder.load(tmp_path)


@pytest.mark.parametrize(
    "ids",
    [
        pa.array([7, 8], pa.int64()),
        pa.array([7.0, 8.0]),
        pa.array(["7", " 8 "]),
        pa.array(["7.0", "8.0"]),
        pa.array(["7", "8"], pa.large_string()),
        pa.array(["7", "8"]).dictionary_encode(),
        pa.array([Decimal("7"), Decimal("8")], pa.decimal128(10, 0)),
        pa.array([7, 8], pa.uint8()),
    ],
    ids=lambda array: str(array.type),
)
def test_ids_of_any_parquet_type_are_the_same(tmp_path, ids):
    put(tmp_path, interactions={"user_id": ["a", "b"], "item_id": ids}, items="item_id,x\n7,a\n8,b\n")

    assert both_doors(tmp_path).interactions["item_id"].tolist() == ["7", "8"]


def test_blanks_and_invisible_signs_make_no_second_item(tmp_path):
    pairs = "user_id,item_id\n1, 10\n1,10\u00a0\n2,\u200b10\n2,xe\u0301\n3,x\u00e9\n3,\ufeff10\n"
    loaded = both_doors(put(tmp_path, interactions=pairs, items="item_id,x\n10,a\nx\u00e9,b\n"))

    assert set(loaded.interactions["item_id"]) == {"10", "x\u00e9"}
    assert "interactions.csv: item_id: 5 cells had blanks or invisible signs, which were taken away" in loaded.notes


@pytest.mark.parametrize("marker", ["NULL", "None", "nan", "N/A", "", " "])
@pytest.mark.parametrize("column", ["user_id", "item_id"])
def test_a_missing_id_is_refused_by_its_line_at_every_door(tmp_path, marker, column):
    row = {"user_id": "100", "item_id": "200", column: marker}
    put(tmp_path, interactions=f"user_id,item_id\n100,200\n{row['user_id']},{row['item_id']}\n")

    for door in (folder.load, open_folder, folder.inspect):
        with pytest.raises(InvalidDataError, match=f"interactions.csv, line 3, column '{column}': the id is missing"):
            door(tmp_path)


def test_ids_that_share_nothing_are_refused_and_those_that_share_little_are_named(tmp_path):
    put(tmp_path, interactions=PAIRS, items="item_id,x\nI0,a\nI1,b\nI2,c\n")

    for door in (folder.load, open_folder, folder.inspect):
        with pytest.raises(InvalidDataError, match=r"none of the 20 ids in column 'item_id' of interactions.csv"):
            door(tmp_path)

    put(tmp_path, items="item_id,x\ni0,a\nI1,b\nI2,c\n")
    assert any("items.csv knows 1 of the 20 ids" in note for note in both_doors(tmp_path).notes)


def test_two_newcomers_in_a_file_of_their_own_are_no_mistake(tmp_path):
    put(tmp_path, interactions="user_id,item_id\n0,a\n1,b\n2,e\n3,f\n", items="item_id,title\nc,C\nd,D\n")

    assert any("items.csv knows 0 of the 4 ids" in note for note in both_doors(tmp_path).notes)


# Codes, and types that are said.


def test_a_leading_zero_makes_text(tmp_path):
    rows = "".join(f"u{n},{'02100' if n == 7 else 12100 + n}\n" for n in range(20))
    loaded = both_doors(put(tmp_path, interactions=PAIRS, users=f"user_id,zip\n{rows}"))

    assert features(loaded.users)["u7"] == {"zip": "02100"}
    assert features(loaded.users)["u8"] == {"zip": "12108"}


def test_codes_that_look_like_numbers_are_pointed_out(tmp_path):
    items = "item_id,brand_id,stars\n" + "".join(f"i{n},{1000 + n % 7},{n % 5}\n" for n in range(20))
    put(tmp_path, interactions=PAIRS, items=items)
    content = inspected(tmp_path)

    assert any("brand_id: read as numbers" in each and "brand_id:text" in each for each in content["warnings"])
    assert any("stars: 5 whole numbers repeat" in each for each in content["hints"])


@pytest.mark.parametrize("way", ["header", "schema.json", "Python"])
def test_the_type_of_a_column_can_be_said(tmp_path, way):
    said = {"brand": "category", "tags": "list", "member": "boolean", "made": "time", "cost": "number", "x": "ignore"}
    names = [f"{name}:{kind}" if way == "header" else name for name, kind in said.items()]
    rows = "i0,1000,a; b,1,1960-01-01,5,secret\ni1,1001,c,0,2020-01-01,6.5,secret\n"
    put(tmp_path, interactions=PAIRS, items=f"item_id,{','.join(names)}\n{rows}")
    if way == "schema.json":
        put(tmp_path, schema={"items": said})
    loaded = both_doors(tmp_path, **({"items": said} if way == "Python" else {}))

    expected = {"brand": "1000", "tags": ["a", "b"], "member": True, "made": -315_619_200.0, "cost": 5}
    assert features(loaded.items)["i0"] == expected
    assert features(loaded.items)["i1"]["member"] is False
    if way == "Python":
        assert features(open_dataset(tmp_path, types={"items": said}).items) == features(loaded.items)


def test_a_colon_in_a_name_that_says_no_type_belongs_to_the_name(tmp_path):
    put(tmp_path, interactions=PAIRS, items="item_id,og:locale\ni0,nl\ni1,de\n")

    assert features(both_doors(tmp_path).items)["i0"] == {"og:locale": "nl"}


def test_types_of_parquet_columns_can_be_said_too(tmp_path):
    items = {"item_id": ["i0", "i1"], "brand": [1000.0, 1001.0], "size": ["38", "40"], "tags": ["a;b", "c"]}
    said = {"brand": "text", "size": "number", "tags": "list"}
    loaded = both_doors(put(tmp_path, interactions=PAIRS, items=items), items=said)

    assert features(loaded.items)["i0"] == {"brand": "1000", "size": 38, "tags": ["a", "b"]}


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"items": {"x": "colour"}}, "schema.json: items.x: 'colour' is no type; there are text, number"),
        ({"itms": {}}, "schema.json: .*itms"),
        ({"items": {"y": "text"}}, "items.csv, line 1: there is no column 'y', whose type is said"),
        ({"names": {"itemid": "item_id"}}, "no file has a column 'itemid'; did you mean 'item_id'?"),
        ({"ignore": ["z"]}, "no file has a column 'z'"),
        ({"items": {"x": "number"}}, "items.csv, line 2, column 'x': 'a' is not a finite number"),
    ],
)
def test_a_schema_that_cannot_be_says_why(tmp_path, schema, message):
    put(tmp_path, interactions=PAIRS, items="item_id,x\ni0,a\n", schema=schema)

    with pytest.raises(InvalidDataError, match=message):
        folder.load(tmp_path)


# Times.


@pytest.mark.parametrize(
    ("column", "seconds"),
    [
        (pa.array([date(2020, 1, 1)]), 1_577_836_800),
        (pa.array([datetime(2020, 1, 1)]), 1_577_836_800),
        (pa.array([1_577_836_800_000_000_000], pa.timestamp("ns", "UTC")), 1_577_836_800),
        (pa.array([1_577_836_800], pa.timestamp("s", "Europe/Amsterdam")), 1_577_836_800),
        (pa.array([1_577_836_800_000], pa.date64()), 1_577_836_800),
        (pa.array([Decimal("1577836800.5")]), 1_577_836_800.5),
        (pa.array(["2020-01-01"]), 1_577_836_800),
    ],
    ids=lambda value: str(getattr(value, "type", value)),
)
def test_times_of_any_parquet_type_are_seconds(tmp_path, column, seconds):
    put(tmp_path, interactions={"user_id": ["a"], "item_id": ["b"], "timestamp": column})

    assert both_doors(tmp_path).interactions["timestamp"].tolist() == [seconds]


@pytest.mark.parametrize(
    ("times", "look"),
    [
        (range(43_831, 43_931), "Excel"),
        (range(1, 101), "all in 1970"),
        (range(20_200_101, 20_200_129), "20261125"),
        (range(1990, 2020), "years"),
    ],
)
def test_odd_times_say_what_they_look_like(tmp_path, times, look):
    rows = "".join(f"a,b,{when}\n" for when in times)
    loaded = both_doors(put(tmp_path, interactions=f"user_id,item_id,timestamp\n{rows}"))

    assert any(look in note for note in loaded.notes)


def test_the_numbers_of_rows_are_no_odd_times(tmp_path):
    rows = "".join(f"a,b,{row}\n" for row in range(50))

    assert not both_doors(put(tmp_path, interactions=f"user_id,item_id,timestamp\n{rows}")).notes


# Lists.


@pytest.mark.parametrize("cell", ["a|b", "\"['a', 'b']\"", '"[""a"", ""b""]"', "\"['a' 'b']\"", "a | b"])
def test_lists_are_lists_however_they_are_written(tmp_path, cell):
    loaded = both_doors(put(tmp_path, interactions=PAIRS, items=f"item_id,genres\ni0,{cell}\ni1,c\n"))

    assert features(loaded.items) == {"i0": {"genres": ["a", "b"]}, "i1": {"genres": ["c"]}}


def test_lists_as_text_in_parquet_are_lists_too(tmp_path):
    items = {"item_id": ["i0", "i1", "i2"], "genres": ["['a', 'b']", "c|d", None]}
    loaded = both_doors(put(tmp_path, interactions=PAIRS, items=items))

    assert features(loaded.items) == {"i0": {"genres": ["a", "b"]}, "i1": {"genres": ["c", "d"]}, "i2": {}}


# Files.


@pytest.mark.parametrize("separator", [";", "\t", "|", "::"])
def test_the_separator_is_found_and_said(tmp_path, separator):
    rows = [("user_id", "item_id", "weight"), ("276725", "034545104X", "2"), ("276726", "0155061224", "5")]
    quote = "" if separator == "::" else '"'
    text = "\n".join(separator.join(f"{quote}{cell}{quote}" for cell in row) for row in rows)
    loaded = both_doors(put(tmp_path, interactions=text))

    assert loaded.interactions["item_id"].tolist() == ["034545104X", "0155061224"]
    assert loaded.interactions["weight"].tolist() == [2, 5]
    assert loaded.notes == (f"interactions.csv: cells are separated by {separator!r}",)


@pytest.mark.parametrize("text", [",user_id,item_id\n0,a,x\n1,b,y\n", "user_id,item_id,\na,x,\nb,y,\n"])
def test_the_index_of_pandas_and_commas_at_the_ends_are_left_out(tmp_path, text):
    loaded = both_doors(put(tmp_path, interactions=text))

    assert loaded.interactions["user_id"].tolist() == ["a", "b"]
    assert "has no name and says nothing" in loaded.notes[0]


def test_commas_at_the_ends_of_rows_alone_are_left_out(tmp_path):
    assert len(both_doors(put(tmp_path, interactions="user_id,item_id\na,x,\nb,y,,\n")).interactions) == 2


def test_an_index_that_pandas_read_back_is_no_feature(tmp_path):
    put(tmp_path, interactions=PAIRS, items="Unnamed: 0,item_id,x\n0,i0,a\n1,i1,b\n")

    assert features(both_doors(tmp_path).items)["i0"] == {"x": "a"}


@pytest.mark.parametrize("name", ["interactions.csv", "interactions.parquet"])
def test_a_file_with_only_a_header_says_so(tmp_path, name):
    empty = pa.table({"user_id": pa.array([], pa.string()), "item_id": pa.array([], pa.string())})
    put(tmp_path, interactions="user_id,item_id\n" if name.endswith("csv") else empty)

    for door in (folder.load, open_folder, folder.inspect):
        with pytest.raises(InvalidDataError, match=f"{name} has no rows, only the names of its columns"):
            door(tmp_path)


def test_a_byte_order_mark_and_blanks_in_the_header_are_no_part_of_a_name(tmp_path):
    assert len(both_doors(put(tmp_path, interactions="\ufeffuser_id, item_id \na,x\n")).interactions) == 1


def test_numbers_and_dates_of_any_parquet_type_are_features(tmp_path):
    items = pa.table(
        {
            "item_id": pa.array(["i0", "i1"], pa.large_string()),
            "price": pa.array([Decimal("1.50"), None], pa.decimal128(4, 2)),
            "released": pa.array([date(2020, 1, 1), None]),
            "brand": pa.array(["a", "NULL"]).dictionary_encode(),
            "n": pa.array([3, None], pa.int8()),
            "half": pa.array([0.5, float("nan")], pa.float32()),
        }
    )
    loaded = both_doors(put(tmp_path, interactions=PAIRS, items=items))

    expected = {"price": 1.5, "released": "2020-01-01", "brand": "a", "n": 3, "half": 0.5}
    assert features(loaded.items) == {"i0": expected, "i1": {}}
    assert kinds(inspected(tmp_path), "items")["price"] == "number"


# The older export of Gorse.


def gorse(path):
    return put(
        path,
        feedback="feedback_type,user_id,item_id,time_stamp\nclick,0,2,0001-01-01 00:00:00 +0000 UTC\n"
        "read, 1 ,1,2020-01-01 01:01:01.000000001 +0000 UTC\n",
        items="item_id,is_hidden,categories,time_stamp,labels,description\n"
        '1,false,x|y,2020-01-01 01:01:01.000000001 +0000 UTC,"{""genre"":[""comedy""]}","o,n,e"\n'
        "2,true,,2020-01-01 01:01:01 +0000 UTC,null,\n",
        users='user_id,labels\n1,"{""gender"":""male"",""age"":null}"\n',
    )


def test_the_older_export_of_gorse_is_taken_for_what_it_is(tmp_path):
    loaded = open_dataset(gorse(tmp_path))

    assert loaded.notes == ("the folder is an export of Gorse and is read as one",)
    assert loaded.interactions[["user_id", "item_id", "timestamp", "event"]].to_numpy().tolist() == [
        ["0", "2", 0.0, "click"],
        ["1", "1", 1_577_840_461.0, "read"],
    ]
    assert features(loaded.users) == {"1": {"gender": "male"}}
    assert features(loaded.items) == {"1": {"genre": ["comedy"], "categories": ["x", "y"]}, "2": {}}
    assert loaded.items["title"].tolist() == ["o,n,e", None]
    assert loaded.items["available"].tolist() == [True, False]


def test_an_export_of_gorse_is_inspected(tmp_path):
    content = inspected(gorse(tmp_path))

    assert content["files"]["interactions"]["rows"] == 2
    assert kinds(content, "items") == {
        "item_id": "id",
        "genre": "list",
        "categories": "list",
        "title": "title",
        "available": "boolean",
    }


# Names of columns, and the command line.


def test_the_header_of_movielens_is_mapped(tmp_path):
    rows = "".join(f"{n % 20},{n % 7},4.0,{1_000_000_000 + n}\n" for n in range(200))
    put(tmp_path, interactions=f"userId,movieId,rating,timestamp\n{rows}")
    words = ["--map", "userId=user_id", "--map", "movieId=item_id", "--ignore", "rating"]
    refused = run("inspect", tmp_path)
    content = inspected(tmp_path, *words)

    assert "--map userId=user_id" in refused.output
    assert kinds(content, "interactions") == {"user_id": "id", "item_id": "id", "timestamp": "time"}
    loaded = both_doors(tmp_path, names={"userId": "user_id", "movieId": "item_id", "rating": "weight"})
    assert loaded.interactions["weight"].tolist() == [4.0] * 200


@pytest.mark.parametrize("words", [["--map", "userId"], ["--map", "=user_id"]])
def test_a_map_that_says_nothing_is_wrong_usage(tmp_path, words):
    done = run("inspect", put(tmp_path, interactions=PAIRS), *words)

    assert done.exit_code == 2
    assert "is not like userId=user_id" in done.output


def test_what_is_said_of_no_folder_is_refused():
    done = run("train", "synthetic", "--out", "x", "--ignore", "rating")

    assert done.exit_code == 1
    assert "'synthetic' is none" in done.output


def test_an_inspection_shows_what_was_understood(tmp_path):
    items = "item_id,title,brand_id,genres\n" + "".join(f"i{n},T{n},{n % 3},a|b\n" for n in range(20))
    done = run("inspect", put(tmp_path, interactions=PAIRS.replace(",", ";"), items=items))

    assert done.exit_code == 0, done.output
    for line in (
        "items.csv: 20 rows",
        "  brand_id  number   3 distinct: 0, 1, 2",
        "  genres    list     1 distinct: a|b",
        "items.csv knows 20 of the 20 item_ids of the interactions",
        "Note: interactions.csv: cells are separated by ';'",
        "Warning: items.csv: brand_id: read as numbers",
    ):
        assert line in done.output


def test_training_says_what_is_likely_to_be_wrong(tmp_path):
    chance = random.Random(1)
    rows = "".join(f"u{chance.randrange(20)}, i{chance.randrange(20)}\n" for _ in range(300))
    (tmp_path / "data").mkdir()
    put(tmp_path / "data", interactions=f"user_id,item_id\n{rows}")
    done = run("train", tmp_path / "data", "--out", tmp_path / "models", "--epochs", 1, "--no-components", 4)

    assert done.exit_code == 0, done.output
    assert "Note: interactions.csv: item_id: 300 cells had blanks" in done.stderr


def test_ids_of_python_are_taken_as_text(tmp_path):
    frame = pd.DataFrame({"user_id": [UUID(int=1), UUID(int=2)], "item_id": [1, 2]}).astype({"user_id": str})
    frame.to_parquet(tmp_path / "interactions.parquet")

    assert both_doors(tmp_path).interactions["user_id"].tolist()[0] == "00000000-0000-0000-0000-000000000001"


def test_columns_of_one_file_are_left_out_by_a_pattern(tmp_path):
    rows = "".join(f"{n % 5},{n % 7},4.0,T{n % 7},A\n" for n in range(70))
    items = "".join(f"{n},T{n},{n},B\n" for n in range(7))
    put(
        tmp_path,
        interactions=f"user_id,movieId,rating,title,genres\n{rows}",
        items=f"movieId,title,row,genres\n{items}",
    )
    words = ["--map", "movieId=item_id", "--map", "rating=weight", "--ignore", "interactions.*", "--ignore", "row"]
    content = inspected(tmp_path, *words)

    assert kinds(content, "interactions") == {"user_id": "id", "item_id": "id", "weight": "number"}
    assert kinds(content, "items") == {"item_id": "id", "title": "title", "genres": "text"}


def test_all_columns_that_mean_nothing_are_named_at_once(tmp_path):
    put(tmp_path, interactions="user_id,item_id,a,b,c\nx,y,1,2,3\n")

    with pytest.raises(InvalidDataError, match=r"columns 'a', 'b', 'c' are none of .*--ignore 'interactions.\*'"):
        folder.load(tmp_path)


def test_a_word_that_is_read_as_missing_is_pointed_out(tmp_path):
    put(tmp_path, interactions=PAIRS, users="user_id,sex\nu0,none\nu1,male\nu2,none\n")

    assert any("sex: 'none' is read as missing" in hint for hint in inspected(tmp_path)["hints"])


def test_a_list_is_no_id(tmp_path):
    put(tmp_path, interactions={"user_id": ["a"], "item_id": [["b"]]})

    for door in (folder.load, open_folder):
        with pytest.raises(InvalidDataError, match=r"row 1, column 'item_id': an id is text or a whole number"):
            door(tmp_path)


def test_a_file_of_another_ending_is_pointed_out(tmp_path):
    (tmp_path / "interactions.csv.gz").write_bytes(b"")

    with pytest.raises(InvalidDataError, match=r"has no interactions.csv, .*; interactions.csv.gz is there"):
        folder.load(tmp_path)
