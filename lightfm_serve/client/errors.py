"""Client errors: the exceptions that a call may raise, as a tree.

::

    ServeError
    ├── UnreachableError           no answer came: no connection, or it broke, or it took too long
    ├── UnexpectedAnswerError      an answer that is none of this service's
    └── ProblemError               the service answered that something is wrong
        ├── UnauthorizedError      401: no key, or none that is valid
        ├── ForbiddenError         403: the key is not for this
        ├── NotFoundError          404
        ├── ConflictError          409: not now, or not like this
        ├── TooLargeError          413: send less at once
        ├── InvalidError           422: `problem.errors` names each fault
        ├── TooManyRequestsError   429: come back after `problem.retry_after_s`
        └── UnavailableError       503: likewise

Every one carries exactly one value, so that it survives pickle.
"""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpx
import msgspec


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong, and where."""

    loc: str
    msg: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Problem document of an error (RFC 9457)."""

    title: str
    status: int
    detail: str
    errors: tuple[Fault, ...] = ()
    retry_after_s: float | None = None
    """When the service wants to be asked again."""


class ServeError(Exception):
    """Base class of the client's errors."""


class UnreachableError(ServeError):
    """No answer came. What was asked may have been done."""


class UnexpectedAnswerError(ServeError):
    """An answer that is none of this service's."""


class ProblemError(ServeError):
    """The service answered that something is wrong.

    Parameters
    ----------
    problem
        What it said.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.problem.status} {self.problem.title}: {self.problem.detail}"


class UnauthorizedError(ProblemError):
    """401: no key, or none that is valid."""


class ForbiddenError(ProblemError):
    """403: the key is not for this."""


class NotFoundError(ProblemError):
    """404: there is no such thing, or nothing is known of it."""


class ConflictError(ProblemError):
    """409: not now, or not like this."""


class TooLargeError(ProblemError):
    """413: send less at once."""


class InvalidError(ProblemError):
    """422: ``problem.errors`` names each fault."""


class TooManyRequestsError(ProblemError):
    """429: this key asks too often."""


class UnavailableError(ProblemError):
    """503: overloaded, starting, or without its store."""


BY_STATUS: dict[int, type[ProblemError]] = {
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    413: TooLargeError,
    422: InvalidError,
    429: TooManyRequestsError,
    503: UnavailableError,
}
LONGEST_TEXT = 300
"""Of an answer that is no problem+json, such as a proxy's."""


def problem_of(response: httpx.Response) -> ProblemError:
    """The error that an answer is."""
    kind = BY_STATUS.get(response.status_code, ProblemError)
    retry_after_s = _seconds(response.headers.get("retry-after"))
    try:
        problem = msgspec.json.decode(response.content, type=Problem)
    except msgspec.MsgspecError:
        detail = response.text[:LONGEST_TEXT]
        problem = Problem(title=_phrase(response.status_code), status=response.status_code, detail=detail)
    return kind(msgspec.structs.replace(problem, retry_after_s=retry_after_s))


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _seconds(retry_after: str | None) -> float | None:
    """Seconds that a ``Retry-After`` means: a number of them, or a date."""
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return None
