"""Body reader: limits the size of a request's body, then decodes it strictly."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TypeVar

import msgspec
from fastapi import Request

from deployments.http import body_faults
from deployments.http.problems import Problem

AT_ONCE_BYTES = 2**18
"""Decoded on the event loop; a larger body is decoded beside it, so that the others go on."""
MAX_BODY_BYTES = 16 * 1024 * 1024
READ_WITHIN_S = 5.0
"""For a body to arrive as a whole; below Serve's own limit for a request, whose answer would be no problem+json."""
PASSED_OVER_BYTES, PASSED_OVER_S = 64 * 1024 * 1024, 1.0
"""How much of what is too large is read and dropped, so that its sender gets to read the answer."""
MOST_DIGITS = 20
"""Of a length that is looked at as a number; Python refuses to read one of thousands."""

T = TypeVar("T")


async def read(request: Request, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode a body, or answer 408, 413, 415 or 422 with where and why."""
    _check_media_type(request.headers.get("content-type", ""))
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Problem(415, "send the body as it is, without a content-encoding")
    body = await _bytes(request)
    if len(body) <= AT_ONCE_BYTES:
        return decode(body, decoder)
    return await asyncio.to_thread(decode, body, decoder)  # a third of a second for the largest


def decode(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode bytes, or answer 422 with where and why."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        fault = body_faults.invalid(body, decoder.type, error)
        raise Problem(422, f"{fault.loc}: {fault.msg}", [fault._asdict()]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        fault = body_faults.malformed(body, error)
        raise Problem(422, f"the body is {fault.msg}", [fault._asdict()]) from None


def _check_media_type(content_type: str) -> None:
    # nor may it be missing: a page of another origin can send a body without one, and without asking first
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise Problem(415, "send the body as JSON, with the header content-type: application/json")


async def _bytes(request: Request) -> bytes:
    announced = request.headers.get("content-length", "0")
    stream = request.stream()
    if not announced.isdigit() or (len(announced) < MOST_DIGITS and int(announced) <= MAX_BODY_BYTES):
        try:
            async with asyncio.timeout(READ_WITHIN_S):
                body = await _up_to_the_limit(stream)
        except TimeoutError:
            detail = f"a body has to arrive within {READ_WITHIN_S:g} s"
            raise Problem(408, detail, headers={"Connection": "close"}) from None
        if body is not None:
            return body
    await _pass_over(stream)
    # there may be more of it: the connection cannot be used again
    raise Problem(413, f"a body has at most {MAX_BODY_BYTES} bytes", headers={"Connection": "close"})


async def _up_to_the_limit(stream: AsyncIterator[bytes]) -> bytes | None:
    """The whole body; None as soon as it is too large."""
    body = bytearray()
    async for part in stream:
        body += part
        if len(body) > MAX_BODY_BYTES:
            return None
    return bytes(body)


async def _pass_over(stream: AsyncIterator[bytes]) -> None:
    """Read on: an answer to one who still writes is lost with the connection."""
    size = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PASSED_OVER_S):
            async for part in stream:
                size += len(part)
                if size > PASSED_OVER_BYTES:
                    return
