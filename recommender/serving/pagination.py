"""Paging: a cursor that names what earlier pages showed, so that no later page repeats it.

Nothing is kept between pages: a page is the best of what is left, whatever was learned or changed meanwhile.
"""

from __future__ import annotations

import binascii
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence

from recommender.errors import InvalidRequestError

LONGEST_CURSOR = 6_000
"""Characters; what is longer does not get through every proxy as part of a URL."""
_LONGEST_TEXT = 64 * 1024
_COMPRESSED_FROM = 256
_SEPARATOR = "\n"  # a control character, which no id has


def encode_cursor(item_ids: Sequence[str]) -> str | None:
    """Cursor behind these items; None where they are too many for one."""
    text = _SEPARATOR.join(item_ids).encode()
    if len(text) > _LONGEST_TEXT:
        return None
    packed = b"z" + zlib.compress(text) if len(text) > _COMPRESSED_FROM else b"t" + text
    cursor = urlsafe_b64encode(packed).decode()
    return cursor if len(cursor) <= LONGEST_CURSOR else None


def decode_cursor(cursor: str | None) -> tuple[str, ...]:
    """Items that a cursor names; none without one.

    Raises
    ------
    InvalidRequestError
        It was not made by `encode_cursor`.
    """
    if cursor is None:
        return ()
    try:
        packed = urlsafe_b64decode(cursor.encode("ascii")) if len(cursor) <= LONGEST_CURSOR else b""
        text = _unpacked(packed[:1], packed[1:]).decode()
    except (ValueError, binascii.Error, zlib.error):
        raise InvalidRequestError("a cursor is the next_cursor of the page before, as it came") from None
    return tuple(text.split(_SEPARATOR)) if text else ()


def _unpacked(kind: bytes, content: bytes) -> bytes:
    if kind == b"t":
        return content
    if kind != b"z":
        raise ValueError("neither text nor compressed text")
    inflating = zlib.decompressobj()
    text = inflating.decompress(content, _LONGEST_TEXT)
    if not inflating.eof or inflating.unused_data:
        raise ValueError("longer than what is ever written, or cut short")
    return text
