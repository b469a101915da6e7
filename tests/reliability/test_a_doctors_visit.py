"""The doctor, on the service as `make serve` starts it."""

import pytest

from lightfm_serve.cli.health_checks import examine

pytestmark = pytest.mark.reliability


def test_the_doctor_finds_nothing_that_would_hurt_the_service(house):
    with house.service.client() as client:
        assert client.get("/readyz").status_code == 200
    findings = {each.name: each for each in examine(house.service.url, None, house.service.folder / "state")}
    bad = [each for each in findings.values() if each.state == "failed"]

    assert bad == []
    assert {"service", "keys", "trainer", "store", "ray", "versions", "disk"} <= findings.keys()
