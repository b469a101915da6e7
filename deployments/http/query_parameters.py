"""Strict query parameters: a parameter that a route does not know is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from deployments.http.problems import Problem
from lightfm_serve.records.nearest import did_you_mean

MOST_NAMED = 10
LONGEST_NAMED = 64
"""Characters of a name that are sent back."""


async def check_query_parameters(request: Request) -> None:
    """Raise a `Problem` that names what the route of a request does not take."""
    route = request.scope.get("route")
    if request.query_params and isinstance(route, APIRoute) and route.include_in_schema:
        known = list(_names(route.dependant))
        unknown = [name for name in request.query_params if name not in known]
        if unknown:
            raise _problem(unknown, known)


def _names(dependant: Dependant) -> Iterator[str]:
    """What a route takes, of itself and of what it depends on."""
    yield from (parameter.alias for parameter in dependant.query_params)
    for each in dependant.dependencies:
        yield from _names(each)


def _problem(unknown: Sequence[str], known: Sequence[str]) -> Problem:
    faults = []
    for name in unknown[:MOST_NAMED]:
        shown = name[:LONGEST_NAMED]
        hint = did_you_mean(name, known) or (f"; there are {', '.join(known)}" if known else "; it takes none")
        faults.append({"loc": f"query.{shown}", "msg": f"there is no query parameter {shown!r} here{hint}"})
    return Problem(422, "; ".join(fault["msg"] for fault in faults), faults)
