"""Pump: reads records, translates, delivers, keeps dead letters, and only then commits."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lightfm_serve.connect.dead_letters import DeadLetter, DeadLetters
from lightfm_serve.connect.delivery import Delivery
from lightfm_serve.connect.errors import InterruptedDelivery, StreamError
from lightfm_serve.connect.meters import Meters
from lightfm_serve.connect.source import Source, StreamRecord
from lightfm_serve.connect.translation import Body, Translation

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PumpSettings:
    """Settings of a pump.

    Parameters
    ----------
    batch
        Records of a batch at most: what is in memory, and what is delivered again after a death.
    linger_s
        Seconds that a batch waits to become full.
    stop_after_dead
        Dead letters in a row, without one record that could be taken, after which it stops: then it is the mapping
        that is wrong, or the topic. The last batch of them stays uncommitted. 0 for never.
    until_end
        Stop when all that is there was read.
    """

    batch: int = 1_000
    linger_s: float = 0.5
    stop_after_dead: int = 100
    until_end: bool = False


class Pump:
    """Pump from a stream into the service.

    At any moment one batch is under way; nothing more is read before it is done with, so that a service that is
    slower than the stream slows the reading, and memory stays bounded.

    Parameters
    ----------
    source, translation, delivery, dead_letters
        Its parts.
    meters
        What it counts in.
    settings
        See `PumpSettings`.
    is_stopping
        Whether somebody wants to stop.
    """

    def __init__(
        self,
        source: Source,
        translation: Translation,
        delivery: Delivery,
        dead_letters: DeadLetters,
        meters: Meters,
        settings: PumpSettings,
        is_stopping: Callable[[], bool],
    ) -> None:
        self._source, self._translation, self._delivery = source, translation, delivery
        self._dead_letters, self._meters, self._settings = dead_letters, meters, settings
        self._is_stopping = is_stopping
        self._dead_in_a_row = 0

    def run(self) -> None:
        """Pump until somebody wants to stop, or until the end.

        Raises
        ------
        StreamError
            It cannot go on; what was read and not committed is delivered again.
        """
        while not self._is_stopping():
            records = self._source.read(self._settings.batch, self._settings.linger_s)
            self._meters.read(len(records))
            if records:
                try:
                    self._take(records)
                except InterruptedDelivery:
                    logger.info("stopped while the service was away; %d records stay uncommitted", len(records))
                    return
            elif self._settings.until_end and self._source.at_end:
                return
            self._meters.show_lag(self._source.lag)

    def _take(self, records: Sequence[StreamRecord]) -> None:
        taken, dead, n_skipped = self._translated(records)
        self._check_mapping(dead, len(taken) + n_skipped)
        refused = self._delivery.send([body for _, body in taken])
        dead += [DeadLetter(taken[place][0], reason) for place, reason in refused]
        if dead:
            self._dead_letters.write(dead)
            self._meters.dead(len(dead))
            logger.warning("%d dead letters, the first: %s: %s", len(dead), dead[0].record.position, dead[0].reason)
        self._source.commit(records)
        self._meters.done(n_skipped)

    def _translated(
        self, records: Sequence[StreamRecord]
    ) -> tuple[list[tuple[StreamRecord, Body]], list[DeadLetter], int]:
        """What can be sent, what never can, and how many are passed over."""
        taken: list[tuple[StreamRecord, Body]] = []
        dead: list[DeadLetter] = []
        for record in records:
            try:
                body = self._translation.body(record)
            except ValueError as error:
                dead.append(DeadLetter(record, str(error)))
            else:
                if body is not None:
                    taken.append((record, body))
        n_skipped = len(records) - len(taken) - len(dead)
        return self._newest(taken), dead, n_skipped

    def _newest(self, taken: list[tuple[StreamRecord, Body]]) -> list[tuple[StreamRecord, Body]]:
        """Of several records about one user or item, the last; each interaction."""
        if self._translation.kind == "interactions":
            return taken
        own_id = self._translation.id_column
        return list({body[own_id]: (record, body) for record, body in taken}.values())

    def _check_mapping(self, dead: Sequence[DeadLetter], n_others: int) -> None:
        """Stop where nothing can be taken at all: emptying a topic into dead letters helps nobody."""
        most = self._settings.stop_after_dead
        self._dead_in_a_row = 0 if n_others else self._dead_in_a_row + len(dead)
        if most and self._dead_in_a_row >= most:
            last = dead[-1]
            raise StreamError(
                f"none of the last {self._dead_in_a_row} records can be taken; {last.record.position}: {last.reason}. "
                f"The last {len(dead)} stay uncommitted: mend --map or --ignore, or take them all for dead letters "
                "with --stop-after-dead 0"
            )
