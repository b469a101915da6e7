"""Experiments over HTTP: users are split the same way everywhere, one experiment a placement, winners are shipped."""

import asyncio

import pytest

from lightfm_serve.records.assignment import variant_of
from recommender.evaluation.experiment_counts import VariantCounts
from recommender.serving.catalogue import Catalogue
from recommender.serving.experiments.experiment import EVERYWHERE, Experiment, Variant
from recommender.serving.placements.settings import write_document
from recommender.serving.recommender import Recommender
from recommender.stores.settings_log import SettingPut
from tests.support.known_worlds import shared_snapshot, with_meta
from tests.support.service_in_process import ServiceInProcess

SPLIT = {
    "placement": "home",
    "variants": [{"name": "control", "share": 0.5}, {"name": "short", "share": 0.5, "settings": {"k": 2}}],
    "guardrails": ["empty_share"],
    "min_exposures": 100,
}
SHARES = [("control", 0.5), ("short", 0.5)]
HOME, TEST = "/v1/placements/home", "/v1/experiments/news"
USERS = [f"u{number}" for number in range(12)]


@pytest.fixture
def service(monkeypatch) -> ServiceInProcess:
    return ServiceInProcess(monkeypatch, *(Recommender(Catalogue(shared_snapshot())) for _ in range(2)))


def sums(users: int, hits: int) -> VariantCounts:
    """Sums of users who were shown four answers each, and clicked on one of as many of them as there are hits."""
    return VariantCounts(users, 4 * users, hits, 16 * users, hits, 4 * hits, 4 * users, p99_ms=10.0)


def asked(user_id: str, more: str = "") -> tuple[int, str, str]:
    return len(user_id) % 2, "GET", f"/v1/users/{user_id}/recommendations?placement=home{more}"


def test_users_are_split_the_same_way_on_every_replica_and_in_the_client(service):
    _, made, *answers = service.run(
        (0, "PUT", HOME, {"k": 4}), (0, "PUT", TEST, SPLIT), *(asked(user_id) for user_id in USERS * 2)
    )
    variants = [each.json()["experiment"]["variant"] for each in answers]

    assert made.status_code == 201
    assert {each.json()["experiment"]["name"] for each in answers} == {"news"}
    assert variants == [variant_of("news", "", user_id, SHARES) for user_id in USERS * 2]
    assert {variant: {len(a.json()["items"]) for a, v in zip(answers, variants, strict=True) if v == variant}
            for variant in set(variants)} == {"control": {4}, "short": {2}}  # fmt: skip


def test_what_a_request_sets_itself_wins_and_other_places_are_left_alone(service):
    short = next(user_id for user_id in USERS if variant_of("news", "", user_id, SHARES) == "short")
    *_, own, elsewhere, nowhere = service.run(
        (0, "PUT", HOME, {"k": 4}),
        (0, "PUT", "/v1/placements/away", {"k": 3}),
        (0, "PUT", TEST, SPLIT),
        asked(short, "&k=5"),
        (0, "GET", f"/v1/users/{short}/recommendations?placement=away"),
        (0, "GET", f"/v1/users/{short}/recommendations"),
    )

    assert (len(own.json()["items"]), own.json()["experiment"]["variant"]) == (5, "short")
    assert "experiment" not in elsewhere.json()
    assert "experiment" not in nowhere.json()


def test_an_anonymous_session_is_split_by_its_session_id(service):
    sessions = [f"s{number}" for number in range(8)]
    bodies = [{"recent": ["i1"], "placement": "home", "session_id": each} for each in sessions]
    *_, answer, nobody = service.run(
        (0, "PUT", HOME, {}),
        (0, "PUT", TEST, SPLIT),
        (0, "POST", "/v1/recommendations", {"requests": bodies}),
        (0, "POST", "/v1/recommendations", {"requests": [{"recent": ["i1"], "placement": "home"}]}),
    )
    results = answer.json()["results"]

    assert [each["experiment"]["variant"] for each in results] == [variant_of("news", "", s, SHARES) for s in sessions]
    assert [each["session_id"] for each in results] == sessions
    assert "experiment" not in nobody.json()["results"][0]


def test_a_placement_has_one_experiment_at_a_time(service):
    _, first, second, same, changed, deleted, _, third = service.run(
        (0, "PUT", HOME, {}),
        (0, "PUT", TEST, SPLIT),
        (1, "PUT", "/v1/experiments/other", SPLIT),
        (0, "PUT", TEST, {**SPLIT, "min_exposures": 7}),
        (0, "PUT", TEST, {**SPLIT, "salt": "again"}),
        (0, "DELETE", HOME),
        (0, "POST", f"{TEST}/end", {}),
        (1, "PUT", "/v1/experiments/other", SPLIT),
    )

    assert [each.status_code for each in (first, second, same, changed, deleted, third)] == [
        201,
        409,
        200,
        409,
        409,
        201,
    ]
    assert "'news'" in second.json()["detail"]
    assert same.json()["min_exposures"] == 7


def test_an_experiment_tells_its_figures_and_a_decision_in_words(service):
    service.counts = {"control": sums(1_000, 400), "short": sums(1_000, 700)}
    *_, found, listed = service.run(
        (0, "PUT", HOME, {}),
        lambda: setattr(service, "counts", {}),
        (0, "PUT", TEST, SPLIT),
        lambda: setattr(service, "counts", {"control": sums(1_000, 400), "short": sums(1_000, 700)}),
        (0, "GET", TEST),
        (1, "GET", "/v1/experiments"),
    )
    told = found.json()

    assert (told["decision"], told["best"], told["status"]) == ("ship", "short", "running")
    assert "beyond doubt" in told["reason"]
    assert told["sample_ratio_p"] == 1.0
    control, short = told["variants"]
    assert (control["exposures"], control["users"], control["metric"]["value"]) == (4_000, 1_000, 0.1)
    assert control["metric"]["low"] < 0.1 < control["metric"]["high"]
    assert short["difference"]["low"] > 0
    assert short["settings"] == {"k": 2}
    assert listed.json()["experiments"][0]["name"] == "news"


def test_the_winners_settings_go_into_the_placement(service):
    *_, unknown, ended, again, placement, answer, history = service.run(
        (0, "PUT", HOME, {"k": 4, "diversity": 0.1}),
        (0, "PUT", TEST, SPLIT),
        (0, "POST", f"{TEST}/end", {"ship": "longer"}),
        (0, "POST", f"{TEST}/end", {"ship": "short"}),
        (0, "POST", f"{TEST}/end", {}),
        (1, "GET", HOME),
        asked("u3"),
        (1, "GET", f"{HOME}/history"),
    )

    assert [each.status_code for each in (unknown, ended, again)] == [422, 200, 409]
    assert (ended.json()["status"], ended.json()["shipped"]) == ("ended", "short")
    assert (placement.json()["k"], placement.json()["diversity"]) == (2, 0.1)
    assert (len(answer.json()["items"]), "experiment" in answer.json()) == (2, False)
    assert len(history.json()["changes"]) == 2


def test_a_name_with_figures_is_not_taken_twice(service):
    *_, again = service.run(
        (0, "PUT", HOME, {}),
        (0, "PUT", TEST, SPLIT),
        (0, "DELETE", TEST),
        lambda: setattr(service, "counts", {"control": sums(5, 1)}),
        (0, "PUT", TEST, SPLIT),
    )

    assert (again.status_code, "another name" in again.json()["detail"]) == (409, True)


def test_a_name_of_an_ended_experiment_with_figures_is_not_taken_again(service):
    *_, again = service.run(
        (0, "PUT", HOME, {}),
        (0, "PUT", TEST, SPLIT),
        (0, "POST", f"{TEST}/end", {}),
        lambda: setattr(service, "counts", {"control": sums(5, 1)}),
        (0, "PUT", TEST, SPLIT),
    )

    assert (again.status_code, "another name" in again.json()["detail"]) == (409, True)


@pytest.mark.parametrize(("over", "running"), [("early", "late"), ("late", "early")])
def test_an_experiment_whose_time_has_passed_does_not_hide_the_one_that_runs(service, over, running):
    *_, answer, third, revived, deleted = service.run(
        (0, "PUT", HOME, {}),
        (0, "PUT", f"/v1/experiments/{over}", {**SPLIT, "until": "2020-01-01T00:00:00Z"}),
        (0, "PUT", f"/v1/experiments/{running}", SPLIT),
        asked("u3"),
        (0, "PUT", "/v1/experiments/third", SPLIT),
        (0, "PUT", f"/v1/experiments/{over}", SPLIT),
        (0, "DELETE", HOME),
    )

    assert answer.json()["experiment"]["name"] == running
    assert [each.status_code for each in (third, revived, deleted)] == [409, 409, 409]
    assert all(repr(running) in each.json()["detail"] for each in (third, revived, deleted))


def test_what_was_answered_of_an_experiment_can_be_put_back(service):
    made = {**SPLIT, "until": "2099-01-01T00:00:00+02:00", "min_exposures": 7.0}
    _, answer = service.run((0, "PUT", HOME, {}), (0, "PUT", TEST, made))
    again, elsewhere = service.run(
        (0, "PUT", TEST, answer.json()), (0, "PUT", "/v1/experiments/other", {**answer.json(), "placement": "away"})
    )

    assert (answer.status_code, again.status_code, again.json()) == (201, 200, answer.json())
    assert (elsewhere.status_code, "the path names" in elsewhere.json()["detail"]) == (422, True)


def test_an_experiment_whose_time_has_passed_splits_nobody(service):
    *_, answer, told = service.run(
        (0, "PUT", HOME, {}),
        (0, "PUT", TEST, {**SPLIT, "until": "2020-01-01T00:00:00Z"}),
        asked("u3"),
        (0, "GET", TEST),
    )

    assert "experiment" not in answer.json()
    assert (told.json()["status"], told.json()["decision"]) == ("over", "wait")
    assert "over without a difference" in told.json()["reason"]


def test_a_variant_is_answered_by_its_version_and_until_that_is_here_nobody_is_counted(service):
    other = Recommender(Catalogue(with_meta(shared_snapshot(), version="00000002")))
    versions = [{"name": "old", "share": 0.5}, {"name": "new", "share": 0.5, "settings": {"model_version": "00000002"}}]
    new = next(user_id for user_id in USERS if variant_of("news", "", user_id, [("old", 0.5), ("new", 0.5)]) == "new")
    _, unknown, _, before, after = service.run(
        (0, "PUT", HOME, {}),
        (0, "PUT", TEST, {**SPLIT, "variants": [versions[0], {**versions[1], "settings": {"model_version": "9"}}]}),
        (0, "PUT", TEST, {**SPLIT, "variants": versions}),
        asked(new),
        lambda: [answerer.beside.serve(other) for answerer in service.answerers],
        asked(new),
    )

    assert (unknown.status_code, "'9'" in unknown.json()["detail"]) == (422, True)
    assert ("experiment" in before.json(), before.json()["model_version"]) == (False, "00000001")
    assert (after.json()["experiment"]["variant"], after.json()["model_version"]) == ("new", "00000002")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"variants": SPLIT["variants"][:1]}, "variants"),
        ({"metric": "joy"}, "click_rate"),
        ({"guardrails": ["luck"]}, "guardrails"),
        ({"until": "soon"}, "until"),
        ({"until": "2000000000"}, "until: '2000000000' is no time"),
        ({"until": "2030-W01"}, "RFC 3339"),
        ({"min_exposures": 1.5}, "min_exposures"),
        ({"variants": [SPLIT["variants"][0], {"name": "a\x00", "share": 0.5}]}, "control characters"),
        ({"colour": 1}, "colour"),
    ],
)
def test_what_is_no_experiment_is_refused_with_what_is_wrong(service, change, named):
    _, answer = service.run((0, "PUT", HOME, {}), (0, "PUT", TEST, {**SPLIT, **change}))

    assert (answer.status_code, named in answer.json()["detail"]) == (422, True)


def test_a_placement_that_there_is_not_cannot_be_split(service):
    [answer] = service.run((0, "PUT", TEST, SPLIT))

    assert (answer.status_code, answer.json()["detail"]) == (404, "there is no such placement 'home'; put it first")


def test_only_administrators_change_experiments(service):
    answers = service.run(
        (0, "PUT", HOME, {}),
        (0, "PUT", TEST, SPLIT, "w"),
        (0, "PUT", TEST, SPLIT),
        (0, "POST", f"{TEST}/end", {}, "w"),
        (0, "GET", TEST, None, "r"),
        (0, "GET", "/v1/experiments/never", None, "r"),
    )

    assert [each.status_code for each in answers] == [201, 403, 201, 403, 200, 404]


def test_what_cannot_be_shipped_is_refused_in_words(service):
    past = {**SPLIT, "until": "2020-01-01T00:00:00Z"}
    trial = Experiment(
        placement=EVERYWHERE, variants=(Variant(name="active", share=0.5), Variant(name="canary", share=0.5))
    )
    asyncio.run(service.store.put_settings([SettingPut("experiment", "canary-1", write_document(trial))], 1.0))
    *_, gone, by_itself, listed = service.run(
        (0, "PUT", HOME, {}),
        (0, "PUT", TEST, past),
        (0, "DELETE", HOME),
        (0, "POST", f"{TEST}/end", {"ship": "short"}),
        (0, "POST", "/v1/experiments/canary-1/end", {"ship": "canary"}),
        (0, "GET", "/v1/experiments"),
    )

    assert (gone.status_code, "is gone" in gone.json()["detail"]) == (409, True)
    assert (by_itself.status_code, "by itself" in by_itself.json()["detail"]) == (409, True)
    assert [each["name"] for each in listed.json()["experiments"]] == ["canary-1", "news"]
