"""Schemathesis makes up requests from our own OpenAPI, good and bad ones, and checks the answers against it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.rows import FACTOR, Row

pytestmark = pytest.mark.reliability


CONFIGURATION = """
[[operations]]
include-name = [{beyond}]
[operations.checks]
positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "5xx", "422"]

[[operations]]
include-name = [{timed}]
[operations.checks]
negative_data_rejection.expected-statuses = ["2xx", "400", "401", "403", "404", "405", "413", "415", "422", "5xx"]

[[operations]]
include-name = [{both}]
[operations.checks]
positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "5xx", "422"]
negative_data_rejection.expected-statuses = ["2xx", "400", "401", "403", "404", "405", "413", "415", "422", "5xx"]
"""
"""Of Schemathesis: what a schema cannot say."""
BEYOND_A_SCHEMA = [
    # a name which is a dense vector for some is one of that length for all
    *("PUT /v1/items/{item_id}", "POST /v1/items", "PUT /v1/users/{user_id}", "POST /v1/users"),
    *("POST /v1/rank", "POST /v1/recommendations"),
    # rules do not contradict one another, a time is before another, boosts are bounded in all
    *("PUT /v1/placements/{name}", "POST /v1/placements/{name}/preview", "PUT /v1/experiments/{name}"),
]
TIMED = ["POST /v1/interactions"]
"""No time lies in the future: the latest that the schema allows is earlier than what is taken."""
BOTH = ["POST /v1/exposures"]
"""Experiment and variant go together, too."""


def names(operations: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in operations)


def test_every_answer_to_a_made_up_request_is_as_documented(house, tmp_path):
    settings = CONFIGURATION.format(beyond=names(BEYOND_A_SCHEMA), timed=names(TIMED), both=names(BOTH))
    (tmp_path / "schemathesis.toml").write_text(settings)
    command = [
        str(Path(sys.executable).parent / "schemathesis"),
        *("run", f"{house.service.url}/openapi.json", "--checks", "all"),
        *("--phases", "examples,coverage,fuzzing,stateful", "--max-examples", str(10 * FACTOR)),
        *("--seed", "1", "--continue-on-failure", "--request-timeout", "10", "--no-color"),
        *("--generation-database", "none"),
    ]
    ran = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=290)
    with house.service.client() as client:
        # it also rolls back to versions that it was told of
        client.put("/v1/models/active", json={"version": "latest"}).raise_for_status()
    print(ran.stdout[-20_000:], ran.stderr[-2000:])
    made_up, found = re.search(r"(\d+) generated", ran.stdout), re.search(r"generated, (\d+) found", ran.stdout)
    row = Row("made-up requests", "Schemathesis", int(made_up[1]) if made_up else 0, int(found[1]) if found else 0)
    row.write()

    assert ran.returncode == 0
