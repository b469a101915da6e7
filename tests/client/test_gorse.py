"""What Gorse exports, as users, items and interactions; the dump is made by the real protobuf."""

import json
import struct

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

from recommender.datasets.gorse import open_gorse
from recommender.errors import InvalidDataError

USERS = [
    {"UserId": "ann", "Labels": {"age": 24, "from": {"country": "NL", "vip": True}}, "Comment": "hello"},
    {"UserId": "bob", "Labels": ["a", "b"], "Comment": ""},
    {"UserId": "cleo", "Labels": None, "Comment": "", "Subscribe": None},
]
ITEMS = [
    {
        "ItemId": "i1",
        "IsHidden": False,
        "Categories": ["film"],
        "Timestamp": "2024-01-01T00:00:00Z",
        "Labels": {"genres": ["A", "B"], "embedding": [0.1, 0.2]},
        "Comment": "One",
    },
    {
        "ItemId": "i2",
        "IsHidden": True,
        "Categories": None,
        "Timestamp": "0001-01-01T00:00:00Z",
        "Labels": None,
        "Comment": "",
    },
]
FEEDBACK = [
    {"FeedbackType": "like", "UserId": "ann", "ItemId": "i1", "Timestamp": "2024-01-01T00:00:00.5Z", "Comment": ""},
    {"FeedbackType": "read", "UserId": "bob", "ItemId": "i9", "Timestamp": "0001-01-01T00:00:00Z", "Comment": ""},
]
MESSAGES = {
    "User": [("user_id", 1, "string"), ("labels", 2, "bytes"), ("comment", 3, "string")],
    "Item": [
        ("item_id", 2, "string"),
        ("is_hidden", 3, "bool"),
        ("categories", 4, "strings"),
        ("timestamp", 5, "time"),
        ("labels", 6, "bytes"),
        ("comment", 7, "string"),
    ],
    "Feedback": [
        ("feedback_type", 2, "string"),
        ("user_id", 3, "string"),
        ("item_id", 4, "string"),
        ("timestamp", 5, "time"),
        ("comment", 6, "string"),
    ],
}


def classes():
    """Gorse's messages, as its protocol describes them."""
    field = descriptor_pb2.FieldDescriptorProto
    kinds = {
        "string": field.TYPE_STRING,
        "strings": field.TYPE_STRING,
        "bytes": field.TYPE_BYTES,
        "bool": field.TYPE_BOOL,
    }
    file = descriptor_pb2.FileDescriptorProto(name="gorse.proto", package="protocol", syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for each, number, kind in fields:
            label = field.LABEL_REPEATED if kind == "strings" else field.LABEL_OPTIONAL
            added = message.field.add(name=each, number=number, type=kinds.get(kind, field.TYPE_MESSAGE), label=label)
            if kind == "time":
                added.type_name = ".google.protobuf.Timestamp"
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"protocol.{name}")) for name in MESSAGES}


def filled(kind, record):
    message = kind()
    for name, value in record.items():
        own = "".join("_" + letter.lower() if letter.isupper() else letter for letter in name)[1:]
        if own == "timestamp":
            message.timestamp.FromJsonString(value)
        elif own == "labels":
            message.labels = json.dumps(value).encode()
        elif own == "categories":
            message.categories.extend(value or [])
        elif own != "subscribe":
            setattr(message, own, value)
    return message.SerializeToString()


def dump():
    kinds = classes()
    content = b""
    for stream, name, records in ((-1, "User", USERS), (-2, "Item", ITEMS), (-3, "Feedback", FEEDBACK)):
        content += struct.pack("<q", stream)
        for message in (filled(kinds[name], record) for record in records):
            content += struct.pack("<q", len(message)) + message
    return content + struct.pack("<q", 0)


def lines(records):
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.fixture(params=["dashboard", "dump"])
def path(request, tmp_path):
    if request.param == "dump":
        (tmp_path / "gorse.bin").write_bytes(dump())
        return tmp_path / "gorse.bin"
    (tmp_path / "users.jsonl").write_text(lines(USERS))
    (tmp_path / "items.jsonl").write_text(lines(ITEMS))
    (tmp_path / "feedback.jsonl").write_text(lines(FEEDBACK))
    return tmp_path


def records(path):
    return {rows.name: [record for batch in rows.batches() for record in batch.records] for rows in open_gorse(path)}


def test_users_items_and_feedback_become_ours(path):
    found = records(path)

    assert found["users"] == [
        {"user_id": "ann", "features": {"age": 24, "from.country": "NL", "from.vip": True}},
        {"user_id": "bob", "features": {"labels": ["a", "b"]}},
        {"user_id": "cleo", "features": {}},
    ]
    assert found["items"] == [
        {
            "item_id": "i1",
            "title": "One",
            "available": True,
            "features": {"genres": ["A", "B"], "categories": ["film"]},
        },
        {"item_id": "i2", "available": False, "features": {}},
    ]
    ids = {each.pop("event_id") for each in found["interactions"]}
    assert len(ids) == 2
    assert found["interactions"] == [
        {"user_id": "ann", "item_id": "i1", "weight": 1.0, "timestamp": 1704067200.5, "event": "like"},
        {"user_id": "bob", "item_id": "i9", "weight": 1.0, "timestamp": 0.0, "event": "read"},
    ]


def test_the_value_of_newer_feedback_is_the_weight(tmp_path):
    (tmp_path / "feedback.jsonl").write_text(lines([{**FEEDBACK[0], "Value": 3.5, "Updated": "2024-01-01T00:00:00Z"}]))

    assert records(tmp_path)["interactions"][0]["weight"] == 3.5


@pytest.mark.parametrize("cut", [4, 30, -8, -3])
def test_a_dump_that_is_cut_short_is_refused(tmp_path, cut):
    (tmp_path / "dump").write_bytes(dump()[:cut])

    with pytest.raises(InvalidDataError, match="cut short"):
        open_gorse(tmp_path / "dump")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"user_id,item_id\na,b,c,d,e\n", "no dump of Gorse"),
        (struct.pack("<qq", -1, 3) + b"\x0a\xff\x01" + struct.pack("<q", 0), "record 1: not what Gorse writes"),
        (struct.pack("<q", -9), "announces -9"),
    ],
)
def test_what_is_no_dump_is_refused(tmp_path, content, message):
    (tmp_path / "dump").write_bytes(content)

    with pytest.raises(InvalidDataError, match=message):
        open_gorse(tmp_path / "dump")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"users.jsonl": '{"UserId":"a"}\n{"UserId":7}\n'}, "users.jsonl, line 2"),
        ({"users.jsonl": '{"UserId":"a"}\n{"UserId":"a"}\n'}, "users.jsonl, line 2: duplicate id 'a'"),
        ({"items.jsonl": '{"ItemId":""}\n'}, "items.jsonl, line 1, 'ItemId'"),
        ({"feedback.jsonl": lines([{**FEEDBACK[0], "Timestamp": "soon"}])}, "feedback.jsonl, line 1, 'Timestamp'"),
        ({"other.jsonl": ""}, "has none of users.jsonl"),
    ],
)
def test_what_is_malformed_is_named_by_file_and_line(tmp_path, files, message):
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    with pytest.raises(InvalidDataError, match=message):
        open_gorse(tmp_path)
