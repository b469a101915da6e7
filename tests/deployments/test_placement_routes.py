"""Placements over HTTP: stored, numbered, acting on the next request of every replica, wrong ones refused by name."""

import pytest

from recommender.errors import StoreUnavailableError
from recommender.serving.catalogue import Catalogue
from recommender.serving.recommender import Recommender
from tests.support.known_worlds import learned_world, shared_snapshot, with_meta
from tests.support.service_in_process import ServiceInProcess

HOME = {
    "k": 4,
    "filter": ["group:g1"],
    "diversity": 0.2,
    "exclude_seen": False,
    "rules": [{"pin": "i7", "position": 2, "from": "2020-01-01T00:00:00Z"}, {"bury": "tags:t0"}],
}
ASKED = "/v1/users/u3/recommendations"


@pytest.fixture
def service(monkeypatch) -> ServiceInProcess:
    return ServiceInProcess(monkeypatch, *(Recommender(Catalogue(shared_snapshot())) for _ in range(2)))


def ids(answer) -> list[str]:
    return [item["item_id"] for item in answer.json()["items"]]


def test_a_placement_is_put_read_listed_and_deleted(service):
    made, again, read, listed, deleted, gone = service.run(
        (0, "PUT", "/v1/placements/home", HOME),
        (0, "PUT", "/v1/placements/home", {"name": "home", "k": 3, "number": 1, "updated_at": 1.5}),
        (1, "GET", "/v1/placements/home"),
        (1, "GET", "/v1/placements"),
        (1, "DELETE", "/v1/placements/home"),
        (0, "GET", "/v1/placements/home"),
    )

    assert (made.status_code, again.status_code, deleted.status_code, gone.status_code) == (201, 200, 204, 404)
    assert made.json() == {"name": "home", **HOME, "number": 1, "updated_at": made.json()["updated_at"]}
    assert read.json() == {"name": "home", "k": 3, "number": 2, "updated_at": read.json()["updated_at"]}
    assert listed.json() == {"placements": [read.json()]}


def test_the_history_of_a_placement_can_be_put_back(service):
    *_, history, never = service.run(
        (0, "PUT", "/v1/placements/home", HOME),
        (0, "DELETE", "/v1/placements/home"),
        (0, "GET", "/v1/placements/home/history"),
        (0, "GET", "/v1/placements/away/history"),
    )
    changes = history.json()["changes"]
    [back] = service.run((0, "PUT", "/v1/placements/home", changes[1]["settings"]))

    assert [(each["number"], each["settings"] is None) for each in changes] == [(2, True), (1, False)]
    assert (back.status_code, back.json()["rules"]) == (201, HOME["rules"])
    assert never.status_code == 404


def test_settings_act_on_the_next_request_of_every_replica_and_those_of_the_request_win(service):
    _, first, second, won, _, after, _, gone = service.run(
        (0, "PUT", "/v1/placements/home", HOME),
        (0, "GET", f"{ASKED}?placement=home"),
        (1, "GET", f"{ASKED}?placement=home"),
        (1, "GET", f"{ASKED}?placement=home&k=6&filter=group:g0"),
        (0, "PUT", "/v1/placements/home", {**HOME, "k": 2}),
        (1, "GET", f"{ASKED}?placement=home"),
        (0, "DELETE", "/v1/placements/home"),
        (1, "GET", f"{ASKED}?placement=home"),
    )

    assert first.status_code == 200, first.text
    assert ids(first) == ids(second)
    assert len(ids(first)) == 4
    assert (ids(first)[1], first.json()["items"][1]["rule"], first.json()["placement"]) == ("i7", "pin", "home")
    assert all(int(item_id[1:]) % 2 for item_id in ids(first))
    assert len(ids(won)) == 6
    assert not any(int(item_id[1:]) % 2 for item_id in ids(won))
    assert len(ids(after)) == 2
    assert (gone.status_code, gone.json()["detail"]) == (404, "there is no placement 'home'")


def test_each_request_of_a_body_has_the_placement_that_it_names(service):
    _, answer, unknown = service.run(
        (0, "PUT", "/v1/placements/home", {"k": 3, "explore": 0.0, "boost": {"group:g0": 9}}),
        (
            0,
            "POST",
            "/v1/recommendations",
            {"requests": [{"user_id": "u3", "placement": "home"}, {"user_id": "u3"}, {"placement": "home", "k": 5}]},
        ),
        (0, "POST", "/v1/recommendations", {"requests": [{"user_id": "u3"}, {"user_id": "u3", "placement": "x"}]}),
    )
    results = answer.json()["results"]

    assert [len(each["items"]) for each in results] == [3, 9, 5]
    assert [each.get("placement") for each in results] == ["home", None, "home"]
    assert int(results[0]["items"][0]["item_id"][1:]) % 2 == 0
    assert (unknown.status_code, unknown.headers["content-type"]) == (404, "application/problem+json")


def test_what_a_placement_says_of_users_of_whom_nothing_is_known_holds(service):
    _, refused, allowed = service.run(
        (0, "PUT", "/v1/placements/home", {"fallback": "none"}),
        (0, "GET", "/v1/users/nobody/recommendations?placement=home"),
        (0, "GET", "/v1/users/nobody/recommendations?placement=home&fallback=popular"),
    )

    assert (refused.status_code, allowed.status_code) == (404, 200)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"colour": "red"}, "colour"),
        ({"k": 0}, "k"),
        ({"explore": 2}, "explore"),
        ({"filter": ["Comedy"]}, "genres:Comedy"),
        ({"rules": [{"pin": "a"}]}, "position is missing"),
        ({"rules": [{"pin": "a", "position": 1, "share": 0.5}]}, "share does not belong to pin"),
        ({"rules": [{"pin": "a", "bury": "genres:Horror"}]}, "has 2"),
        ({"rules": [{}]}, "has 0"),
        ({"rules": [{"bury": "genres:Horror", "from": "yesterday"}]}, "RFC 3339"),
        ({"rules": [{"bury": "a:b", "from": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}]}, "before until"),
        ({"name": "away"}, "the path names"),
        ({"rules": [{"pin": "é" * 200, "position": 1}]}, "256 bytes"),
        ({"rules": [{"pin": "a\x00", "position": 1}]}, "control characters"),
        ({"rules": [{"bury": "a:b", "from": "2026-W01-1"}]}, "RFC 3339"),
        ({"rules": [{"bury": "a:b", "until": "2026-02-30T00:00:00Z"}]}, "until: '2026-02-30T00:00:00Z' is neither"),
    ],
)
def test_what_is_no_placement_is_refused_with_what_is_wrong(service, body, named):
    [answer] = service.run((0, "PUT", "/v1/placements/home", body))

    assert answer.status_code == 422
    assert named in answer.json()["detail"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"pin": "a", "position": 1}, {"pin": "b", "position": 1}),
        ({"pin": "a", "position": 1}, {"pin": "a", "position": 2}),
        ({"promote": "genres:Comedy", "share": 0.6}, {"promote": "genres:Drama", "share": 0.6}),
        ({"promote": "genres:Comedy", "share": 0.2}, {"promote": "genres:Comedy", "share": 0.3}),
        ({"promote": "genres:Comedy", "share": 0.2}, {"bury": "genres:Comedy"}),
        ({"promote": "brand:A", "share": 0.5}, {"limit": "brand", "at_most": 1, "within": 5}),
        ({"limit": "brand", "at_most": 1, "within": 5}, {"limit": "brand", "at_most": 2, "within": 5}),
    ],
)
def test_rules_that_contradict_one_another_are_refused_and_both_named(service, one, other):
    early, late = {"until": "2026-01-01T00:00:00Z"}, {"from": "2026-01-01T00:00:00Z"}
    both, apart = service.run(
        (0, "PUT", "/v1/placements/home", {"rules": [one, other]}),
        (0, "PUT", "/v1/placements/home", {"rules": [{**one, **early}, {**other, **late}]}),
    )

    assert both.status_code == 422
    for rule in (one, other):
        assert all(str(value) in both.json()["detail"] for value in rule.values())
    assert apart.status_code == 201


def test_json_knows_one_kind_of_number_for_counts_too(service):
    [answer] = service.run(
        (0, "PUT", "/v1/placements/home", {"rules": [{"pin": "i7", "position": 2.0}, {"pin": "i8", "position": 1}]}),
    )

    assert (answer.status_code, answer.json()["rules"][0]) == (201, {"pin": "i7", "position": 2})


def test_an_item_pinned_behind_a_list_that_is_too_short_is_not_lost(service):
    pinned = {"k": 10, "exclude_seen": False, "rules": [{"pin": "i7", "position": 16}, {"pin": "i8", "position": 12}]}
    candidates = ["i7", "i8", "i1", "i2"]
    _, answer, full = service.run(
        (0, "PUT", "/v1/placements/home", pinned),
        (0, "POST", "/v1/recommendations", {"requests": [{"placement": "home", "candidates": candidates}]}),
        (0, "POST", "/v1/recommendations", {"requests": [{"placement": "home", "candidates": candidates, "k": 2}]}),
    )
    listed = answer.json()["results"][0]["items"]

    assert [item["item_id"] for item in listed[2:]] == ["i8", "i7"]
    assert [item.get("rule") for item in listed] == [None, None, "pin", "pin"]
    assert {item["item_id"] for item in full.json()["results"][0]["items"]} == {"i1", "i2"}


def test_nothing_is_pinned_for_somebody_unknown_where_there_is_no_fallback(service):
    rules = [{"pin": "i7", "position": 1}, {"promote": "group:g0", "share": 0.5}, {"bury": "tags:t0"}]
    _, refused, in_a_body = service.run(
        (0, "PUT", "/v1/placements/home", {"fallback": "none", "rules": rules}),
        (0, "GET", "/v1/users/nobody/recommendations?placement=home"),
        (0, "POST", "/v1/recommendations", {"requests": [{"user_id": "nobody", "placement": "home"}]}),
    )
    [found] = in_a_body.json()["results"]

    assert refused.status_code == 404
    assert (found["strategy"], found["items"]) == ("none", [])


def test_a_placement_that_contradicts_a_variant_of_its_running_experiment_is_refused(service):
    variants = [
        {"name": "control", "share": 0.5},
        {"name": "grave", "share": 0.5, "settings": {"filter": ["-group:g0"]}},
    ]
    promoted = {"rules": [{"promote": "group:g0", "share": 0.5}]}
    *_, refused, fine, _, allowed = service.run(
        (0, "PUT", "/v1/placements/home", {}),
        (0, "PUT", "/v1/experiments/news", {"placement": "home", "variants": variants}),
        (0, "PUT", "/v1/placements/home", promoted),
        (0, "PUT", "/v1/placements/home", {"k": 4}),
        (0, "DELETE", "/v1/experiments/news"),
        (0, "PUT", "/v1/placements/home", promoted),
    )

    assert (refused.status_code, fine.status_code, allowed.status_code) == (422, 200, 200)
    assert "'grave'" in refused.json()["detail"]
    assert "-group:g0" in refused.json()["detail"]


def test_only_administrators_change_placements(service):
    answers = service.run(
        (0, "PUT", "/v1/placements/home", {}, "w"),
        (0, "PUT", "/v1/placements/home", {}),
        (0, "DELETE", "/v1/placements/home", None, "w"),
        (0, "GET", "/v1/placements/home", None, "r"),
    )

    assert [answer.status_code for answer in answers] == [403, 201, 403, 200]


def test_the_last_known_settings_serve_while_the_store_is_away(service, monkeypatch):
    async def away(*_: object) -> None:
        raise StoreUnavailableError("away")

    service.run((0, "PUT", "/v1/placements/home", {"k": 3}))

    def down() -> None:
        monkeypatch.setattr(service.store, "fetch", away)
        monkeypatch.setattr(service.store, "settings", away)

    asked = ("GET", f"{ASKED}?placement=home")
    _, known, forgotten = service.run((0, *asked), down, (0, *asked), (1, *asked))

    assert (len(ids(known)), known.json()["degraded"]) == (3, ["features", "placements"])
    assert (len(ids(forgotten)), forgotten.json()["placement"]) == (9, "home")
    assert forgotten.json()["degraded"] == ["features", "placements"]


def test_settings_are_looked_at_before_they_are_put_and_nothing_counts_as_shown(service):
    shown, refused, absent = service.run(
        (0, "POST", "/v1/placements/home/preview", {"user_id": "u3", "settings": HOME}),
        (0, "POST", "/v1/placements/home/preview", {"settings": {"rules": [{}]}}),
        (0, "GET", "/v1/placements/home"),
    )

    assert (ids(shown)[1], shown.json()["items"][1]["rule"], len(ids(shown))) == ("i7", "pin", 4)
    assert (refused.status_code, absent.status_code) == (422, 404)


def test_a_version_that_does_not_serve_is_looked_at_with_the_catalogue_as_it_is_now(service):
    service.snapshots["00000002"] = with_meta(learned_world().snapshot(), version="00000002")
    asked = ("POST", "/v1/placements/home/preview", {"user_id": "u3", "settings": {"k": 3}})
    active, _, other, again, unknown = service.run(
        (0, *asked),
        (0, "PUT", "/v1/items/i1", {"available": False}),
        *((0, *asked[:2], {**asked[2], "model_version": version}) for version in ("00000002", "00000002", "00000009")),
    )

    assert (active.json()["model_version"], other.json()["model_version"]) == ("00000001", "00000002")
    assert ids(other) == ids(again)
    assert "i1" not in ids(other)
    assert [item["score"] for item in active.json()["items"]] != [item["score"] for item in other.json()["items"]]
    assert (unknown.status_code, "00000009" in unknown.json()["detail"]) == (404, True)
