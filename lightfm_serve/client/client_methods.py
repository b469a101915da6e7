"""Methods: a function that describes a call, made the method of a client that sends it."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

from lightfm_serve.client.endpoints import Call

P = ParamSpec("P")
T = TypeVar("T")


class Sends(Protocol):
    """Sends a call and waits."""

    def send(self, call: Call[T], /) -> T:
        """Answer of a call."""
        ...


class SendsAsync(Protocol):
    """Sends a call and can be awaited."""

    def send(self, call: Call[T], /) -> Awaitable[T]:
        """Answer of a call."""
        ...


class Method(Generic[P, T]):
    """A route as a method of a client that waits."""

    def __init__(self, describe: Callable[P, Call[T]]) -> None:
        self.describe = describe
        self.__doc__ = describe.__doc__

    def __get__(self, client: Sends | None, _owner: type[Any]) -> Callable[P, T]:
        describe = self.describe

        def method(*args: P.args, **kwargs: P.kwargs) -> T:
            if client is None:
                raise TypeError(f"{describe.__name__} is a method of a client, not of its class")
            return client.send(describe(*args, **kwargs))

        return functools.update_wrapper(method, describe)


class AsyncMethod(Generic[P, T]):
    """A route as a method of a client that is awaited."""

    def __init__(self, describe: Callable[P, Call[T]]) -> None:
        self.describe = describe
        self.__doc__ = describe.__doc__

    def __get__(self, client: SendsAsync | None, _owner: type[Any]) -> Callable[P, Awaitable[T]]:
        describe = self.describe

        def method(*args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
            if client is None:
                raise TypeError(f"{describe.__name__} is a method of a client, not of its class")
            return client.send(describe(*args, **kwargs))

        return functools.update_wrapper(method, describe)
