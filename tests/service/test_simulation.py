"""Simulated users click through the real service, and it attributes every click as they have written it down."""

import json

from click.testing import CliRunner

from lightfm_serve.cli.simulate import simulate


def test_attribution_is_what_simulated_users_have_written_down(service):
    options = ["--url", service.url, "--users", "12", "--days", "3", "--seed", "7", "--check", "--json"]
    ran = CliRunner().invoke(simulate, options, catch_exceptions=False)
    told = json.loads(ran.stdout)

    assert told["differences"] == []
    assert told["visits"] == 36
    assert told["clicks"] > 0
    assert ran.exit_code == 0
