"""The clients: `Client` is synchronous, `AsyncClient` is for asyncio; they differ only in how they send."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import msgspec

from lightfm_serve.client.client_methods import EndpointMethods
from lightfm_serve.client.dataframes import Frame, Imported, calls_of
from lightfm_serve.client.endpoints import Call
from lightfm_serve.client.errors import ServeError, UnexpectedAnswerError, UnreachableError, problem_of
from lightfm_serve.client.retries import Attempts, Retries
from lightfm_serve.client.shown_answers import ShownAnswers
from lightfm_serve.records.values import MISSING

T = TypeVar("T")

URL = "http://127.0.0.1:8000"
KEY_VARIABLE = "RECOMMENDER_API_KEY"
TIMEOUT_S = 30.0
ONCE = Retries(attempts=1)
"""Never ask again."""


class Client(EndpointMethods):
    """HTTP client of a running service; its methods block.

    Parameters
    ----------
    url
        Where it is.
    api_key
        Of its scope; that in the environment variable ``RECOMMENDER_API_KEY`` when absent.
    timeout_s
        For each attempt.
    retries
        How long to insist when no answer comes, or one that says to come back. Repeating is safe: interactions
        carry an ``event_id``, and whatever else is repeated does the same twice as once.

    Examples
    --------
    >>> with Client() as client:  # doctest: +SKIP
    ...     client.add_interactions([Interaction(user_id="ann", item_id="50")])
    ...     client.recommend("ann", k=3).items
    """

    def __init__(
        self,
        url: str = URL,
        api_key: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        retries: Retries = Retries(),  # noqa: B008 (it cannot be changed)
    ) -> None:
        self._url, self._retries = url.rstrip("/"), retries
        self._shown = ShownAnswers()
        self._http = httpx.Client(base_url=self._url, headers=_headers(api_key), timeout=timeout_s)

    def __repr__(self) -> str:
        return f"<Client: {self._url}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    def send(self, call: Call[T], /) -> T:
        """Answer of a call.

        Raises
        ------
        ServeError
            No answer came, or it said that something is wrong; see `lightfm_serve.client.errors`.
        """
        call = _naming(call, self._shown)
        attempts = Attempts(self._retries, call)
        while True:
            failure: ServeError
            try:
                response = self._http.request(**_request(call))
            except httpx.TransportError as error:
                failure = _unreachable(self._url, error)
            else:
                if response.is_success:
                    return _read(call, response, self._shown)
                failure = problem_of(response)
            if attempts.has_settled(failure):
                return call.read(b"")
            time.sleep(attempts.pause_s(failure))

    def import_frame(
        self,
        interactions: Frame | None = None,
        *,
        users: Frame | None = None,
        items: Frame | None = None,
        missing: Collection[str] = MISSING,
    ) -> Imported:
        """Send pandas DataFrames: items and users first, so that what refers to them finds them.

        Parameters
        ----------
        interactions
            ``user_id,item_id`` and perhaps ``weight``, ``timestamp`` (seconds since the epoch, dates, or ISO
            8601), ``event`` and ``event_id``. Without the last, a row's id is made of its content: the same frame sent
            again counts no row twice, within the service's window of at least a week.
        users, items
            The id as a column, or as the index; of items perhaps ``title`` and ``available``; every other column is
            a feature. A missing cell is no feature.
        missing
            Texts, in small letters, that stand for a missing value, beside None and NaN.

        Raises
        ------
        ValueError
            A column is missing or not known, or a cell is not what it has to be; the message names its row and column.
        ServeError
            As in `send`; the frames may be sent again.
        """
        done = Imported()
        for call in calls_of(interactions, users, items, missing):
            done = done.plus(call.template, self.send(call))
        return done


class AsyncClient(EndpointMethods):
    """HTTP client for asyncio: the methods of `Client`, to be awaited."""

    def __init__(
        self,
        url: str = URL,
        api_key: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        retries: Retries = Retries(),  # noqa: B008 (it cannot be changed)
    ) -> None:
        self._url, self._retries = url.rstrip("/"), retries
        self._shown = ShownAnswers()
        self._http = httpx.AsyncClient(base_url=self._url, headers=_headers(api_key), timeout=timeout_s)

    def __repr__(self) -> str:
        return f"<AsyncClient: {self._url}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of connections."""
        await self._http.aclose()

    async def send(self, call: Call[T], /) -> T:
        """See `Client.send`."""
        call = _naming(call, self._shown)
        attempts = Attempts(self._retries, call)
        while True:
            failure: ServeError
            try:
                response = await self._http.request(**_request(call))
            except httpx.TransportError as error:
                failure = _unreachable(self._url, error)
            else:
                if response.is_success:
                    return _read(call, response, self._shown)
                failure = problem_of(response)
            if attempts.has_settled(failure):
                return call.read(b"")
            await asyncio.sleep(attempts.pause_s(failure))

    async def import_frame(
        self,
        interactions: Frame | None = None,
        *,
        users: Frame | None = None,
        items: Frame | None = None,
        missing: Collection[str] = MISSING,
    ) -> Imported:
        """See `Client.import_frame`."""
        done = Imported()
        for call in calls_of(interactions, users, items, missing):
            done = done.plus(call.template, await self.send(call))
        return done


def _headers(api_key: str | None) -> dict[str, str]:
    key = api_key or os.environ.get(KEY_VARIABLE)
    return {"authorization": f"Bearer {key}"} if key else {}


def _request(call: Call[Any]) -> Mapping[str, Any]:
    return {
        "method": call.method,
        "url": call.path,
        "params": call.query or None,
        "content": call.body,
        "headers": None if call.body is None else {"content-type": "application/json"},
    }


def _naming(call: Call[T], shown: ShownAnswers) -> Call[T]:
    """The call; interactions name the answer of this client that led to them."""
    if call.template != "/v1/interactions" or call.body is None:
        return call
    return replace(call, body=shown.name(call.body))


def _read(call: Call[T], response: httpx.Response, shown: ShownAnswers) -> T:
    try:
        answer = call.read(response.content)
    except msgspec.MsgspecError as error:
        raise UnexpectedAnswerError(f"{call.method} {call.path}: {error}") from error
    shown.remember(answer)
    return answer


def _unreachable(url: str, error: httpx.TransportError) -> UnreachableError:
    return UnreachableError(f"{url} does not answer ({type(error).__name__}: {error})")
