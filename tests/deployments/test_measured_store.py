"""Every call of a store is in the metrics, whoever makes it."""

import asyncio
import inspect

import pytest

from deployments.telemetry import metrics
from deployments.telemetry.measured_store import measured
from recommender.errors import StoreError
from recommender.stores import open_store
from recommender.stores.protocols import Item, Store

CALLS = sorted(name for name, each in inspect.getmembers(Store) if inspect.iscoroutinefunction(each))
AWAY = "unix:///nowhere/valkey.sock"


def told(call: str) -> tuple[float, float]:
    """Calls that failed, and those that were timed."""
    counted = metrics.TALLY.counted("test", "test")
    failed = [each.value for each in counted.counters if _is(each, metrics.STORE_ERRORS, call)]
    timed = [sum(each.buckets) for each in counted.histograms if _is(each, metrics.STORE_SECONDS, call)]
    return sum(failed), sum(timed)


def _is(each, metric: metrics.Metric, call: str) -> bool:
    return each.name == metric.name and each.labels == {"call": call}


@pytest.mark.parametrize("url", ["memory:", AWAY])
@pytest.mark.parametrize("call", CALLS)
def test_no_call_goes_past_the_metrics(url, call):
    store = measured(open_store(url))

    assert inspect.iscoroutinefunction(getattr(store, call))
    assert getattr(store, call).__wrapped__ == getattr(store._store, call)


def test_a_put_that_the_store_does_not_answer_is_counted_and_one_that_it_does_is_timed():
    async def put(url: str) -> None:
        await measured(open_store(url)).put_items([Item("i", None, {}, True, 0.0)])

    failed, timed = told("put_items")
    with pytest.raises(StoreError):
        asyncio.run(put(AWAY))
    asyncio.run(put("memory:"))

    assert told("put_items") == (failed + 1, timed + 1)
