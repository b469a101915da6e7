"""What `recommender status` tells a person."""

import json

import pytest
from click.testing import CliRunner

from lightfm_serve.cli import main
from lightfm_serve.cli.status import in_words
from tests.support.scripted_server import Reply, with_request_ids

STATE = {
    "model_version": "00000007",
    "pinned": True,
    "replicas": [
        {"replica": "a1", "pid": 11, "model_version": "00000007"},
        {"replica": "b2", "pid": 12, "model_version": "00000006"},
    ],
    "near": {"mode": "auto", "share_near": 0.974},
    "interactions_waiting": 12_345,
    "seconds_since_newest_learned": 902_409_906.801,
    "training": "idle",
    "last_training": {"mode": "full", "outcome": "published", "version": "00000007", "seconds": 61.2},
    "health": {"store": "ok", "trainer": "degraded: 3 unreadable"},
    "store": {"engine": "valkey", "version": "9.1", "warnings": ["appendonly is off"]},
}
TABLE = """\
model          version 00000007, pinned: newer ones are not activated
replica        a1: serves 00000007 (process 11)
               b2: serves 00000006 (process 12)
answers        97% in the process that took them, the others along the chain
waiting        12,345 interactions to learn
learned up to  28 years 217 days ago, by the data's own time
training       idle
last training  full published version 00000007 in 1 minute 1 second
health         store: ok
               trainer: degraded: 3 unreadable
store          valkey 9.1
store warns    appendonly is off
"""


def told(state: dict, *words: str) -> str:
    with with_request_ids(lambda _: Reply(200, state)) as talk:
        return CliRunner().invoke(main, ["status", "--url", talk.url, *words]).output


def test_a_person_reads_a_table_with_ages_in_words():
    assert told(STATE) == TABLE


def test_a_machine_reads_all_that_the_service_says():
    assert json.loads(told(STATE, "--json")) == STATE


def test_what_is_not_known_is_said_to_be_unknown():
    output = told(dict.fromkeys(STATE))

    assert "none serves yet" in output
    assert "the log does not answer" in output
    assert "None" not in output


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "less than a second"),
        (1.0, "1 second"),
        (3_600.0, "1 hour"),
        (7_500.0, "2 hours 5 minutes"),
        (86_400.0 + 59, "1 day"),
    ],
)
def test_ages_have_at_most_two_units(seconds, words):
    assert in_words(seconds) == words
