"""`recommender experiments` against a service that says what it was asked."""

import json

from click.testing import CliRunner

from lightfm_serve.cli import main
from tests.support.scripted_server import Reply, with_request_ids

STORED = {
    "name": "news",
    "placement": "home",
    "variants": [
        {"name": "control", "share": 0.5, "settings": {}},
        {"name": "diverse", "share": 0.5, "settings": {"diversity": 0.3}},
    ],
    "metric": "click_rate",
    "guardrails": [],
    "min_exposures": 1000,
    "until": None,
    "salt": "",
    "started_at": 1.5,
    "ended_at": None,
    "shipped": None,
    "status": "running",
}
FIGURES = [
    {"users": 1234, "exposures": 5000, "metric": {"value": 0.1, "low": 0.09, "high": 0.11}},
    {
        "users": 1200,
        "exposures": 4900,
        "metric": {"value": 0.15, "low": 0.14, "high": 0.16},
        "difference": {"value": 0.05, "low": 0.03, "high": 0.07},
    },
]
RESULT = {
    **STORED,
    "variants": [
        {**own, **figures, "empty_share": 0.0, "degraded_share": 0.0, "p99_ms": None}
        for own, figures in zip(STORED["variants"], FIGURES, strict=True)
    ],
    "sample_ratio_p": 1.0,
    "decision": "ship",
    "reason": "diverse has more",
    "best": "diverse",
    "exposures_needed": 9000,
}
TABLE = """\
ship: diverse has more
variant             users  exposures  click_rate
control             1,234      5,000  0.1000 (0.0900 to 0.1100)
diverse             1,200      4,900  0.1500 (0.1400 to 0.1600)  +0.0500 (+0.0300 to +0.0700) to the first
sample ratio mismatch: p = 1
"""


def run(reply: object, *words: str, typed: str | None = None):
    def answered(asked):
        return Reply(200, {"status": "ok"} if asked.path == "/healthz" else reply)

    with with_request_ids(answered) as talk:
        done = CliRunner().invoke(main, ["experiments", *words, "--url", talk.url], input=typed)
    return done.output, talk


def test_an_experiment_is_told_as_a_decision_and_a_table():
    assert run(RESULT, "show", "news")[0] == TABLE
    assert json.loads(run(RESULT, "show", "news", "--json")[0])["decision"] == "ship"


def test_experiments_are_started_listed_and_ended():
    started, talk = run(STORED, "start", "news", "-", typed='{"placement": "home", "variants": []}')
    listed, _ = run({"experiments": [STORED]}, "list")
    ended, asked = run({**STORED, "shipped": "diverse", "status": "ended"}, "end", "news", "--ship", "diverse")

    assert talk.of("/v1/experiments/news") == [{"placement": "home", "variants": []}]
    assert started == "news splits the users of home: control 50%, diverse 50%\n"
    assert listed == "news  running  on home  control 50%, diverse 50%\n"
    assert ended == "news has ended; home has the settings of diverse\n"
    assert asked.of("/v1/experiments/news/end") == [{"ship": "diverse"}]
