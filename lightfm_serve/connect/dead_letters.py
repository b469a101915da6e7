"""Dead letters: records that can never be taken, kept with the reason, durable before their offset is committed."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from lightfm_serve.connect.errors import StreamError
from lightfm_serve.connect.source import StreamRecord


class DeadLetter(NamedTuple):
    """A record, and why it cannot be taken."""

    record: StreamRecord
    reason: str


class DeadLetters(Protocol):
    """Protocol of a place for dead letters."""

    def write(self, letters: Sequence[DeadLetter]) -> None:
        """Keep them; they are durable when it returns.

        Raises
        ------
        StreamError
            They cannot be kept.
        """
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class DeadLetterFile:
    """Dead letters in a file, one JSON object a line: ``reason``, ``source``, ``at``, ``key`` and ``record``.

    A ``record`` that is no UTF-8 stands in ``record_base64``. Its folder is made where it is missing.

    Parameters
    ----------
    path
        Where.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab")
            _end_line(path, self._file.fileno())
        except OSError as error:
            raise StreamError(f"dead letters cannot be kept in {path}: {error}; name another file") from None

    def write(self, letters: Sequence[DeadLetter]) -> None:
        """See `DeadLetters`."""
        try:
            self._file.write(b"".join(msgspec.json.encode(_line(letter)) + b"\n" for letter in letters))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise StreamError(f"dead letters cannot be kept in {self._path}: {error}") from None

    def close(self) -> None:
        """See `DeadLetters`."""
        self._file.close()


def headers_of(letter: DeadLetter) -> dict[str, str]:
    """What is said beside a record that goes on as it is, to a topic or a stream."""
    return {"dead.reason": letter.reason, "dead.source": letter.record.position, "dead.at": _now()}


def _line(letter: DeadLetter) -> dict[str, Any]:
    record = letter.record
    line = {"reason": letter.reason, "source": record.position, "at": _now()}
    if record.key is not None:
        line["key"] = record.key.decode(errors="replace")
    return {**line, **_content(record.value)}


def _content(value: bytes | Mapping[str, str] | None) -> dict[str, Any]:
    if value is None:
        return {"record": None}
    try:
        if isinstance(value, bytes):
            return {"record": value.decode()}
        encoded = {name: text.encode("utf-8", "strict") for name, text in value.items()}
        return {"record": {name: text.decode() for name, text in encoded.items()}}
    except UnicodeError:
        raw = value if isinstance(value, bytes) else repr(dict(value)).encode("utf-8", "backslashreplace")
        return {"record_base64": b64encode(raw).decode()}


def _end_line(path: Path, descriptor: int) -> None:
    """End a line that a death left half written, so that the next one stands alone."""
    content = path.read_bytes()[-1:] if path.stat().st_size else b"\n"
    if content != b"\n":
        os.write(descriptor, b"\n")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
