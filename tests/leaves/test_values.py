"""Values as people write them: each rule, on what is found in real files."""

import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightfm_serve.records import values
from lightfm_serve.records.vectors import clean_json_list

NOW = 1_764_166_000.0
"""On 2025-11-26."""


@pytest.mark.parametrize(
    "text", ["", " ", "NULL", "null", "None", "NaN", "nan", "N/A", "n/a", "NA", "#N/A", "\\N", "?"]
)
def test_what_stands_for_missing_in_the_wild_is_missing(text):
    assert values.is_missing(text)
    assert values.is_missing(f"  {text}\u00a0")


@pytest.mark.parametrize("value", [None, float("nan"), np.float32("nan").item(), pd.NA, pd.NaT, Decimal("NaN")])
def test_every_librarys_missing_value_is_missing(value):
    assert values.is_missing(value)


@pytest.mark.parametrize("value", ["Nantes", "0", 0, False, "nullable", [], "none of these"])
def test_a_value_is_not_missing(value):
    assert not values.is_missing(value)


def test_what_stands_for_missing_can_be_chosen():
    assert values.is_missing("unbekannt", {"unbekannt"})
    assert not values.is_missing("NA", {""})
    assert values.clean_id("NULL", {""}) == "NULL"


@pytest.mark.parametrize(
    ("value", "an_id"),
    [
        (" 104000100187", "104000100187"),
        ("a\u00a0", "a"),
        ("\ufeffa\u200b", "a"),
        ("e\u0301", "\u00e9"),
        ("007", "007"),
        (7, "7"),
        (5863.0, "5863"),
        (np.int64(7), "7"),
        (np.float32(7), "7"),
        (Decimal("7.00"), "7"),
        (UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        ("a b", "a b"),
    ],
)
def test_ids_are_taken_as_text_without_blanks_and_invisible_signs(value, an_id):
    assert values.clean_id(value) == an_id


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (None, "missing"),
        ("NULL", "missing"),
        (float("nan"), "missing"),
        (1.5, "text or a whole number"),
        (True, "text or a whole number"),
        (["a"], "text or a whole number"),
        (2.0**60, "lost digits"),
        ("a\tb", "control character"),
        ("x" * 257, "256 bytes"),
    ],
)
def test_what_cannot_be_an_id_says_why(value, fault):
    with pytest.raises(ValueError, match=fault):
        values.clean_id(value)


@given(st.text(max_size=20))
def test_cleaning_twice_is_cleaning_once(text):
    assert values.clean_text(values.clean_text(text)) == values.clean_text(text)


@pytest.mark.parametrize(
    ("text", "number"), [("24", 24), ("-1.5", -1.5), ("1e3", 1000), (".5", 0.5), ("5.", 5), (" 7 ", 7), ("0", 0)]
)
def test_plain_numbers_are_numbers(text, number):
    assert values.parse_number(text) == number


@pytest.mark.parametrize("text", ["02100", "1_000", "3,50", "$5", "old", "nan", "inf", "", "0x10", "+49", "1 000"])
def test_codes_and_what_only_people_read_are_no_numbers(text):
    assert values.parse_number(text) is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("3,50", "decimal comma"),
        ("1,234", "commas between the thousands"),
        ("1.234,50", "points between the thousands"),
        ("1 234,5", "gaps"),
        ("1_000", "underscores"),
        ("$5", "currency"),
        ("5 \u20ac", "currency"),
        ("12 USD", "currency"),
        ("-\u00a31,200.50", "currency"),
        ("50%", "percentage"),
    ],
)
def test_what_people_read_as_a_number_is_named(text, name):
    assert name in values.number_like(text)


@pytest.mark.parametrize("text", ["old", "", "a,b", "USD", "24", "10-20", "$", "%"])
def test_other_texts_look_like_no_number(text):
    assert values.number_like(text) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1.5, 1.5),
        ("1700000000", 1_700_000_000),
        ("2023-11-14T22:13:20Z", 1_700_000_000),
        ("2023-11-14 22:13:20", 1_700_000_000),
        ("2023-11-14 22:13:20.000000001 +0000 UTC", 1_700_000_000),
        ("2020-01-01", 1_577_836_800),
        (date(2020, 1, 1), 1_577_836_800),
        (datetime(2020, 1, 1, tzinfo=UTC), 1_577_836_800),
        (pd.Timestamp("2020-01-01"), 1_577_836_800),
        (Decimal(5), 5),
    ],
)
def test_times_are_seconds_dates_or_iso_8601(value, seconds):
    assert values.parse_timestamp(value, NOW) == seconds


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (1_700_000_000_000, "milliseconds"),
        (1_700_000_000_000_000, "microseconds"),
        (1_700_000_000_000_000_000, "nanoseconds"),
        (NOW + 100_000, "more than a day in the future"),
        ("2031-01-01", "more than a day in the future"),
        (-1, "before 1970"),
        ("01/02/2020", "two ways"),
        ("1.2.2020", "two ways"),
        ("yesterday", "neither seconds"),
        ("2023-02-30", "neither seconds"),
        ("", "missing"),
        (None, "missing"),
        (pd.NaT, "missing"),
        (True, "neither seconds"),
    ],
)
def test_a_time_that_cannot_be_says_what_it_looks_like(value, fault):
    with pytest.raises(ValueError, match=fault):
        values.parse_timestamp(value, NOW)


@pytest.mark.parametrize(
    ("low", "high", "look"),
    [
        (43_831, 44_000.5, "Excel"),
        (20_200_101, 20_201_231, "20261125"),
        (1990, 2020, "years"),
        (0, 25_000, "1970"),
        (0, 1_700_000_000, None),
        (1_600_000_000, 1_700_000_000, None),
    ],
)
def test_columns_of_odd_times_say_what_they_look_like(low, high, look):
    found = values.timestamps_look(low, high)

    assert found is None if look is None else look in found


@pytest.mark.parametrize(
    "text",
    ["a|b", "['a', 'b']", '["a", "b"]', "['a' 'b']", "['a'\n 'b']", " [ 'a' , 'b' ] ", "a | b", "['a ', '\u200bb']"],
)
def test_lists_are_read_as_people_and_programs_write_them(text):
    assert values.parse_list(text) == ["a", "b"]


def test_members_of_a_list_may_hold_what_separates_them_elsewhere():
    assert values.parse_list("[\"it's\", 'x|y', 'p, q']") == ["it's", "x|y", "p, q"]
    assert values.parse_list("[1, 2]") == values.parse_list("[1 2]") == ["1", "2"]
    assert values.parse_list("[]") == []
    assert values.parse_list('["\\u00e9t\\u00e9"]') == ["\u00e9t\u00e9"]
    assert values.parse_list("['it\\'s']") == ["it's"]


@pytest.mark.parametrize("text", ["a||b", "['a', '']", "[0.1, 0.2]", "[{'id': 1}]", "['a', None]", "['a', 'b"])
def test_lists_of_something_else_are_refused(text):
    if values.is_list_like(text) or "|" in text:
        with pytest.raises(ValueError, match="list"):
            values.parse_list(text)


@pytest.mark.parametrize("text", ["[deleted]", "[2020] a", "a", "['a', 'b"])
def test_a_text_with_brackets_is_no_list(text):
    assert not values.is_list_like(text)


@pytest.mark.parametrize(
    ("value", "feature"),
    [
        (np.int64(24), 24),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (Decimal("1.50"), 1.5),
        (" M ", "M"),
        (None, None),
        (float("nan"), None),
        (np.float32("nan"), None),
        ("NULL", None),
        (("a", "b"), ["a", "b"]),
        ({"b", "a"}, ["a", "b"]),
        (np.array(["a", "b"]), ["a", "b"]),
        ([1, 2], ["1", "2"]),
        ([1, 2.5], [1.0, 2.5]),
        ([np.float32(0.5), Decimal("1.5")], [0.5, 1.5]),
        (np.array([0.5, 2], np.float32), [0.5, 2.0]),
        ([], []),
        (date(2020, 1, 1), "2020-01-01"),
    ],
)
def test_a_feature_is_plain_whatever_library_it_comes_from(value, feature):
    found = values.clean_feature(value)

    assert (found, type(found)) == (feature, type(feature))


@pytest.mark.parametrize(
    "value", [float("inf"), {"a": 1}, object(), [0.5, float("nan")], [0.5, True], [0.5, "a"], b"x"]
)
def test_what_is_no_feature_says_so(value):
    with pytest.raises(ValueError, match=r"finite|neither text"):
        values.clean_feature(value)


@pytest.mark.parametrize("numbers", [[0.5], [0.5] * 4097])
def test_a_dense_vector_has_2_to_4096_numbers(numbers):
    with pytest.raises(ValueError, match=f"a list of {len(numbers)} numbers; a dense vector has 2 to 4096"):
        values.clean_feature(numbers)


def test_whole_numbers_alone_are_a_vector_in_json_where_types_do_not_tell_them_from_others():
    assert values.clean_feature([28, 12]) == ["28", "12"]
    assert clean_json_list([28, 12]) == [28.0, 12.0]
    assert clean_json_list(["28", "12"]) == ["28", "12"]
    assert clean_json_list([]) == []
    with pytest.raises(ValueError, match="mixes text and numbers"):
        clean_json_list(["a", 1])


def test_the_rules_need_nothing_but_python():
    code = "import sys, lightfm_serve.records.values; print({'numpy', 'pandas', 'scipy', 'msgspec'} & set(sys.modules))"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
