"""Frames of pandas as calls. pandas itself is not needed here: whoever has a frame has it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from lightfm_serve import answers, calls
from lightfm_serve.batches import fitting
from lightfm_serve.calls import MOST_AT_ONCE, Call, Given
from lightfm_serve.event_ids import digest_of, event_id_of

Frame = Any
"""A pandas DataFrame."""

COLUMNS = ("user_id", "item_id", "weight", "timestamp", "event", "event_id")


class Imported(NamedTuple):
    """What an import did."""

    users: int = 0
    items: int = 0
    accepted: int = 0
    duplicates: int = 0
    """Interactions that had been there before."""

    def plus(self, template: str, answer: answers.Accepted | answers.Upserted) -> Imported:
        """With the answer of one more call."""
        if isinstance(answer, answers.Accepted):
            return self._replace(
                accepted=self.accepted + answer.accepted, duplicates=self.duplicates + answer.duplicates
            )
        n = answer.created + answer.updated
        return self._replace(users=self.users + n) if template == "/v1/users" else self._replace(items=self.items + n)


def calls_of(
    interactions: Frame | None, users: Frame | None, items: Frame | None
) -> Iterator[Call[answers.Accepted | answers.Upserted]]:
    """Calls that put frames, each of at most `MOST_AT_ONCE` rows.

    Raises
    ------
    ValueError
        A column is missing or not known.
    """
    if items is not None:
        items = _identified(items, "item_id")
        for rows in _pages(items):
            yield from _calls(calls.put_items, [_item(row) for row in rows])
    if users is not None:
        users = _identified(users, "user_id")
        for rows in _pages(users):
            named = [{"user_id": str(row.pop("user_id")), "features": row} for row in rows]
            yield from _calls(calls.put_users, named)
    if interactions is not None:
        _check_columns(interactions)
        identify = _identifying()
        for rows in _pages(interactions):
            yield from _calls(calls.add_interactions, [identify(row) for row in rows])


def _calls(
    describe: Callable[[Sequence[Given]], Call[answers.Accepted | answers.Upserted]], rows: Sequence[Given]
) -> Iterator[Call[answers.Accepted | answers.Upserted]]:
    return (call for call, _ in fitting(describe, rows))


def _check_columns(interactions: Frame) -> None:
    names = [str(name) for name in interactions.columns]
    for name in ("user_id", "item_id"):
        if name not in names:
            raise ValueError(f"interactions have no column {name!r}, only {', '.join(names)}")
    unknown = [name for name in names if name not in COLUMNS]
    if unknown:
        raise ValueError(f"interactions have the column {unknown[0]!r}, which is none of {', '.join(COLUMNS)}")


def _identified(frame: Frame, id_column: str) -> Frame:
    """With the id as a column."""
    if id_column in frame.columns:
        return frame
    if frame.index.name not in (None, id_column):
        raise ValueError(f"there is no column {id_column!r}, and the index is called {frame.index.name!r}")
    return frame.rename_axis(id_column).reset_index()


def _pages(frame: Frame) -> Iterator[list[dict[str, Any]]]:
    """Rows as mappings of plain values, without what is missing."""
    names = [str(name) for name in frame.columns]
    for start in range(0, len(frame), MOST_AT_ONCE):
        page = frame.iloc[start : start + MOST_AT_ONCE]
        columns = [_plain(page.iloc[:, place].tolist()) for place in range(len(names))]
        yield [
            {name: value for name, value in zip(names, row, strict=True) if value is not None}
            for row in zip(*columns, strict=True)
        ]


def _plain(values: Sequence[Any]) -> list[Any]:
    return [_plain_value(value) for value in values]


def _plain_value(value: Any) -> Any:
    if isinstance(value, datetime):
        # pandas' NaT is a datetime that differs from itself
        return None if value != value else (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()  # noqa: PLR0124
    if isinstance(value, list | tuple | set) or type(value).__name__ == "ndarray":
        return [str(each) for each in value]
    # NaN and pandas' NA are the values that do not equal themselves
    is_missing = value is None or type(value).__name__ == "NAType" or value != value  # noqa: PLR0124
    return None if is_missing else value


def _item(row: dict[str, Any]) -> dict[str, Any]:
    own: dict[str, Any] = {name: row.pop(name) for name in ("title", "available") if name in row}
    return {"item_id": str(row.pop("item_id")), **own, "features": row}


def _identifying() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Gives rows their event ids, in the order in which they come."""
    times: Counter[bytes] = Counter()

    def identify(row: dict[str, Any]) -> dict[str, Any]:
        row |= {"user_id": str(row["user_id"]), "item_id": str(row["item_id"])}
        if "event_id" in row:
            return row
        weight, timestamp, event = row.get("weight", 1.0), row.get("timestamp"), row.get("event")
        digest = digest_of(row["user_id"], row["item_id"], weight, timestamp, event)
        row["event_id"] = event_id_of(digest, times[digest])
        times[digest] += 1
        return row

    return identify
