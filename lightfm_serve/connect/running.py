"""Running a connector: its parts put together, from the first record to SIGTERM."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Event
from types import FrameType

from lightfm_serve.client.client import Client
from lightfm_serve.client.retries import Retries
from lightfm_serve.connect.dead_letters import DeadLetters
from lightfm_serve.connect.delivery import Delivery
from lightfm_serve.connect.meters import Meters
from lightfm_serve.connect.metrics_server import serving_metrics
from lightfm_serve.connect.pump import Pump, PumpSettings
from lightfm_serve.connect.source import Source
from lightfm_serve.connect.translation import Translation

CALL_S = 60.0
"""Of a call to the service; well below the five minutes after which a group gives a silent member up."""


@dataclass(frozen=True)
class Target:
    """Where records go.

    Parameters
    ----------
    url, api_key
        Of the service.
    translation
        What they become.
    pump
        How they are taken.
    metrics
        Host and port of the metrics; None for none.
    """

    url: str
    api_key: str | None
    translation: Translation
    pump: PumpSettings
    metrics: tuple[str, int] | None = None


def run_connector(name: str, source: Source, dead_letters: DeadLetters, target: Target) -> dict[str, int]:
    """Take records until SIGTERM, SIGINT or the end; close what it was given.

    Parameters
    ----------
    name
        ``kafka`` or ``redis``.
    source, dead_letters, target
        From where, and where to.

    Returns
    -------
    What was done: records by ``consumed``, ``sent``, ``duplicates``, ``skipped`` and ``dead_letters``.

    Raises
    ------
    StreamError
        It cannot go on; what was not committed is delivered again.
    """
    meters = Meters(name)

    def pause(seconds: float) -> None:
        source.wait(seconds)
        meters.alive()
        meters.show_lag(source.lag)

    with ExitStack() as stack:
        is_stopping = stack.enter_context(_stopping_by_signal())
        stack.callback(dead_letters.close)
        stack.callback(source.close)
        if target.metrics is not None:
            stack.enter_context(serving_metrics(meters, *target.metrics))
        client = stack.enter_context(Client(target.url, target.api_key, timeout_s=CALL_S, retries=Retries(attempts=1)))
        delivery = Delivery(client, target.translation.kind, pause, is_stopping, meters)
        Pump(source, target.translation, delivery, dead_letters, meters, target.pump, is_stopping).run()
    return dict(meters.counts)


@contextmanager
def _stopping_by_signal() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM or SIGINT came; what they did before comes back at the end."""
    asked = Event()

    def hear(_signal: int, _frame: FrameType | None) -> None:
        asked.set()

    before = {each: signal.signal(each, hear) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked.is_set
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
