"""Dead letters in a stream of Redis: the fields of the entry as they were, with the reason beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import redis

from lightfm_serve.connect.dead_letters import DeadLetter, headers_of
from lightfm_serve.connect.errors import StreamError


class DeadLetterStream:
    """Dead letters in a stream; as durable as its server makes what it has taken.

    Parameters
    ----------
    url
        Of the server.
    stream
        Which; it is made where it is missing.
    """

    def __init__(self, url: str, stream: str) -> None:
        self._redis: Any = redis.Redis.from_url(
            url, decode_responses=True, encoding_errors="surrogateescape", socket_timeout=30
        )
        self._stream = stream

    def write(self, letters: Sequence[DeadLetter]) -> None:
        """See `DeadLetters`."""
        try:
            with self._redis.pipeline() as pipe:
                for letter in letters:
                    value = letter.record.value
                    fields = value if isinstance(value, Mapping) else {}
                    pipe.xadd(self._stream, {**fields, **headers_of(letter)})
                pipe.execute()
        except redis.RedisError as error:
            raise StreamError(f"dead letters cannot be kept in stream {self._stream}: {error}") from None

    def close(self) -> None:
        """See `DeadLetters`."""
        self._redis.close()
