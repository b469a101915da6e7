"""Values as people write them: ids, numbers, times, lists and what stands for missing, by one rule at every door.

A fault is a `ValueError` whose message has ``{}`` where the value is to stand, so that each door can name the place.
It is never a `TypeError`: it is the data that is wrong, whatever its type.
This module needs nothing but Python, so that the client can have it too.
"""

from __future__ import annotations

import ast
import json
import re
import time
import unicodedata
from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from lightfm_serve.records.vectors import clean_vector, is_vector

MISSING = frozenset(
    {
        *("", "na", "n/a", "#n/a", "#na", "#n/a n/a", "<na>", "n.a.", "nan", "-nan", "null", "(null)", "<null>"),
        *("none", "nil", "nat", "undefined", "\\n", "?", "-", "--"),
    }
)
"""What stands for a missing value, in small letters: pandas, R, SQL dumps (``\\N``), spreadsheets, JavaScript, UCI."""

MAX_ID_BYTES = 256
MOST_AHEAD_S = 86_400.0
"""How far ahead of the clock a time may lie."""
MAX_EXACT = 2**53
"""Whole numbers up to this are held exactly by a float."""

_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200e\u200f\u2060\ufeff"))
"""Signs that nobody sees and that mean nothing within a word; joiners (U+200C, U+200D) do, in Persian and emoji."""
_JOINERS = "\u200c\u200d"

_PLAIN = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WHOLE_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]*)\.0+")
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)")
_NUMBER_LIKE: Sequence[tuple[re.Pattern[str], str]] = (
    (re.compile(r"-?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?"), "a number with commas between the thousands"),
    (re.compile(r"-?[0-9]+,[0-9]+"), "a number with a decimal comma"),
    (re.compile(r"-?[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]+"), "a number with points between the thousands, a decimal comma"),
    (re.compile(r"-?[0-9]{1,3}(?:\.[0-9]{3}){2,}"), "a number with points between the thousands"),
    (re.compile(r"-?[0-9]{1,3}(?:[ '\u2019\u00a0\u202f][0-9]{3})+(?:[.,][0-9]+)?"), "a number with gaps in it"),
    (re.compile(r"-?[0-9]{1,3}(?:_[0-9]{3})+(?:\.[0-9]+)?"), "a number with underscores between the thousands"),
    (re.compile(r"[-+]?[0-9][0-9.,' ]*\s*%"), "a percentage"),
)
_AMOUNT = re.compile(r"-?[0-9][0-9.,' \u00a0\u202f_]*")
_CURRENCY_CODE = re.compile(r"^(?:USD|EUR|GBP|JPY|CHF|CNY|INR|SEK|NOK|DKK|PLN|CAD|AUD)\s*|\s*(?:USD|EUR|GBP|JPY|CHF)$")

_RFC_3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt ]|$)")
"""What begins so is read as a time; a number in quotes and a week are not. A bare date is its first moment in UTC."""
_GO_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(\.\d+)?\s*([+-]\d\d:?\d\d|Z)?(?: [A-Z]{3,5})?")
_LEAP_SECOND = re.compile(r"(?<=[T ])([0-9]{2}:[0-9]{2}):60")
_SLASHED = re.compile(r"\d{1,4}[/.]\d{1,2}[/.]\d{1,4}(?:[ T,].*)?")

_LIST_LIKE = re.compile(r"""\[\s*(?:['"{\[]|-?[0-9]|\])""")
_QUOTED = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""")


# What is missing.


def is_missing(value: Any, markers: Collection[str] = MISSING) -> bool:
    """Whether a value stands for a missing one: None, NaN of any library, or a text of the markers (small letters)."""
    if isinstance(value, str):
        # most texts are longer than any marker: those need no second look
        return len(value) < 24 and clean_text(value).lower() in markers
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | Decimal) and value != value  # noqa: PLR0124 (only NaN differs from itself)


# Features.


def clean_feature(
    value: Any, markers: Collection[str] = MISSING
) -> str | bool | int | float | list[str] | list[float] | None:
    """Value of a feature that is given as it is, in JSON or Python: plain, clean, None for a missing one.

    Scalars of numpy and decimals are numbers, dates the text of their ISO form; a list, tuple, set or array is a list
    of categories, or a dense vector, see `lightfm_serve.records.vectors`.

    Raises
    ------
    ValueError
        It is not finite, or no feature.
    """
    value = plain_value(value)
    if is_missing(value, markers):
        return None
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        if abs(value) == float("inf"):
            raise ValueError("{} is not finite")
        return value
    if isinstance(value, date | UUID):
        return value.isoformat() if isinstance(value, date) else str(value)
    members = list(map(plain_value, _members(value)))
    return clean_vector(members) if is_vector(members) else clean_members(members)


def _members(value: Any) -> Sequence[Any]:
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)  # of any types; which comes first does not matter
    if type(value).__name__ == "ndarray":
        members: list[Any] = value.tolist()
        return members
    raise ValueError("{} is neither text, boolean, number nor a list of text or of numbers")


# Text and ids.


def clean_text(value: str) -> str:
    """Text without blanks and invisible signs around it, in Unicode's form NFC."""
    if value.isascii():
        return value.strip()
    return unicodedata.normalize("NFC", value.translate(_INVISIBLE).strip().strip(_JOINERS).strip())


def clean_id(value: Any, markers: Collection[str] = MISSING) -> str:
    """Id as text: whole numbers, also those that are floats, and UUIDs are taken; blanks around it are not.

    Raises
    ------
    ValueError
        It is missing, or cannot be an id.
    """
    if is_missing(value, markers):
        is_text = isinstance(value, str) and value != ""
        raise ValueError("the id is missing" + (": {} stands for no value" if is_text else ""))
    fault = id_fault(text := _id_text(value))
    if fault:
        raise ValueError(f"id {{}} {fault}")
    return text


def id_fault(value: object) -> str | None:
    """Say why a value cannot be an id, None when it can."""
    if not isinstance(value, str):
        return "is not a string"
    if not 1 <= len(value.encode(errors="surrogatepass")) <= MAX_ID_BYTES:
        return f"does not have 1 to {MAX_ID_BYTES} bytes of UTF-8"
    if not (value.isascii() and value.isprintable()) and any(
        unicodedata.category(letter) in ("Cc", "Cs") for letter in value
    ):
        return "has a control character"
    return None


def whole_float(text: str) -> bool:
    """Whether a text is a whole number that was written as a float: ``5863.0``."""
    return _WHOLE_FLOAT.fullmatch(text) is not None


def whole(text: str) -> bool:
    """Whether a text is a whole number, without a leading zero."""
    return _WHOLE.fullmatch(text) is not None


def _id_text(value: Any) -> str:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, UUID):
        return str(value)
    number = plain_value(value)
    if isinstance(number, int) and not isinstance(number, bool):
        return str(number)
    if not isinstance(number, float) or not number.is_integer():
        raise ValueError("an id is text or a whole number, not {}")
    if abs(number) > MAX_EXACT:
        raise ValueError("id {} is a float beyond 2^53, which has lost digits; write ids as text")
    return str(int(number))


# Numbers.


def plain_value(value: Any) -> Any:
    """Number or boolean of numpy or decimal as Python's own; anything else as it is."""
    if isinstance(value, Decimal):
        return int(value) if value.is_finite() and value == value.to_integral_value() else float(value)
    # numpy's scalars, without numpy: `item` gives the plain value
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        # a moment in nanoseconds would come out as a whole number
        return value.astype("datetime64[us]").item() if type(value).__name__ == "datetime64" else value.item()
    return value


def parse_number(value: Any) -> float | None:
    """Finite number that a value is; None for any other, such as a code with a leading zero or ``1_000``."""
    value = plain_value(value)
    if isinstance(value, str):
        text = value.strip()
        value = float(text) if _PLAIN.fullmatch(text) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if abs(number) < float("inf") else None  # NaN compares with nothing


def number(text: str) -> int | float:
    """Number that a plain text is, a whole one as an int."""
    return int(text) if whole(text.strip()) else float(text)


def has_leading_zero(text: str) -> bool:
    """Whether digits begin with a zero that a number would lose: ``02100`` is a code."""
    return len(text) > 1 and text[0] == "0" and text.isdecimal()


def number_like(text: str) -> str | None:
    """What a text looks like that is a number to people and not to us: a decimal comma, a currency; None for others."""
    text = text.strip()
    for pattern, name in _NUMBER_LIKE:
        if pattern.fullmatch(text):
            return name
    bare = _CURRENCY_CODE.sub("", "".join(sign for sign in text if unicodedata.category(sign) != "Sc")).strip()
    return "an amount with its currency" if bare != text and _AMOUNT.fullmatch(bare) else None


# Times.


def parse_timestamp(value: Any, now: float | None = None) -> float:
    """Seconds since the epoch of a number, a date, a datetime, or a text in ISO 8601 (without an offset it is UTC).

    Parameters
    ----------
    value
        Whatever stands there.
    now
        Seconds since the epoch; the clock's when absent. A time more than a day ahead of it is refused.

    Raises
    ------
    ValueError
        It is no time, one before 1970, or one to come; the message says what it looks like.
    """
    if is_missing(value):
        raise ValueError("{} is no time: it is missing")
    number = parse_number(value)
    seconds = parse_time(value) if number is None else number
    if seconds < 0:
        raise ValueError("{} is before 1970; times are seconds since the epoch")
    if seconds > (time.time() if now is None else now) + MOST_AHEAD_S:
        raise ValueError("{} " + _beyond(seconds, is_number=number is not None))
    return seconds


def _beyond(seconds: float, *, is_number: bool) -> str:
    if is_number:
        for digits, name, factor in ((11, "milliseconds", "1,000"), (14, "microseconds", "10^6"), (17, "nano", "10^9")):
            if 10**digits <= seconds < 10 ** (digits + 3):
                unit = "nanoseconds" if name == "nano" else name
                return f"looks like {unit} since the epoch; give seconds (divide by {factor})"
    return "lies more than a day in the future; times are seconds since the epoch or like 2026-11-25T10:00:00Z"


def parse_time(value: Any) -> float:
    """Seconds since the epoch of a date or a date and time, whenever; of a number, itself.

    Raises
    ------
    ValueError
        It is no time.
    """
    number = parse_number(value)
    if number is not None:
        return number
    moment = value
    if isinstance(value, str):
        text = clean_text(value)
        if _SLASHED.fullmatch(text):
            raise ValueError("{} can be read in two ways (day or month first?); write it like 2026-11-25")
        try:
            moment = datetime.fromisoformat(_without_nanoseconds(_without_leap_second(text.upper())))
        except ValueError:
            moment = None
    elif isinstance(value, date) and not isinstance(value, datetime):
        moment = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(moment, datetime):
        raise ValueError("{} is neither seconds since the epoch nor a time like 2026-11-25T10:00:00Z (RFC 3339)")  # noqa: TRY004
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def is_rfc_3339(text: str) -> bool:
    """Whether a text is meant as a moment in RFC 3339, or as a bare date."""
    return _RFC_3339.match(text) is not None


def check_moment(text: str) -> None:
    """Refuse a text that is no moment in RFC 3339, whenever.

    Raises
    ------
    ValueError
        It is none.
    """
    if not is_rfc_3339(text):
        raise ValueError("{} is no time like 2026-11-25T10:00:00Z (RFC 3339)")
    parse_time(text)


def _without_leap_second(text: str) -> str:
    """Text of a time whose second 60, which RFC 3339 knows and Python does not, is the one before."""
    return _LEAP_SECOND.sub(r"\1:59", text)


def _without_nanoseconds(text: str) -> str:
    """Text of a time as Python reads it: Go and Java write nine digits of a second, and Go ``+0000 UTC`` behind it."""
    found = _GO_TIME.fullmatch(text)
    if not found:
        return text
    day, clock, fraction, offset = found.groups()
    return f"{day}T{clock}{(fraction or '')[:7]}{offset or ''}"


def timestamps_look(low: float, high: float) -> str | None:
    """What numbers of a column of times look like that are all too small to be of today; None where nothing is odd.

    Parameters
    ----------
    low, high
        The least and the greatest.
    """
    if low >= 19_000_101 and high <= 21_001_231 and _is_day(low) and _is_day(high):
        return "look like days written as 20261125; write 2026-11-25"
    if low >= 30_000 and high <= 60_000:
        return "look like the day numbers of a spreadsheet (Excel serials); write dates like 2026-11-25"
    if low >= 1900 and high <= 2100:
        return "look like years; write dates like 2026-11-25"
    if high < 31_536_000:
        return "lie all in 1970; times are seconds since the epoch"
    return None


def _is_day(number: float) -> bool:
    try:
        datetime.strptime(str(int(number)), "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return False
    return True


# Lists.


def is_list_like(text: str) -> bool:
    """Whether a text is a list as JSON, Python or numpy writes one: ``['a', 'b']``."""
    text = text.strip()
    return text.endswith("]") and _LIST_LIKE.match(text) is not None


def parse_list(text: str, separator: str = "|") -> list[str]:
    """Members of a list in a cell: ``a|b``, ``["a", "b"]``, ``['a', 'b']``; each once cleaned as any text.

    Raises
    ------
    ValueError
        A member is empty, or is neither text nor a whole number.
    """
    members = _bracketed(text.strip()) if is_list_like(text) else text.split(separator)
    return clean_members(members)


def clean_members(members: Sequence[Any]) -> list[str]:
    """Members of a list as texts; whole numbers are categories.

    Raises
    ------
    ValueError
        A member is empty, or is neither text nor a whole number.
    """
    found = [_member(plain_value(each)) for each in members]
    if "" in found:
        raise ValueError("the list {} has an empty member")
    return found


def _member(value: Any) -> str:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        raise ValueError("{} is a list of objects; keep one field of each, such as its name")  # noqa: TRY004
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("{} is a list of something that is neither text nor a whole number")  # noqa: TRY004
    return str(value)


def _bracketed(text: str) -> Sequence[Any]:
    inner = text[1:-1].strip()
    bare = _QUOTED.sub("", inner)
    if "," not in bare and "{" not in bare:  # numpy writes ['a' 'b'], which Python would join, and [1 2]
        quoted = [found[0] for found in _QUOTED.finditer(inner)]
        inner = ",".join(quoted if quoted and not bare.strip() else inner.split() if not quoted else [inner])
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(f"[{inner}]")
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return list(found)
    raise ValueError("{} looks like a list and cannot be read as one; write a|b")
