"""`recommender placements` against a service that says what it was asked."""

import json

from click.testing import CliRunner

from lightfm_serve.cli import main
from tests.support.scripted_server import Reply, problem, with_request_ids

HOME = {"name": "home", "k": 5, "rules": [{"pin": "a", "position": 1, "from": "2026-01-01T00:00:00Z"}]}
STORED = {**HOME, "number": 3, "updated_at": 1.5}
HISTORY = {
    "name": "home",
    "changes": [
        {"number": 4, "at": 7.0, "settings": None},
        {"number": 3, "at": 1.5, "settings": {"k": 5, "filter": ["genres:Comedy"]}},
    ],
}


def run(reply, *words: str, typed: str | None = None):
    with with_request_ids(reply) as talk:
        done = CliRunner().invoke(main, ["placements", *words, "--url", talk.url], input=typed)
    return done, talk


def answering(**replies):
    """Replies by the end of the path."""

    def reply(asked):
        last = asked.path.rpartition("/")[2]
        return replies.get(last, Reply(200, STORED)) if last != "healthz" else Reply(200, {"status": "ok"})

    return reply


def test_placements_are_listed_in_words_and_for_machines():
    found, _ = run(answering(placements=Reply(200, {"placements": [STORED]})), "list")
    plain, _ = run(answering(placements=Reply(200, {"placements": [STORED]})), "list", "--json")

    assert found.output == "home  change 3  k 5, 1 rule\n"
    assert json.loads(plain.output) == [STORED]


def test_what_is_shown_can_be_put():
    shown, _ = run(answering(), "show", "home")
    done, talk = run(answering(), "put", "home", "-", typed=shown.output)

    assert talk.of("/v1/placements/home")[-1] == STORED
    assert done.output == "home is as in change 3\n"


def test_a_change_of_the_history_is_put_back():
    listed, _ = run(answering(history=Reply(200, HISTORY)), "history", "home")
    done, talk = run(answering(history=Reply(200, HISTORY)), "restore", "home", "3")
    never, _ = run(answering(history=Reply(200, HISTORY)), "restore", "home", "4")

    assert listed.output.splitlines() == [
        "4  1970-01-01 00:00:07 UTC  deleted",
        "3  1970-01-01 00:00:01 UTC  k 5, filter genres:Comedy",
    ]
    assert talk.of("/v1/placements/home")[-1] == {"k": 5, "filter": ["genres:Comedy"]}
    assert done.exit_code == 0
    assert (never.exit_code, "there are 3" in never.output) == (1, True)


def test_what_is_wrong_is_said_in_one_line():
    refused, _ = run(answering(home=problem(422)), "put", "home", "-", typed="{}")
    no_json, _ = run(answering(), "put", "home", "-", typed="k: 5")

    assert (refused.exit_code, no_json.exit_code) == (1, 1)
    assert "no JSON" in no_json.output
