"""Reader of protobuf's wire format, as much as a Gorse dump needs, without compiled messages [1]_.

References
----------
.. [1] https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import unpack_from

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def fields(message: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Number and value of each field: a whole number, a float, or the bytes of a text or of a message within.

    Raises
    ------
    ValueError
        It is no message.
    """
    offset = 0
    while offset < len(message):
        key, offset = varint(message, offset)
        kind = key & 7
        value: int | float | bytes
        if kind == VARINT:
            value, offset = varint(message, offset)
        elif kind == BYTES:
            size, start = varint(message, offset)
            offset = start + size
            value = message[start:offset]
        elif kind in (FIXED64, FIXED32):
            size, code = (8, "<d") if kind == FIXED64 else (4, "<f")
            if offset + size > len(message):
                raise ValueError("it ends within a number")
            (value,) = unpack_from(code, message, offset)
            offset += size
        else:
            raise ValueError(f"a field is of the kind {kind}, which there is not")
        if offset > len(message):
            raise ValueError("it ends within a field")
        yield key >> 3, value


def varint(message: bytes, offset: int) -> tuple[int, int]:
    """A whole number, and where it ends."""
    number = 0
    for shift in range(0, 70, 7):
        if offset >= len(message):
            raise ValueError("it ends within a number")
        byte = message[offset]
        offset += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, offset
    raise ValueError("a number is longer than any")
