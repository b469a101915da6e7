"""Messages between deployments: msgpack on the way, JSON for the answer.

Functions, not coders: Ray carries a deployment's globals to its replicas, and coders cannot be carried.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from recommender.schema import Query, ReadRequest, UserState


class Fetched(msgspec.Struct, frozen=True, array_like=True):
    """Message of the fetcher: states of the users of a micro-batch."""

    states: list[UserState]
    items_sequence: int
    """Newest change of the catalogue; a predictor that is behind catches up before it answers."""
    degraded: list[str]
    last_offset: int
    """Newest entry of the log."""
    settings_number: int | None = None
    """Newest change of a placement or an experiment; None where the store did not say."""


NO_PLACEMENT = b""
"""Answer to a query for a placement that there is not."""

_encoder = msgspec.msgpack.Encoder()
_json = msgspec.json.Encoder()
_queries = msgspec.msgpack.Decoder(list[Query])
_read_request: msgspec.msgpack.Decoder[ReadRequest] = msgspec.msgpack.Decoder(ReadRequest)
_fetched = msgspec.msgpack.Decoder(Fetched)


def pack(message: Fetched | ReadRequest | Sequence[Query]) -> bytes:
    """Bytes for another deployment."""
    return _encoder.encode(message)


def unpack_queries(message: bytes) -> list[Query]:
    """Queries of a micro-batch."""
    return _queries.decode(message)


def unpack_request(message: bytes) -> ReadRequest:
    """A read request of any type; its tag says which."""
    return _read_request.decode(message)


def unpack_fetched(message: bytes) -> Fetched:
    """What the fetcher found."""
    return _fetched.decode(message)


def answer(struct: msgspec.Struct) -> bytes:
    """JSON that goes to the client as it is."""
    return _json.encode(struct)
