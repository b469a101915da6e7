"""The same rows say the same through every door of files, whatever people's hands and programs have made of them."""

import csv
import json
import math
from decimal import Decimal
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from recommender.datasets import folder, gorse, open_dataset
from recommender.datasets.batches import open_folder
from recommender.datasets.dataset import feature_records
from recommender.dense_vectors.packing import with_lists

MARKERS = ["", "NULL", "null", "N/A", "nan", "None", "\\N", "?", " NA "]
BLANKS = ["", "", "", " ", "\u00a0", "\u200b", "\ufeff", "  "]
SEPARATORS = [",", ";", "\t", "|"]

words = st.sampled_from(["tea", "milk", "\u00e9t\u00e9", "it's", "a b", "Z\u00fcrich", "x,y", 'q"q', "pi;pe"])
numbers = st.integers(-50, 5000) | st.sampled_from([0.5, -2.25, 1e3])
"""Whole and other numbers that each format holds exactly."""
looks = st.none() | st.lists(st.integers(-32, 32).map(lambda eighths: eighths / 8), min_size=3, max_size=3)
"""Dense vectors that 16 bits hold exactly."""


@st.composite
def worlds(draw):
    """Items with what is to be understood of each feature, or None."""
    n = draw(st.integers(3, 8))
    return {
        "ids": [f"{draw(st.sampled_from(['i', '0', 'x-']))}{row}" for row in range(n)],
        "whole_ids": draw(st.booleans()),
        "price": draw(st.lists(st.none() | numbers, min_size=n, max_size=n)),
        "brand": draw(st.lists(st.none() | words, min_size=n, max_size=n)),
        "zip": [f"0{draw(st.integers(1000, 9999))}" for _ in range(n)],
        "member": draw(st.lists(st.none() | st.booleans(), min_size=n, max_size=n)),
        "tags": draw(st.lists(st.lists(words, min_size=1, max_size=3), min_size=n, max_size=n)),
        "look": draw(st.lists(looks, min_size=n, max_size=n).filter(any)),
    }


class Hands:
    """Writes values as people and programs do, by what hypothesis draws."""

    def __init__(self, draw):
        self._draw = draw

    def pick(self, choices):
        return self._draw(st.sampled_from(choices))

    def text(self, value):
        return f"{self.pick(BLANKS)}{value}{self.pick(BLANKS)}"

    def missing(self):
        return self.pick(MARKERS)

    def number(self, value):
        whole = float(value).is_integer()
        return self.pick([str(value), f" {value}", *([f"{int(value)}.0"] if whole else [f"{value}0"])])

    def boolean(self, value):
        return self.pick([str(value), str(value).lower(), str(value).upper()])

    def items(self, members):
        forms = [repr(members), json.dumps(members), json.dumps(members, ensure_ascii=False)]
        return self.pick([*forms, "|".join(map(self.text, members))])

    def cell(self, value):
        if value is None:
            return self.missing()
        if isinstance(value, bool):
            return self.boolean(value)
        if isinstance(value, list):
            return self.items(value)
        return self.number(value) if isinstance(value, int | float) else self.text(value)


def ids_of(world):
    return [str(5860 + row) for row in range(len(world["ids"]))] if world["whole_ids"] else world["ids"]


FEATURES = ("price", "brand", "zip", "member", "tags")


def expected(world, names):
    """What is to be understood."""
    return {
        an_id: {name: world[name][row] for name in names if world[name][row] is not None}
        for row, an_id in enumerate(ids_of(world))
    }


def write_csv(path, world, hands):
    separator = hands.pick(SEPARATORS)
    floats = world["whole_ids"] and hands.pick([True, False])
    index = hands.pick([True, False])
    ids = [f"{an_id}.0" if floats else an_id for an_id in ids_of(world)]
    rows = [[hands.text(an_id), *(hands.cell(world[name][row]) for name in FEATURES)] for row, an_id in enumerate(ids)]
    _csv(path / "items.csv", [["item_id", *FEATURES], *rows], separator, index, hands)
    look = np.array([each or [np.nan] * 3 for each in world["look"]], hands.pick([np.float16, np.float32, np.float64]))
    np.save(path / "items.look.npy", look)
    pairs = [[hands.text(f"u{row % 3}"), hands.text(an_id)] for row, an_id in enumerate(ids)]
    _csv(path / "interactions.csv", [["user_id", "item_id"], *pairs], separator, index, hands)


def _csv(path, rows, separator, index, hands):
    named = [["", *rows[0]], *([str(n), *row] for n, row in enumerate(rows[1:]))] if index else rows
    text = StringIO()
    csv.writer(text, delimiter=separator, lineterminator=hands.pick(["\n", "\r\n"])).writerows(named)
    path.write_bytes(text.getvalue().encode(hands.pick(["utf-8", "utf-8-sig"])))


def write_parquet(path, world, hands):
    ids = ids_of(world)
    if world["whole_ids"]:
        ids = pa.array([int(an_id) for an_id in ids]).cast(hands.pick([pa.int64(), pa.float64(), pa.string()]))
    else:
        ids = pa.array(list(map(hands.text, ids)))
    floats = [None if value is None else float(value) for value in world["price"]]
    decimals = [None if value is None else Decimal(str(value)) for value in world["price"]]
    gaps = [float("nan") if value is None else value for value in floats]
    texts = pa.array([hands.missing() if value is None else hands.text(value) for value in world["brand"]])
    lists = hands.pick([pa.array(world["tags"]), pa.array([hands.items(each) for each in world["tags"]])])
    table = {
        "item_id": ids,
        "price": hands.pick([pa.array(floats), pa.array(gaps), pa.array(decimals, pa.decimal128(12, 4))]),
        "brand": hands.pick([texts, texts.dictionary_encode(), texts.cast(pa.large_string())]),
        "zip": world["zip"],
        "member": pa.array(world["member"], pa.bool_()),
        "tags": lists,
        "look": pa.array(world["look"], pa.list_(hands.pick([pa.float32(), pa.float64()]))),
    }
    pq.write_table(pa.table(table), path / "items.parquet")
    users = [hands.text(f"u{row % 3}") for row in range(len(ids))]
    pq.write_table(pa.table({"user_id": users, "item_id": ids}), path / "interactions.parquet")


def write_gorse(path, world, hands):
    rows = enumerate(ids_of(world))
    labels = [(an_id, {name: world[name][row] for name in FEATURES}) for row, an_id in rows]
    given = [(an_id, {name: _label(value, hands) for name, value in each.items()}) for an_id, each in labels]
    pairs = [(f"u{row % 3}", an_id) for row, an_id in enumerate(ids_of(world))]
    if hands.pick([True, False]):
        lines = [json.dumps({"ItemId": hands.text(an_id), "Labels": each}) for an_id, each in given]
        (path / "items.jsonl").write_text("\n".join(lines))
        feedback = [{"FeedbackType": "like", "UserId": user, "ItemId": hands.text(item)} for user, item in pairs]
        (path / "feedback.jsonl").write_text("\n".join(map(json.dumps, feedback)))
    else:
        items = [[hands.text(an_id), "false", "", json.dumps(each)] for an_id, each in given]
        _csv(path / "items.csv", [["item_id", "is_hidden", "categories", "labels"], *items], ",", False, hands)
        likes = [["like", user, hands.text(item)] for user, item in pairs]
        _csv(path / "feedback.csv", [["feedback_type", "user_id", "item_id"], *likes], ",", False, hands)


def _label(value, hands):
    if value is None:
        return hands.pick([None, "NULL", "n/a"])
    return hands.text(value) if isinstance(value, str) else value


def understood(path):
    """Features and pairs as loading gives them, after a look whether an import sends the same."""
    loaded = open_dataset(path)
    rows = gorse.open_gorse(path) if gorse.is_export(path) else open_folder(path)
    sent = {each.name: [record for batch in each.batches() for record in batch.records] for each in rows}
    items = {an_id: with_lists(features) for an_id, features in feature_records(loaded.items)}
    pairs = list(zip(loaded.interactions["user_id"], loaded.interactions["item_id"], strict=True))
    assert {each["item_id"]: each["features"] for each in sent["items"]} == items
    assert [(each["user_id"], each["item_id"]) for each in sent["interactions"]] == pairs
    folder.inspect(path)
    return items, pairs


@given(data=st.data(), world=worlds())
# each example writes files, so that shrinking one would outlast the test's time
@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@pytest.mark.slow
def test_all_doors_understand_the_same(data, world):
    hands = Hands(data.draw)
    pairs = [(f"u{row % 3}", an_id) for row, an_id in enumerate(ids_of(world))]
    with_looks = (*FEATURES, "look")  # Gorse knows no vectors
    for write, names in ((write_csv, with_looks), (write_parquet, with_looks), (write_gorse, FEATURES)):
        with TemporaryDirectory() as name:
            write(Path(name), world, hands)
            items, found = understood(Path(name))

        assert items == expected(world, names), write.__name__
        assert found == pairs, write.__name__
        assert all(math.isfinite(each["price"]) for each in items.values() if "price" in each)
