"""Instrumented store: times every call of a store and counts its failures."""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, cast

from deployments.telemetry import metrics
from recommender.errors import StoreError
from recommender.stores.protocols import Store


def measured(store: Store) -> Store:
    """A store whose calls are in the metrics, whoever makes them."""
    return cast(Store, MeasuredStore(store))


class MeasuredStore:
    """A store whose every call is in `STORE_SECONDS` when it was answered, and in `STORE_ERRORS` when it was not.

    Parameters
    ----------
    store
        What is called.
    """

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if inspect.iscoroutinefunction(found):
            found = self.__dict__[name] = _measured(name, found)  # made once
        return found


def _measured(name: str, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @wraps(method)
    async def called(*arguments: Any, **named: Any) -> Any:
        begin = time.perf_counter()
        try:
            answer = await method(*arguments, **named)
        except StoreError:
            metrics.count(metrics.STORE_ERRORS, call=name)
            raise
        metrics.observe(metrics.STORE_SECONDS, time.perf_counter() - begin, call=name)
        return answer

    return called
