"""Routes of exposures (chapter 12 of the contract)."""

import math
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query, Request, Response

from deployments.http import schema_patterns
from deployments.http.body_reader import read
from deployments.http.exposure_schemas import AcceptedExposures, AttributionReport, ExposureBodies, ExposurePage
from deployments.http.openapi import documented
from deployments.http.problems import invalid
from deployments.http.routes.parameters import Limit, answer, raw_answer
from deployments.http.service import current
from lightfm_serve.records.values import check_moment, parse_number, parse_timestamp
from recommender.exposures.report import AttributionQuery

router = APIRouter(tags=["judging"])

_exposures = msgspec.json.Decoder(ExposureBodies)

LAST_SECOND = 253_402_300_799.0
"""Of the year 9999."""
MOMENT: Any = {"pattern": schema_patterns.TIMESTAMP}
Since = Annotated[str | None, Query(alias="from", description="RFC 3339, or seconds", json_schema_extra=MOMENT)]
Until = Annotated[str | None, Query(alias="to", description="RFC 3339, or seconds", json_schema_extra=MOMENT)]
Daily = Annotated[bool, Query(description="each row day by day, for a curve over time")]
PlacementName = Annotated[str | None, Query(min_length=1, max_length=256, description="of these exposures only")]
ExposureCursor = Annotated[str | None, Query(pattern="^[0-9]{1,19}$", description="next_cursor of the page before")]


@router.post("/v1/exposures", **documented(AcceptedExposures, 503, status=202, body=ExposureBodies))
async def add_exposures(request: Request) -> Response:
    """Take lists that a page has shown from elsewhere, all or none, so that interactions are attributed to them.

    Answers of this service are exposures by themselves. One whose `recommendation_id` is known already counts once.
    """
    exposures = [each.exposure() for each in (await read(request, _exposures)).exposures]
    await current().exposures.add(exposures)
    return answer(AcceptedExposures(len(exposures), [each.recommendation_id for each in exposures]), 202)


@router.get("/v1/exposures", **documented(ExposurePage, 503))
async def list_exposures(cursor: ExposureCursor = None, limit: Limit = 100) -> Response:
    """What was shown, newest first, page by page, with the interactions attributed to it so far.

    An answer is here within two seconds. A page may be shorter than `limit`; the last one has no `next_cursor`.
    """
    return raw_answer(await current().exposure_page(cursor, limit))


@router.get("/v1/attribution", **documented(AttributionReport, 503))
async def attribution(
    placement: PlacementName = None,
    since: Since = None,
    until: Until = None,
    by: Literal["version", "variant", "placement", "position", "day"] = "version",
    daily: Daily = False,
) -> Response:
    """What came of what was shown, by version, variant, placement, position or day of the exposure.

    `from` and `to` are times, widened to whole days of UTC; without them all that is kept counts. A rate is the share
    of exposures with at least one such interaction. With `daily` each row is told day by day, and has its `day`.
    Figures are three to four seconds old.
    """
    query = AttributionQuery(by, placement, _moment(since, "from"), _moment(until, "to"), daily)
    return raw_answer(await current().attribution(query))


def _moment(text: str | None, name: str) -> float | None:
    """Seconds since the epoch of RFC 3339 or a number."""
    if text is None:
        return None
    try:
        if parse_number(text) is None:
            check_moment(text)
        return min(parse_timestamp(text, math.inf), LAST_SECOND)
    except ValueError as error:
        reason = str(error).replace("{}", repr(text))
        raise invalid(f"query.{name}: {reason}", f"query.{name}") from None
