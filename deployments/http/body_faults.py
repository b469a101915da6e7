"""Messages of invalid bodies: where a body is wrong and what would be right, from the type it was decoded as."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec

from lightfm_serve.records.nearest import did_you_mean

LONGEST_MESSAGE = 200
LONGEST_NAMED = 64
"""Characters of a name that are sent back."""
LARGEST_LOOKED_AT = 1024 * 1024
"""Bytes of a body in which the key of a bad value is looked for."""

_STEP = re.compile(r"\.(\w+)|\[(\.\.\.|[0-9]+)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_BYTE = re.compile(r"\(byte ([0-9]+)\)")
ANY_KEY = "..."
"""What stands for a key in a path of msgspec's."""


class Fault(NamedTuple):
    """One fault of a body: location and message."""

    loc: str
    msg: str


def invalid(body: bytes, kind: Any, error: msgspec.ValidationError) -> Fault:
    """Fault of JSON that is not of the type `kind`; the value itself is not repeated."""
    message, _, path = str(error).partition(" - at `")
    inside = path.rpartition("`")[0].rpartition("$")[2]
    steps = [field or index for field, index in _STEP.findall(inside)]
    unknown = _UNKNOWN.fullmatch(message)
    if unknown:
        message = _unknown_field(unknown[1], kind, steps)
    elif message.startswith("Invalid enum"):
        message = f"Invalid enum value, there are {', '.join(map(repr, _choices(kind, steps)))}"
    key = _bad_key(body, kind, steps[: steps.index(ANY_KEY)]) if ANY_KEY in steps else None
    if key is not None:
        inside = inside.replace(f"[{ANY_KEY}]", f".{key}", 1)
    return Fault(f"body{inside}", message[:LONGEST_MESSAGE])


def malformed(body: bytes, error: Exception) -> Fault:
    """Fault of what is no JSON, with its line and column where they are known."""
    if isinstance(error, UnicodeDecodeError):
        return Fault("body", "not valid JSON in UTF-8")
    found = _BYTE.search(str(error))
    if found is None:
        is_cut = "truncated" in str(error)
        return Fault("body", "not valid JSON in UTF-8" + (": it ends too early" if is_cut else ""))
    before = body[: int(found[1])]
    line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
    # what stands there is not repeated, only what msgspec had expected
    reason = str(error).partition(": ")[2].partition(" (byte")[0]
    return Fault("body", f"not valid JSON in UTF-8: {reason} in line {line}, column {column}")


def _unknown_field(name: str, kind: Any, steps: Sequence[str]) -> str:
    known = [field for each in _types_at(kind, steps) if _is_struct(each) for field in each.__struct_encode_fields__]
    return f"Object contains unknown field `{name[:LONGEST_NAMED]}`{did_you_mean(name, known)}"


def _choices(kind: Any, steps: Sequence[str]) -> list[Any]:
    return [choice for each in _types_at(kind, steps) if get_origin(each) is Literal for choice in get_args(each)]


def _bad_key(body: bytes, kind: Any, steps: Sequence[str]) -> str | None:
    """First key of the object at a path whose value is not of its type; None where that cannot be told."""
    if len(body) > LARGEST_LOOKED_AT:
        return None
    values = [get_args(each)[1] for each in _types_at(kind, steps) if get_origin(each) is dict]
    try:
        for key, raw in _object_at(body, steps).items():
            if not _fits(raw, values[0]):
                return key if len(key) <= LONGEST_NAMED else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, LookupError):
        pass
    return None


def _object_at(body: bytes, steps: Sequence[str]) -> dict[str, msgspec.Raw]:
    """Object at a path, its values not yet read."""
    raw = msgspec.Raw(body)
    for step in steps:
        if step.isdigit():
            raw = msgspec.json.decode(raw, type=list[msgspec.Raw])[int(step)]
        else:
            raw = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])[step]
    return msgspec.json.decode(raw, type=dict[str, msgspec.Raw])


def _fits(raw: msgspec.Raw, kind: Any) -> bool:
    try:
        msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _types_at(kind: Any, steps: Sequence[str]) -> list[Any]:
    """Types that may stand at a path within a type."""
    kinds = list(_options(kind))
    for step in steps:
        kinds = [option for each in kinds for inner in _inner(each, step) for option in _options(inner)]
    return kinds


def _inner(kind: Any, step: str) -> list[Any]:
    if _is_struct(kind):
        hints = get_type_hints(kind, include_extras=True)
        return [hints[step]] if step in hints else []
    arguments = get_args(kind)
    return [arguments[-1]] if get_origin(kind) in (list, dict) else []


def _options(kind: Any) -> Iterator[Any]:
    """Members of a union, without what only annotates them."""
    if get_origin(kind) is Annotated:
        yield from _options(get_args(kind)[0])
    elif get_origin(kind) in (Union, UnionType):
        for each in get_args(kind):
            yield from _options(each)
    else:
        yield kind


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
