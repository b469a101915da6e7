"""What a test of a fault found out; `make reliability` makes a table of it."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support.steady_load import Answer

AT_ONCE_MS = 100
FACTOR = int(os.environ.get("RECOMMENDER_RELIABILITY", "1"))
"""How many times longer than in `make test` each fault is looked at."""


class Row(NamedTuple):
    """One line of the table."""

    fault: str
    injected: str
    requests: int
    failed: int
    lost: int | None = None
    recovery_s: float | None = None
    note: str = ""

    def write(self) -> None:
        print(self)
        path = os.environ.get("RECOMMENDER_RELIABILITY_ROWS")
        if path:
            with Path(path).open("a") as rows:
                rows.write(json.dumps(self._asdict()) + "\n")


def failed(answers: Sequence[Answer], at_once_ms: float = AT_ONCE_MS) -> list[Answer]:
    """Answers that are neither good, nor the client's fault, nor a prompt "come back later"."""
    return [each for each in answers if not _is_fine(each, at_once_ms)]


def _is_fine(answer: Answer, at_once_ms: float) -> bool:
    if answer.status == 503:
        return answer.may_come_back and answer.ms <= at_once_ms
    return 200 <= answer.status < 500


def percentile(answers: Sequence[Answer], share: float) -> float:
    """Of their milliseconds."""
    ordered = sorted(each.ms for each in answers)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def seconds_until(answers: Sequence[Answer], begin: float, holds: Callable[[Answer], bool]) -> float:
    """From a moment to the last answer since for which something did not hold; 0 when it always held."""
    return max((each.at - begin for each in answers if each.at >= begin and not holds(each)), default=0.0)
