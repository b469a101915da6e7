"""Import of pandas DataFrames as API calls, without importing pandas."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

from lightfm_serve.client import endpoints, responses
from lightfm_serve.client.body_batches import fitting
from lightfm_serve.client.endpoints import MOST_AT_ONCE, Call, Given
from lightfm_serve.client.plain_values import cell_id, cell_time, cell_weight, plain_features
from lightfm_serve.records.event_ids import digest_of, event_id_of
from lightfm_serve.records.nearest import did_you_mean
from lightfm_serve.records.values import MISSING, is_missing, plain_value

Frame = Any
"""A pandas DataFrame."""

COLUMNS = ("user_id", "item_id", "weight", "timestamp", "event", "event_id")


class Imported(NamedTuple):
    """Counts of an import."""

    users: int = 0
    items: int = 0
    accepted: int = 0
    duplicates: int = 0
    """Interactions that had been there before."""

    def plus(self, template: str, answer: responses.Accepted | responses.Upserted) -> Imported:
        """With the answer of one more call."""
        if isinstance(answer, responses.Accepted):
            return self._replace(
                accepted=self.accepted + answer.accepted, duplicates=self.duplicates + answer.duplicates
            )
        n = answer.created + answer.updated
        return self._replace(users=self.users + n) if template == "/v1/users" else self._replace(items=self.items + n)


def calls_of(
    interactions: Frame | None, users: Frame | None, items: Frame | None, missing: Collection[str] = MISSING
) -> Iterator[Call[responses.Accepted | responses.Upserted]]:
    """Calls that put frames, each of at most `MOST_AT_ONCE` rows.

    Raises
    ------
    ValueError
        A column is missing or not known, or a cell is not what it has to be; the message names its row and column.
    """
    if items is not None:
        for rows in _pages(_identified(items, "item_id"), missing):
            yield from _calls(endpoints.put_items, [_item(row, f"items, row {number}") for number, row in rows])
    if users is not None:
        for rows in _pages(_identified(users, "user_id"), missing):
            yield from _calls(endpoints.put_users, [_user(row, f"users, row {number}") for number, row in rows])
    if interactions is not None:
        _check_columns(interactions)
        identify = _identifying()
        for rows in _pages(interactions, missing):
            checked = [_interaction(row, f"interactions, row {number}") for number, row in rows]
            yield from _calls(endpoints.add_interactions, [identify(row) for row in checked])


def _calls(
    describe: Callable[[Sequence[Given]], Call[responses.Accepted | responses.Upserted]], rows: Sequence[Given]
) -> Iterator[Call[responses.Accepted | responses.Upserted]]:
    return (call for call, _ in fitting(describe, rows))


def _check_columns(interactions: Frame) -> None:
    names = [str(name) for name in interactions.columns]
    for name in ("user_id", "item_id"):
        if name not in names:
            raise ValueError(
                f"interactions have no column {name!r}, only {', '.join(names)}{did_you_mean(name, names)}"
            )
    unknown = [name for name in names if name not in COLUMNS]
    if unknown:
        raise ValueError(
            f"interactions have the column {unknown[0]!r}, which is none of {', '.join(COLUMNS)}"
            f"{did_you_mean(unknown[0], COLUMNS)}"
        )


def _identified(frame: Frame, id_column: str) -> Frame:
    """With the id as a column."""
    if id_column in frame.columns:
        return frame
    if frame.index.name not in (None, id_column):
        raise ValueError(f"there is no column {id_column!r}, and the index is called {frame.index.name!r}")
    return frame.rename_axis(id_column).reset_index()


def _pages(frame: Frame, missing: Collection[str]) -> Iterator[list[tuple[int, dict[str, Any]]]]:
    """Rows with their numbers, from 0, as mappings without what is missing."""
    names = [str(name) for name in frame.columns]
    for start in range(0, len(frame), MOST_AT_ONCE):
        page = frame.iloc[start : start + MOST_AT_ONCE]
        columns = [page.iloc[:, location].tolist() for location in range(len(names))]
        rows = (
            {name: value for name, value in zip(names, row, strict=True) if not is_missing(value, missing)}
            for row in zip(*columns, strict=True)
        )
        yield list(enumerate(rows, start))


def _interaction(row: dict[str, Any], location: str) -> dict[str, Any]:
    row |= {name: cell_id(row.get(name), f"{location}, column {name!r}") for name in ("user_id", "item_id")}
    for name, read in (("event_id", cell_id), ("weight", cell_weight), ("timestamp", cell_time)):
        if name in row:
            row[name] = read(row[name], f"{location}, column {name!r}")
    return row


def _user(row: dict[str, Any], location: str) -> dict[str, Any]:
    user_id = cell_id(row.pop("user_id", None), f"{location}, column 'user_id'")
    return {"user_id": user_id, "features": plain_features(row, (), location)}


def _item(row: dict[str, Any], location: str) -> dict[str, Any]:
    item_id = cell_id(row.pop("item_id", None), f"{location}, column 'item_id'")
    own: dict[str, Any] = {name: plain_value(row.pop(name)) for name in ("title", "available") if name in row}
    return {"item_id": item_id, **own, "features": plain_features(row, (), location)}


def _identifying() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Gives rows their event ids, in the order in which they come."""
    times: Counter[bytes] = Counter()

    def identify(row: dict[str, Any]) -> dict[str, Any]:
        if "event_id" in row:
            return row
        weight, timestamp, event = row.get("weight", 1.0), row.get("timestamp"), row.get("event")
        digest = digest_of(row["user_id"], row["item_id"], weight, timestamp, event)
        row["event_id"] = event_id_of(digest, times[digest])
        times[digest] += 1
        return row

    return identify
