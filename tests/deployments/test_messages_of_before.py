"""What replicas of earlier releases send: understood, or refused by name; what breaks that is seen here first."""

import json
from pathlib import Path

import msgspec
import pytest

from deployments.messages import unpack_fetched, unpack_queries, unpack_request
from deployments.predictor import Predictor

FIXTURES = Path(__file__).parents[1] / "fixtures"
BEFORE = json.loads((FIXTURES / "messages_c55e4c8.json").read_text())
NOW = json.loads((FIXTURES / "messages_0de27f3.json").read_text())
REQUESTS = sorted(NOW.keys() - {"queries", "fetched"})


def message(written, name):
    return bytes.fromhex(written[name]["hex"])


def as_json(content):
    return json.loads(msgspec.json.encode(content))


def holds(found, content):
    """Whether all that was said is understood as it was; what has been added since has its default."""
    if isinstance(content, dict):
        return all(holds(found[name], value) for name, value in content.items())
    if isinstance(content, list) and isinstance(found, list):
        # a tuple gets longer at its end
        return len(found) >= len(content) and all(map(holds, found, content))
    return found == content


@pytest.mark.parametrize("written", [BEFORE, NOW], ids=["c55e4c8", "0de27f3"])
def test_queries_of_a_micro_batch_and_what_was_fetched_for_them_are_understood(written):
    queries, fetched = unpack_queries(message(written, "queries")), unpack_fetched(message(written, "fetched"))

    assert len(queries) == 2
    assert holds(as_json(queries), written["queries"]["content"])
    assert holds(as_json(fetched), written["fetched"]["content"])
    assert [(each.item_id, each.offset) for each in fetched.states[0].recent] == [("i1", 7), ("i2", 9)]


@pytest.mark.parametrize("name", REQUESTS)
def test_a_read_request_is_understood_by_its_tag(name):
    request = unpack_request(message(NOW, name))

    assert type(request).__name__ == name
    assert holds(as_json(request), NOW[name]["content"])


def test_a_read_request_from_before_they_had_tags_is_refused_by_name():
    with pytest.raises(msgspec.ValidationError, match="missing required field `type`"):
        unpack_request(message(BEFORE, "rank"))


def test_the_calls_of_that_release_that_are_gone_are_those_that_the_page_names():
    """Between c55e4c8 and this release replicas do not serve side by side; see docs/upgrading.md."""
    then = {"recommend_many", "rank", "popular", "find_items", "leaders", "similar_items", "similar_users"}
    page = (FIXTURES.parents[1] / "docs" / "upgrading.md").read_text()

    gone = {name for name in then if not hasattr(Predictor.func_or_class, name)}
    assert gone == then - {"recommend_many"}
    assert all(f"`{name}`" in page for name in gone)
