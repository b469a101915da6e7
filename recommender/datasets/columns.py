"""Column types: infers the type of each feature column from all of its cells, and reads a cell by it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from functools import cache
from heapq import nsmallest
from typing import Any

from lightfm_serve.records import values
from lightfm_serve.records.vectors import clean_vector, is_vector
from recommender.datasets.tables import Table
from recommender.datasets.vector_cells import VectorCells
from recommender.dense_vectors.packing import is_packed
from recommender.errors import InvalidDataError

MAX_DISTINCT = 10_000
"""Values that are told apart to give hints; of ids all are."""
FEW = 50
"""So many whole numbers that repeat may be codes."""

_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:.*)?")
_CODE_NAME = re.compile(r"(?:^|[_ ])(?:id|code|zip|zipcode|postcode|postal_code|sku|no|nr)$", re.IGNORECASE)


class Column:
    """Statistics of a column; grow a block at a time."""

    def __init__(self, name: str, kind: str = "text") -> None:
        self.name = name
        self._kind = kind
        self.n = self.n_missing = 0
        self.distinct: set[Any] = set()
        self._words: set[str] = set()
        """Those that stand for a missing value here, and may be words."""

    @property
    def kind(self) -> str:
        """What its values are."""
        return self._kind

    def look(self, table: Table) -> None:
        """Take the cells of a table into account."""
        cells = table.columns.get(self.name)
        if cells is None:
            return
        self.n += len(cells)
        for value, n in _counted(cells).items():
            if self._knows(value, n):
                continue
            if value is None or (not table.exact and values.is_missing(value, table.missing)):
                self.n_missing += n
                if isinstance(value, str) and value.strip().isalpha():
                    self._words.add(value.strip())
            else:
                self._see(value, n, table)

    def _knows(self, value: Any, n: int) -> bool:  # noqa: ARG002 (others count)
        """Whether seeing a value again tells nothing new."""
        return value in self.distinct

    def _see(self, value: Any, n: int, table: Table) -> None:  # noqa: ARG002 (others ask how often, and where)
        if len(self.distinct) < MAX_DISTINCT:
            self.distinct.add(value)

    def warnings(self) -> list[str]:
        """What is likely to be wrong."""
        return []

    def hints(self) -> list[str]:
        """What may be meant otherwise."""
        return []

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        n = len(self.distinct)
        examples = nsmallest(3, (_shown(each) for each in self.distinct))
        return {
            "column": self.name,
            "kind": self.kind,
            "missing": self.n_missing,
            "distinct": n if n < MAX_DISTINCT or isinstance(self, IdColumn) else f"{MAX_DISTINCT} or more",
            "examples": examples,
        }


def _shown(value: Any) -> str:
    text = "|".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text if len(text) <= 40 else text[:39] + "…"


class IdColumn(Column):
    """Ids; where all are whole numbers and some are written as floats, those are whole numbers too."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "id")
        self._n_floats = self._n_others = self.n_trimmed = 0
        self._odd: set[str] = set()
        """Those with something around them."""
        self._ids: dict[Any, str] = {}
        self._markers = values.MISSING

    @property
    def are_floats(self) -> bool:
        """Whether they are to be read as whole numbers."""
        return self._n_floats > 0 and not self._n_others

    def convert(self, value: Any) -> str:
        """Id of a cell, when all have been looked at; a `ValueError` says why it has none."""
        found = None if isinstance(value, list | dict) else self._ids.get(value)
        if found is None:
            found = values.clean_id(value, self._markers)
            if self.are_floats and values.whole_float(found):
                found = values.clean_id(float(found), self._markers)
            self._ids[value] = found  # a list or an object is no id, and was refused
        return found

    def ids(self) -> set[str]:
        """All of them."""
        return {self.convert(value) for value in self.distinct}

    def warnings(self) -> list[str]:
        """See `Column`."""
        found = []
        if self.n_trimmed:
            found.append(f"{self.name}: {self.n_trimmed} cells had blanks or invisible signs, which were taken away")
        return found

    def hints(self) -> list[str]:
        """See `Column`."""
        return [f"{self.name}: ids like 5863.0 are read as 5863"] if self.are_floats else []

    def _knows(self, value: Any, n: int) -> bool:
        self.n_trimmed += n if value in self._odd else 0
        return value in self.distinct

    def _see(self, value: Any, n: int, table: Table) -> None:
        self._markers = table.missing
        self.distinct.add(value)
        if not isinstance(value, str):
            return
        text = values.clean_text(value)
        if text != value:
            self.n_trimmed += n
            self._odd.add(value)
        if values.whole_float(text):
            self._n_floats += n
        elif not values.whole(text):
            self._n_others += n


class FeatureColumn(Column):
    """A feature, whose type is said, or is what all of its cells can be.

    Of text cells, as in CSV: with a list in any cell it is a list throughout, else with only true and false boolean;
    digits with a leading zero make it text; with more numbers than anything else it is a number, and anything else in
    it is a fault; else it is text. Cells with types, as in Parquet, keep them.
    """

    def __init__(self, name: str, declared: str | None = None) -> None:
        super().__init__(name)
        self._declared = declared
        self._counts: Counter[str] = Counter()
        self._first: dict[str, tuple[str, str]] = {}
        """Place and value of the first cell of each look."""
        self._separators: set[str] = set()
        self._typed = self._exact = False
        self._n_dates = 0
        self._markers = values.MISSING
        self._vectors = VectorCells(name)

    def look(self, table: Table) -> None:
        """See `Column`."""
        cells = table.columns.get(self.name, ())
        # text is the rule, and a column of text has no vectors
        super().look(self._vectors.take(table) if self._vectors.n or any(map(is_packed, cells)) else table)

    @property
    def kind(self) -> str:
        """See `Column`."""
        if self._declared:
            return self._declared
        if self._vectors.n:
            return self._vectors.kind
        if self._typed:
            return next((kind for kind in ("list", "number", "boolean") if self._counts[kind]), "text")
        return self._kind_of_texts()

    def converter(self) -> Callable[[Any], Any]:
        """Reads a cell; one that is missing is None.

        Raises
        ------
        InvalidDataError
            The column is a number column with something else in it.
        """
        self._vectors.check()
        if self._vectors.n:
            return _as_vector
        if self._exact and not self._declared:
            return _as_given
        self._check_numbers()
        convert = self._list if self.kind == "list" else _CONVERT[self.kind]
        markers = self._markers

        def read(value: Any) -> Any:
            return None if values.is_missing(value, markers) else convert(value)

        # what occurs again is not read again: columns have few values, and a million lists would be slow to make
        once = cache(read)
        return lambda value: once(value) if isinstance(value, str) else read(value)

    def to_json(self) -> dict[str, Any]:
        """See `Column`."""
        return super().to_json() | (self._vectors.to_json() if self._vectors.n else {})

    def warnings(self) -> list[str]:
        """See `Column`."""
        if self._declared or self._vectors.n:
            return []
        if self.kind == "number" and _CODE_NAME.search(self.name) and self._are_whole():
            return [f"{self.name}: read as numbers, which are lumped by size; if they are codes, say {self.name}:text"]
        numbers = self._counts["number text"]
        if self.kind == "text" and numbers > self._n_present / 2:
            return [f"{self.name}: is text, and looks like numbers; if it is one, say {self.name}:number"]
        return []

    def hints(self) -> list[str]:
        """See `Column`."""
        if self._declared or not self._n_present:
            return []
        if self.kind == "text":
            return [f"{self.name}: {hint}" for hint in self._hints_on_text()][:1]
        n = len(self.distinct)
        repeat = self.kind == "number" and n <= FEW and self._n_present >= 2 * n
        if not repeat or self.warnings() or not self._are_whole():
            return []
        return [f"{self.name}: {n} whole numbers repeat; if they are codes, say {self.name}:text"]

    def _hints_on_text(self) -> Iterator[str]:
        if self._words:
            word = min(self._words)
            yield f"{word!r} is read as missing; if it is a word here, say in schema.json what is missing"
        if self._n_dates == self._n_present:
            yield f"each day is a category of its own; for older and newer, say {self.name}:time"
        if self._counts["joined"] > self._n_present / 2:
            yield f"most cells have commas or semicolons; if they are lists, say {self.name}:list"
        if len(self.distinct) == self._n_present >= 20:
            yield f"no value occurs twice, so none tells of another row; leave it out: {self.name}:ignore"

    @property
    def _n_present(self) -> int:
        return self.n - self.n_missing

    def _knows(self, value: Any, n: int) -> bool:  # noqa: ARG002 (each counts)
        return False

    def _see(self, value: Any, n: int, table: Table) -> None:
        super()._see(value, n, table)
        self._markers, self._typed, self._exact = table.missing, table.typed, table.exact
        look = _look(value) if isinstance(value, str) else _look_of_typed(value)
        if self._typed and isinstance(value, str):
            self._counts["number text"] += n if look == "number" else 0
            look = "list" if look == "list" else "word"
        self._counts[look] += n
        if isinstance(value, str):
            self._note_text(value, n)
        if look not in self._first and look in ("word", "like", "boolean"):
            row = _row_of(value, table.columns[self.name])
            self._first[look] = (table.location(row), str(value))

    def _note_text(self, text: str, n: int) -> None:
        found = {each for each in "|;," if each in text}
        self._separators |= found
        self._counts["joined"] += n if found else 0
        self._n_dates += n if _ISO_DATE.fullmatch(text.strip()) else 0

    def _kind_of_texts(self) -> str:
        counts = self._counts
        if counts["list"]:
            return "list"
        if counts["boolean"] and counts["boolean"] == self._n_present:
            return "boolean"
        numbers = counts["number"] + counts["like"]
        return "number" if not counts["code"] and 2 * numbers > self._n_present else "text"

    def _check_numbers(self) -> None:
        if self._declared or self._typed or self.kind != "number":
            return
        for look in ("like", "word", "boolean", "code"):
            if look in self._first:
                location, value = self._first[look]
                raise InvalidDataError(f"{location}, column {self.name!r}: {value[:80]!r} {self._fault(value)}")

    def _fault(self, value: str) -> str:
        like = values.number_like(value)
        if like:
            return f"looks like {like}; write numbers like 1234.5, or say that the column is text: {self.name}:text"
        return (
            f"is no number, as {self._counts['number']} of {self._n_present} cells of this column are; mend it, say "
            f"what stands for missing in schema.json, or that the column is text: {self.name}:text"
        )

    def _are_whole(self) -> bool:
        return all(number is not None and number.is_integer() for number in map(values.parse_number, self.distinct))

    def _list(self, value: Any) -> list[str]:
        if isinstance(value, str):
            separator = next((each for each in "|;," if each in self._separators), "|") if self._declared else "|"
            return values.parse_list(value, separator)
        if isinstance(value, list) and is_vector(value):
            clean_vector(value)  # it was not packed, so that something is wrong with it
        return values.clean_members(value) if isinstance(value, list | tuple) else [_as_text(value)]


def _look(text: str) -> str:
    """What a text could be: a list, a boolean, a number, a code of digits, what people read as a number, or a word."""
    if "|" in text or values.is_list_like(text):
        return "list"
    text = text.strip()
    if text.lower() in ("true", "false"):
        return "boolean"
    if values.has_leading_zero(text):
        return "code"
    if values.parse_number(text) is not None:
        return "number"
    return "like" if values.number_like(text) else "word"


def _look_of_typed(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float | Decimal):
        return "number"
    return "list" if isinstance(value, list | tuple) else "word"


def _counted(cells: Sequence[Any]) -> Counter[Any]:
    try:
        return Counter(cells)
    except TypeError:  # a list is not hashable
        return Counter(map(_hashable, cells))


def _hashable(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_hashable, value))
    return str(value) if isinstance(value, dict) else value


def _row_of(value: Any, cells: Iterable[Any]) -> int:
    return next(row for row, each in enumerate(cells) if each == value)


# How a cell is read, whatever door it comes through; a fault has {} where the value is to stand.


def _as_vector(value: Any) -> Any:
    return value if is_packed(value) else None


def _as_given(value: Any) -> Any:
    return value if value == "" else values.clean_feature(value, ())


def _as_text(value: Any) -> str:
    value = values.plain_value(value)
    if isinstance(value, str):
        return values.clean_text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int | float):
        return str(value)
    raise ValueError("{} is neither text, boolean, number nor a list of text or of numbers")


def _as_number(value: Any) -> int | float:
    found = values.parse_number(value)
    if found is None:
        like = values.number_like(value) if isinstance(value, str) else None
        raise ValueError(f"{{}} looks like {like}" if like else "{} is not a finite number")
    value = values.plain_value(value)
    return values.number(value) if isinstance(value, str) else value


def _as_boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    found = {"true": True, "false": False, "1": True, "0": False}.get(_as_text(value).lower())
    if found is None:
        raise ValueError("{} is neither true nor false")
    return found


_CONVERT: dict[str, Callable[[Any], Any]] = {
    "text": _as_text,
    "number": _as_number,
    "boolean": _as_boolean,
    "time": values.parse_time,
}
