"""Key values: what a Redis key of any type holds, as plain values, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from recommender.errors import StoreError


class KeyValue(NamedTuple):
    """A key and what it holds.

    Parameters
    ----------
    name
        Without the prefix of the store.
    kind
        As ``TYPE`` names it: ``string``, ``hash``, ``list``, ``set``, ``zset`` or ``stream``.
    expires_at_ms
        Milliseconds since the epoch; None for a key that stays.
    value
        Bytes, or a list of bytes, or of pairs: field and value of a hash, member and score of a sorted set, id and
        fields in turn of a stream. Sets and hashes are sorted.
    """

    name: str
    kind: str
    expires_at_ms: int | None
    value: Any


def ask_value(pipeline: Any, key: str, kind: str) -> None:
    """Queue the command that reads a key of some type."""
    commands = {
        "string": lambda: pipeline.get(key),
        "hash": lambda: pipeline.hgetall(key),
        "list": lambda: pipeline.lrange(key, 0, -1),
        "set": lambda: pipeline.smembers(key),
        "zset": lambda: pipeline.zrange(key, 0, -1, withscores=True),
        "stream": lambda: pipeline.xrange(key),
    }
    if kind not in commands:
        raise StoreError(f"the key {key} is of type {kind}, which is not known here")
    commands[kind]()


def plain_value(kind: str, found: Any) -> Any:
    """Answer of such a command as a plain value."""
    if kind == "hash":
        return sorted([field, value] for field, value in found.items())
    if kind == "set":
        return sorted(found)
    if kind == "zset":
        return [[member, score] for member, score in found]
    if kind == "stream":
        return [[entry_id, [word for pair in fields.items() for word in pair]] for entry_id, fields in found]
    return found


def write_value(pipeline: Any, prefix: str, each: KeyValue) -> None:
    """Queue the commands that make a key what it was."""
    key = prefix + each.name
    if each.kind == "string":
        pipeline.set(key, each.value)
    elif each.kind == "hash":
        pipeline.hset(key, mapping=dict(each.value))
    elif each.kind == "list":
        pipeline.rpush(key, *each.value)
    elif each.kind == "set":
        pipeline.sadd(key, *each.value)
    elif each.kind == "zset":
        pipeline.zadd(key, dict(each.value))
    else:
        _write_stream(pipeline, key, each.value)
    if each.expires_at_ms is not None:
        pipeline.pexpireat(key, each.expires_at_ms)


def _write_stream(pipeline: Any, key: str, entries: Sequence[Any]) -> None:
    for entry_id, words in entries:
        pipeline.xadd(key, dict(zip(words[::2], words[1::2], strict=True)), id=entry_id)
