"""Event ids of rows: made of what a row says, so that the same row has the same id whenever and by whom it is sent."""

from __future__ import annotations

from hashlib import blake2b
from struct import pack

ID_BYTES = 16


def digest_of(user_id: str, item_id: str, weight: float, timestamp: float | None, event: str | None) -> bytes:
    """What an interaction says, in 16 bytes. A weight counts as the float32 that is learned."""
    # an id has no zero byte
    texts = "\0".join((user_id, item_id, event or "")).encode()
    numbers = pack("<fd", weight, -1.0 if timestamp is None else timestamp)
    return blake2b(texts + numbers, digest_size=ID_BYTES).digest()


def event_id_of(digest: bytes, nth: int) -> str:
    """Id of the row that is, counted from 0, the `nth` that says the same."""
    return f"row-{digest.hex()}" if nth == 0 else f"row-{digest.hex()}-{nth}"
