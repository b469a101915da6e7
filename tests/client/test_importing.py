"""``recommender import``, against a server that remembers what it was sent."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from lightfm_serve.cli import main
from recommender.datasets.batches import open_folder
from tests.support.scripted_server import Reply, accepting, problem, with_request_ids


def run(*words, **environment):
    return CliRunner().invoke(main, [str(word) for word in words], env=environment)


def sent(talk, kind):
    return [record for body in talk.of(f"/v1/{kind}") for record in body[kind]]


def many(folder, n=25_000):
    lines = (f"u{row % 300},i{row % 77},{row}" for row in range(n))
    (folder / "interactions.csv").write_text("user_id,item_id,timestamp\n" + "\n".join(lines) + "\n")
    return folder


def test_a_folder_is_sent_as_it_would_be_loaded(tmp_path):
    (tmp_path / "items.csv").write_text(
        "item_id,title,available,genres,year,code\n1,One,true,A|B,1990,x\n2,,false,A,,1\n3,Three,,,2000,\n"
    )
    pq.write_table(pa.table({"user_id": ["ann"], "age": [24], "vip": [True]}), tmp_path / "users.parquet")
    (tmp_path / "interactions.csv").write_text(
        "user_id,item_id,weight,timestamp,event\nann,1,0.1,2024-01-01T00:00:00Z,view\nann,1,0.1,2024-01-01T00:00:00Z,view\n"
    )
    with with_request_ids(accepting) as talk:
        done = run("import", tmp_path, "--url", talk.url, "--json")

    assert json.loads(done.output) == {"items": 3, "users": 1, "interactions": 2, "duplicates": 0, "skipped": 0}
    assert sent(talk, "items") == [
        {
            "item_id": "1",
            "title": "One",
            "available": True,
            "features": {"genres": ["A", "B"], "year": 1990, "code": "x"},
        },
        {"item_id": "2", "available": False, "features": {"genres": ["A"], "code": "1"}},
        {"item_id": "3", "title": "Three", "available": True, "features": {"year": 2000}},
    ]
    assert sent(talk, "users") == [{"user_id": "ann", "features": {"age": 24, "vip": True}}]
    one, other = sent(talk, "interactions")
    assert one == {
        "user_id": "ann",
        "item_id": "1",
        "weight": 0.1,
        "timestamp": 1704067200,
        "event": "view",
        "event_id": one["event_id"],
    }
    assert other["event_id"] != one["event_id"]
    assert [each.path for each in talk.asked] == ["/v1/items", "/v1/users", "/v1/interactions"]


def test_the_same_rows_have_the_same_event_ids_in_any_file_and_order(tmp_path):
    rows = [("ann", "1", 0.1, 5.0), ("bob", "2", 1.0, 6.0), ("ann", "1", 0.1, 5.0)]
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    lines = [",".join(map(str, row)) for row in rows]
    (one / "interactions.csv").write_text("\n".join(["user_id,item_id,weight,timestamp", *lines]))
    names = ("user_id", "item_id", "weight", "timestamp")
    table = pa.table(dict(zip(names, map(list, zip(*rows[::-1], strict=True)), strict=True)))
    pq.write_table(table.set_column(2, "weight", table["weight"].cast(pa.float32())), other / "interactions.parquet")

    ids = [
        {record["event_id"] for rows in open_folder(each) for batch in rows.batches() for record in batch.records}
        for each in (one, other)
    ]

    assert ids[0] == ids[1]
    assert len(ids[0]) == 3


def test_batches_have_ten_thousand_rows_and_shorter_bodies_where_rows_are_long(tmp_path):
    many(tmp_path)
    wide = "\n".join(f"i{row},{'x' * 20_000}" for row in range(600))
    (tmp_path / "items.csv").write_text(f"item_id,text\n{wide}\n")
    with with_request_ids(accepting) as talk:
        run("import", tmp_path, "--url", talk.url)

    assert [len(body["interactions"]) for body in talk.of("/v1/interactions")] == [10_000, 10_000, 5_000]
    assert [len(body["items"]) for body in talk.of("/v1/items")] == [300, 300]


def test_what_was_interrupted_goes_on_where_it_stopped(tmp_path):
    many(tmp_path)

    def failing(asked):
        return accepting(asked) if len(talk.asked) != 2 else problem(500, "broken")

    with with_request_ids(failing) as talk:
        failed = run("import", tmp_path, "--url", talk.url)
        resumed = run("import", tmp_path, "--url", talk.url, "--resume", "--json")
        again = run("import", tmp_path, "--url", talk.url, "--resume", "--json")

    assert failed.exit_code == 1
    assert "--resume" in failed.output
    assert json.loads(resumed.output)["interactions"] == 15_000
    assert json.loads(resumed.output)["skipped"] == 10_000
    assert json.loads(again.output)["interactions"] == 25_000
    assert [name.name for name in tmp_path.iterdir()] == ["interactions.csv"]


def test_another_file_is_not_taken_for_the_one_that_was_interrupted(tmp_path):
    many(tmp_path)
    with with_request_ids(lambda asked: accepting(asked) if len(talk.asked) < 2 else problem(500)) as talk:
        run("import", tmp_path, "--url", talk.url)
        many(tmp_path, 25_001)
        talk.answer = accepting
        resumed = run("import", tmp_path, "--url", talk.url, "--resume", "--json")

    assert json.loads(resumed.output)["interactions"] == 25_001


def test_a_busy_service_is_waited_for(tmp_path):
    many(tmp_path, 10)
    answers = [problem(503, Retry_After="0"), problem(429, Retry_After="0"), problem(503, Retry_After="0")]
    with with_request_ids(lambda asked: answers.pop() if answers else accepting(asked)) as talk:
        done = run("import", tmp_path, "--url", talk.url)

    assert done.exit_code == 0, done.output
    assert len(talk.asked) == 4


def test_what_only_the_service_refuses_is_named_by_its_line(tmp_path):
    many(tmp_path, 10_003)
    fault = [{"loc": "body.interactions[2].weight", "msg": "no"}]
    with with_request_ids(lambda asked: problem(422, "x", fault) if len(talk.asked) == 2 else accepting(asked)) as talk:
        done = run("import", tmp_path, "--url", talk.url)

    assert done.exit_code == 1
    assert "interactions.csv, line 10004: the service refuses it" in done.output


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"interactions.csv": "user_id,item_id,weight\na,1,1\nb,2,-1\n"}, "interactions.csv, line 3, column 'weight'"),
        ({"interactions.csv": "user_id,item_id,wieght\na,1,1\n"}, "column 'wieght' is none of"),
        ({"items.csv": "item_id,genres\n1,A|\n"}, "items.csv, line 2, column 'genres'"),
        ({"items.csv": "item_id,available\n1,maybe\n"}, "items.csv, line 2, column 'available': 'maybe'"),
        ({"users.csv": "user_id\nann\nann\n"}, "users.csv, line 3, column 'user_id': duplicate id 'ann'"),
        (
            {"users.jsonl": '{"user_id":"a"}\n{"user_id":"b","features":{"x":[1]}}\n'},
            "users.jsonl, line 2, column 'x'",
        ),
        ({"users.jsonl": '{"user_id":"a","age":1}\n'}, "users.jsonl, line 1"),
        ({"users.jsonl": '{"user_id":"a","features":{"title":"x"}}\n'}, "no feature can be called 'title'"),
        ({}, "has no interactions.csv"),
    ],
)
def test_what_is_malformed_is_named_and_nothing_is_sent(tmp_path, files, message):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with with_request_ids(accepting) as talk:
        done = run("import", tmp_path, "--url", talk.url)

    assert done.exit_code == 1
    assert message in done.output
    assert not talk.asked


def test_a_fault_in_a_later_block_stops_everything_too(tmp_path):
    many(tmp_path, 12_000)
    with (tmp_path / "interactions.csv").open("a") as file:
        file.write("u,i,yesterday\n")
    with with_request_ids(accepting) as talk:
        done = run("import", tmp_path, "--url", talk.url)

    assert "line 12002, column 'timestamp'" in done.output
    assert not talk.asked


def test_the_key_comes_from_a_file_or_the_environment(tmp_path):
    many(tmp_path, 3)
    key = tmp_path.parent / f"{tmp_path.name}-key"
    key.write_text("secret\n")
    with with_request_ids(accepting) as talk:
        run("import", tmp_path, "--url", talk.url, "--key-file", key)
        run("import", tmp_path, "--url", talk.url, RECOMMENDER_API_KEY="other")

    assert [each.key for each in talk.asked] == ["Bearer secret", "Bearer other"]


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["import", "/nowhere"], 2, "/nowhere"),
        (["import", ".", "--from", "elsewhere"], 2, "elsewhere"),
        (["import", "FOLDER", "--url", "http://127.0.0.1:9"], 1, "nothing was sent; start it with: recommender serve"),
        (["export", "FOLDER"], 1, "has interactions.csv already"),
        (["export", "NOWHERE", "--url", "http://127.0.0.1:9"], 1, "does not answer"),
    ],
)
def test_exit_statuses(tmp_path, words, status, message):
    many(tmp_path, 3)
    folders = {"FOLDER": tmp_path, "NOWHERE": tmp_path / "none"}
    done = run(*(folders.get(word, word) for word in words))

    assert done.exit_code == status
    assert message in done.output
    assert not (tmp_path / "none").exists()


def test_a_wrong_key_says_where_keys_come_from(tmp_path):
    many(tmp_path, 3)
    with with_request_ids(lambda _: Reply(401)) as talk:
        done = run("import", tmp_path, "--url", talk.url)

    assert done.exit_code == 1
    assert "--key-file" in done.output
