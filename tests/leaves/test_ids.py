"""IdTable and TextTable: order, growth, collisions, shared memory."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender import ids as ids_module
from recommender.ids import UNKNOWN, IdTable, TextTable, with_prefix, without_prefix

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
many = st.lists(texts, max_size=30)


def check_against_a_dictionary(table: IdTable, expected: dict[str, int], strangers: list[str]) -> None:
    asked = [*expected, *strangers]

    assert list(table) == list(expected)
    assert table.indices_of(asked).tolist() == [expected.get(an_id, UNKNOWN) for an_id in asked]
    distinct = IdTable.from_ids(reversed(asked))
    assert table.indices_of(distinct).tolist() == table.indices_of(list(distinct)).tolist()
    assert [table.index_of(an_id) for an_id in asked] == [expected.get(an_id, UNKNOWN) for an_id in asked]
    assert [an_id in table for an_id in asked] == [an_id in expected for an_id in asked]
    assert (np.diff(table.hashes.astype(object)) >= 0).all()


def numbered(*lists: list[str]) -> dict[str, int]:
    ids = dict.fromkeys(an_id for each in lists for an_id in each)
    return {an_id: index for index, an_id in enumerate(ids)}


@given(many, many, many)
def test_a_table_that_grows_is_a_dictionary_that_grows(first, second, strangers):
    table = IdTable.from_ids(first)
    grown = table.extended(second)

    check_against_a_dictionary(table, numbered(first), strangers)
    check_against_a_dictionary(grown, numbered(first, second), strangers)


@pytest.mark.parametrize("hashed", [lambda _: 0, lambda _: 7, lambda _: 2**64 - 1, lambda encoded: len(encoded) % 2])
def test_ids_whose_hashes_collide_are_told_apart(monkeypatch, hashed):
    monkeypatch.setattr(ids_module, "_hash", hashed)
    first, second = ["a", "bb", "c", "dd"], ["e", "ff", "a", "gg"]
    table = IdTable.from_ids(first).extended(second)

    check_against_a_dictionary(table, numbered(first, second), ["x", "yy", ""])


def test_growing_by_nobody_new_is_the_same_table():
    table = IdTable.from_ids(["a", "b"])

    assert table.extended(["b", "a"]) is table


def test_an_empty_table_knows_nobody_and_grows():
    table = IdTable.from_ids()

    check_against_a_dictionary(table, {}, ["a"])
    assert table.ids_of([]) == []
    check_against_a_dictionary(table.extended(["a"]), {"a": 0}, ["b"])


def test_what_is_no_text_is_in_no_table():
    assert 0 not in IdTable.from_ids(["0"])


def test_texts_of_any_script_come_back():
    scripts = ["", "ж", "日本語", "a" * 300, "🎬", "e\u0301", "é"]
    table = TextTable.from_texts(scripts)

    assert list(table) == scripts
    assert table.take([3, 0, 2, 3]) == [scripts[3], "", scripts[2], scripts[3]]
    assert [table[index] for index in range(len(table))] == scripts


def test_letters_that_only_look_the_same_are_other_ids():
    assert IdTable.from_ids(["é"]).index_of("e\u0301") == UNKNOWN


@pytest.mark.parametrize("index", [-1, 2, 100])
def test_an_index_outside_of_a_table_is_refused(index):
    table = TextTable.from_texts(["a", "b"])

    with pytest.raises(IndexError):
        table[index]
    with pytest.raises(IndexError):
        table.take([0, index])


@given(many, many)
def test_a_table_lies_in_the_memory_it_was_given_read_only_or_not(first, second):
    table = IdTable.from_ids(first)
    arrays = {name: np.array(array) for name, array in table.to_arrays().items()}
    for array in arrays.values():
        array.flags.writeable = False
    restored = IdTable.from_arrays(arrays)

    check_against_a_dictionary(restored, numbered(first), second)
    check_against_a_dictionary(restored.extended(second), numbered(first, second), [])
    for name, array in restored.to_arrays().items():
        assert not array.size or np.shares_memory(array, arrays[name])


def test_a_prefix_is_taken_off_again_and_names_that_only_begin_alike_stay_out():
    one, other = {"a": np.zeros(1), "b.c": np.ones(1)}, {"a": np.full(1, 2.0)}
    arrays = with_prefix("item", one) | with_prefix("items", other)

    assert without_prefix("item", arrays) == one
    assert without_prefix("items", arrays) == other
    assert set(arrays) == {"item.a", "item.b.c", "items.a"}


@given(many, many, st.sampled_from(["str", "object"]))
def test_a_column_is_looked_up_as_its_ids_one_by_one(known, column, dtype):
    table = IdTable.from_ids(known)
    found = table.indices_of(pd.Series(column, dtype=dtype))

    assert found.dtype == np.int32
    assert found.tolist() == [table.index_of(an_id) for an_id in column]


@given(many, st.sampled_from([list, lambda ids: pd.Series(ids, dtype="str"), lambda ids: pd.Series(ids, dtype=object)]))
def test_coding_is_making_a_table_and_looking_everything_up(ids, wrapped):
    table, codes = IdTable.coded(wrapped(ids))

    assert list(table) == list(dict.fromkeys(ids))
    assert codes.dtype == np.int32
    assert table.ids_of(codes) == ids
