"""More requests at once than the service can answer: the excess waits, then is refused, and nothing of it is done."""

import time

import pytest

from deployments.ray_runtime.haproxy import AT_ONCE, NEVER_REFUSED, NOT_TAKEN, QUEUE_MS
from tests.support.learned import learned_by
from tests.support.rows import FACTOR, Row, failed, percentile, seconds_until
from tests.support.steady_load import SteadyLoad
from tests.support.waiting import settle

pytestmark = pytest.mark.reliability

CLIENTS = 16 * AT_ONCE
"""More than two replicas answer within the time that a request waits for a place."""
EVENT = b'{"interactions": [{"user_id": "overload-%d", "item_id": "i1"}]}'


def reading(number: int) -> str:
    return f"/v1/users/u{number % 200}/recommendations"


def test_the_excess_is_refused_nothing_of_it_is_written_and_health_is_told(house):
    port, looks = house.service.port, []
    reads = SteadyLoad(port, reading, per_s=6000, connections=CLIENTS)
    writes = SteadyLoad(port, lambda _: "/v1/interactions", body=lambda n: EVENT % n, per_s=200, connections=8)
    with house.service.client() as client:
        with reads, writes:
            ended = time.time() + 3 * FACTOR
            while time.time() < ended:
                looks += [client.get(path).status_code for path in NEVER_REFUSED]
        with SteadyLoad(port, reading, per_s=30) as afterwards:
            time.sleep(2)
        settle(client)
    answers = [*reads.answers, *writes.answers]
    refused = [each for each in answers if each.status == 503]
    accepted = sum(each.status == 202 for each in writes.answers)
    learned = sum(n for (user_id, _), n in learned_by(house.service).items() if user_id.startswith("overload-"))
    recovery_s = seconds_until(afterwards.answers, ended, lambda each: each.status == 200)
    note = f"{len(refused)} refused, half of them within {percentile(refused, 0.5):.0f} ms"
    # a write that the busy store did not confirm in time, or whose connection was closed, may have been applied
    unsure = writes.repeated + sum(
        each.body.get("detail") not in NOT_TAKEN for each in writes.answers if each.status == 503
    )
    lost = max(0, accepted - learned)
    row = Row(
        "overload", f"{CLIENTS} readers", len(answers), len(failed(answers, QUEUE_MS + 100)), lost, recovery_s, note
    )
    row.write()

    assert {each.status for each in answers} == {200, 202, 503}
    assert all(each.may_come_back and each.body["title"] == "Service Unavailable" for each in refused)
    assert accepted <= learned <= accepted + unsure
    assert set(looks) == {200}
    assert recovery_s <= 5
