"""Chapter 3 of the contract, on MovieLens-100k, over the real graph."""

from urllib.parse import quote

import httpx
import pytest

KNOWN = "196"
OTHERS = {"22", "244"}
"""Users of whom other tests take for granted that they are there."""
SCI_FI = {"genres": ["Sci-Fi", "Action"], "release_year": 1996}
NUMERALS = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII", "XIII", "XIV", "XV", "XVI"]


def recommend(client: httpx.Client, user_id: str, **parameters: object) -> dict:
    answer = client.get(f"/v1/users/{user_id}/recommendations", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ask(client: httpx.Client, *requests: dict) -> list[dict]:
    answer = client.post("/v1/recommendations", json={"requests": list(requests)})
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


def test_a_known_user_gets_personal_titled_items_that_they_have_not_seen(client):
    seen = client.get(f"/v1/users/{KNOWN}/interactions", params={"limit": 1000}).json()["interactions"]
    answer = recommend(client, KNOWN, k=100)

    assert (answer["strategy"], answer["case"]) == ("personalized", "I")
    assert len(answer["items"]) == 100
    assert all(item["title"] for item in answer["items"])
    assert not {item["item_id"] for item in answer["items"]} & {each["item_id"] for each in seen}


def test_items_come_best_first_and_none_twice(client):
    items = recommend(client, KNOWN, k=1000)["items"]
    scores = [item["score"] for item in items]

    assert scores == sorted(scores, reverse=True)
    assert len({item["item_id"] for item in items}) == len(items)


def test_an_unknown_user_gets_what_is_popular(client):
    answer = recommend(client, "nobody-knows-me")
    popular = client.get("/v1/popular").json()

    assert (answer["strategy"], answer["case"]) == ("popular", "IV")
    assert [item["item_id"] for item in answer["items"]] == [item["item_id"] for item in popular["items"]]


def test_an_unknown_user_without_fallback_is_not_found(client):
    answer = client.get("/v1/users/nobody-knows-me/recommendations", params={"fallback": "none"})

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_features_alone_make_case_two_and_unknown_ones_are_named(client):
    (answer,) = ask(client, {"features": {"age": 24, "gender": "M", "shoe_size": 44}})

    assert (answer["strategy"], answer["case"]) == ("features", "II")
    assert answer["ignored_features"] == ["shoe_size"]


def test_an_anonymous_session_is_answered_from_its_recent_items(client):
    (answer,) = ask(client, {"recent": ["50", "172"], "k": 50})

    assert (answer["strategy"], answer["case"]) == ("recent", "IV")
    assert not {"50", "172"} & {item["item_id"] for item in answer["items"]}


def test_an_empty_map_of_features_hides_the_stored_ones(client):
    stored, hidden = ask(client, {"user_id": KNOWN}, {"user_id": KNOWN, "features": {}})

    assert (stored["case"], hidden["case"]) == ("I", "III")


def test_a_filter_must_hold_and_a_negated_one_must_not(client):
    wanted = {"filter": ["genres:Comedy", "-genres:Romance"], "k": 200}
    items = recommend(client, KNOWN, **wanted)["items"]

    assert items
    for item in items[:20]:
        genres = client.get(f"/v1/items/{item['item_id']}").json()["features"]["genres"]
        assert "Comedy" in genres
        assert "Romance" not in genres


def test_one_name_several_times_means_or(client):
    horrors, westerns, either = (
        {item["item_id"] for item in recommend(client, KNOWN, k=1000, filter=names)["items"]}
        for names in (["genres:Horror"], ["genres:Western"], ["genres:Horror", "genres:Western"])
    )

    assert horrors - westerns
    assert either == horrors | westerns


def test_only_candidates_are_ranked_and_excluded_ones_left_out(client):
    (answer,) = ask(client, {"user_id": KNOWN, "candidates": ["50", "172", "181"], "exclude": ["172"], "k": 10})

    assert {item["item_id"] for item in answer["items"]} <= {"50", "181"}
    assert answer["items"]


def test_explanations_add_up_to_the_score(client):
    for item in recommend(client, KNOWN, explain=True, k=20)["items"]:
        total = sum(part["contribution"] for part in item["explanation"])

        assert total == pytest.approx(item["score"], abs=1e-4)
        assert item["because"].startswith("because ")


def test_a_sentence_names_what_the_user_has_chosen(client):
    seen = client.get(f"/v1/users/{KNOWN}/interactions", params={"limit": 1000}).json()["interactions"]
    titles = {client.get(f"/v1/items/{each['item_id']}").json()["title"] for each in seen}
    sentences = [item["because"] for item in recommend(client, KNOWN, explain=True, k=20)["items"]]
    said = [each for each in sentences if each.startswith("because you chose ")]
    (session,) = ask(client, {"recent": ["50"], "explain": True, "k": 3})

    assert said
    assert all(any(each.startswith(f"because you chose {title}") for title in titles) for each in said)
    assert session["items"][0]["because"].startswith("because you chose Star Wars")


def test_what_has_just_happened_is_popular_and_trends_at_once(client):
    client.put("/v1/items/hot-1", json={"features": SCI_FI, "title": "Hot"})
    boards = {
        "popular": {"window_s": 60, "k": 1000},
        "trending": {"window_s": 3_600, "k": 1000},
        "popular of westerns": {"window_s": 60, "k": 1000, "filter": "genres:Western"},
    }

    def score_on(board: str) -> float | None:
        # replicas take turns
        answers = [
            client.get(f"/v1/{board.split(maxsplit=1)[0]}", params=boards[board]).json()["items"] for _ in range(4)
        ]
        scores = {next((each["score"] for each in items if each["item_id"] == "hot-1"), None) for items in answers}
        assert len(scores) == 1
        return scores.pop()

    interactions = [{"user_id": f"fan-{number}", "item_id": "hot-1"} for number in range(7)]
    old = {"user_id": "fan-of-old", "item_id": "hot-1", "timestamp": "2020-01-01T00:00:00Z"}
    before = [score_on(board) for board in boards]
    client.post("/v1/interactions", json={"interactions": [*interactions, old]})
    first = [score_on(board) for board in boards]
    client.delete("/v1/users/fan-0")
    second = [score_on(board) for board in boards]
    client.delete("/v1/items/hot-1")

    assert before == [None, None, None]
    assert (first[0], first[2], second[0]) == (7, None, 6)
    assert first[1] > second[1] > 2
    assert [score_on(board) for board in boards] == [None, None, None]


def test_a_batch_answers_in_order_as_single_requests_do(client):
    users = [KNOWN, "nobody", "22", "244"]
    together = ask(client, *({"user_id": user} for user in users))
    apart = [recommend(client, user) for user in users]

    assert [answer["user_id"] for answer in together] == users
    for one, other in zip(together, apart, strict=True):
        assert [item["item_id"] for item in one["items"]] == [item["item_id"] for item in other["items"]]


def test_a_bad_request_in_a_batch_fails_it_whole_and_is_named(client):
    answer = client.post("/v1/recommendations", json={"requests": [{"user_id": KNOWN}, {"user_id": KNOWN, "k": 0}]})

    assert answer.status_code == 422
    assert "requests[1]" in answer.json()["errors"][0]["loc"]


def test_ranking_shows_all_sixteen_cases(client):
    items = ["50", {"item_id": "new-1", "features": SCI_FI}, {"item_id": "50", "features": {}}, {"item_id": "new-2"}]
    people = [
        {"user_id": KNOWN},
        {"features": {"age": 24, "gender": "M"}},
        {"user_id": KNOWN, "features": {}},
        {"user_id": "nobody-knows-me"},
    ]
    cases = []
    for person in people:
        answer = client.post("/v1/rank", json={**person, "items": items}).json()
        assert [each["item_id"] for each in answer["unscored"]] == ["new-2"]
        cases += [each["case"] for each in [*answer["items"], *answer["unscored"]]]

    assert sorted(cases, key=NUMERALS.index) == NUMERALS


def test_a_ranking_scores_as_a_recommendation_does(client):
    (recommended,) = ask(client, {"user_id": KNOWN, "candidates": ["50", "181", "100"], "exclude_seen": False})
    ranked = client.post("/v1/rank", json={"user_id": KNOWN, "items": ["50", "181", "100"]}).json()

    scores = {item["item_id"]: item["score"] for item in recommended["items"]}
    assert {item["item_id"]: item["score"] for item in ranked["items"]} == pytest.approx(scores, abs=1e-4)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/users/196/recommendations?k=0", 422),
        ("/v1/users/196/recommendations?k=1001", 422),
        ("/v1/users/196/recommendations?k=ten", 422),
        ("/v1/users/196/recommendations?filter=Comedy", 422),
        ("/v1/users/196/recommendations?fallback=guess", 422),
        ("/v1/users/%00/recommendations", 422),
        ("/v1/users/%FF/recommendations", 422),
        (f"/v1/users/{'x' * 257}/recommendations", 422),
        ("/v1/users/196/recommendations?diversity=1.1", 422),
        ("/v1/users/196/recommendations?cursor=nonsense", 422),
        ("/v1/users/196/recommendations?boost=Western", 422),
        ("/v1/users/196/recommendations?diversity=nan", 422),
        ("/v1/users/196/similar?k=0", 422),
        ("/v1/items/50/similar?k=1001", 422),
        ("/v1/items/50/similar?filter=Comedy", 422),
        ("/v1/items/%00/similar", 422),
        ("/v1/nothing", 404),
    ],
)
def test_every_error_is_a_problem_with_its_reason(client, path, status):
    answer = client.get(path)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert answer.json()["detail"]


def test_a_method_that_is_not_there_is_a_problem_too(client):
    answer = client.delete("/v1/popular")

    assert answer.status_code == 405
    assert answer.json()["status"] == 405


def similar(client: httpx.Client, what: str, **parameters: object) -> dict:
    answer = client.get(f"/v1/{what}/similar", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_similar_items_come_most_alike_first_without_the_item_itself(client):
    answer = similar(client, "items/50", k=20)
    scores = [item["score"] for item in answer["items"]]

    assert answer["item_id"] == "50"
    assert len(answer["items"]) == 20
    assert "50" not in {item["item_id"] for item in answer["items"]}
    assert scores == sorted(scores, reverse=True)
    assert all(-1 <= score <= 1 for score in scores)


def test_similarity_of_items_is_mutual(client):
    nearest = similar(client, "items/50", k=1)["items"][0]
    back = {item["item_id"]: item["score"] for item in similar(client, f"items/{nearest['item_id']}", k=1000)["items"]}

    assert back["50"] == pytest.approx(nearest["score"], abs=1e-6)


def test_similar_items_are_filtered_and_a_new_one_is_asked_for_and_found_until_it_is_deleted(client):
    name = "a new/western"
    path = f"/v1/items/{name.replace(' ', '%20').replace('/', '%2F')}"
    features = client.get("/v1/items/50").json()["features"]
    assert client.put(path, json={"features": features, "title": "New"}).status_code == 201

    found = similar(client, path.removeprefix("/v1/"), k=100, filter="genres:Sci-Fi")["items"]
    assert found
    for item in found[:5]:
        assert "Sci-Fi" in client.get(f"/v1/items/{item['item_id']}").json()["features"]["genres"]
    assert name in {item["item_id"] for item in similar(client, "items/50", k=1000)["items"]}
    assert client.delete(path).status_code == 204
    assert name not in {item["item_id"] for item in similar(client, "items/50", k=1000)["items"]}
    assert client.get(f"{path}/similar").status_code == 404


def test_similar_users_come_most_alike_first_without_the_user_and_without_deleted_ones(client):
    answer = similar(client, f"users/{KNOWN}", k=20)
    scores = [user["score"] for user in answer["users"]]
    gone = next(user["user_id"] for user in answer["users"] if user["user_id"] not in OTHERS)

    assert (answer["user_id"], len(answer["users"])) == (KNOWN, 20)
    assert KNOWN not in {user["user_id"] for user in answer["users"]}
    assert scores == sorted(scores, reverse=True)
    assert client.delete(f"/v1/users/{gone}").status_code == 204
    after = similar(client, f"users/{KNOWN}", k=20)["users"]
    assert gone not in {user["user_id"] for user in after}
    assert after[:19] == [user for user in answer["users"] if user["user_id"] != gone]
    assert client.get(f"/v1/users/{gone}/similar").status_code == 404


def test_a_stranger_has_neighbours_as_soon_as_something_is_known_of_them(client):
    assert client.get("/v1/users/stranger-with-neighbours/similar").status_code == 404
    assert client.put("/v1/users/stranger-with-neighbours", json={"features": {"gender": "M"}}).status_code == 201

    assert len(similar(client, "users/stranger-with-neighbours")["users"]) == 10


def test_diversity_trades_likeness_and_leaves_the_first_and_the_scores_alone(client):
    plain, varied = (recommend(client, KNOWN, k=20, diversity=weight)["items"] for weight in (0, 0.9))
    (posted,) = ask(client, {"user_id": KNOWN, "k": 20, "diversity": 0.9})
    pool = {item["item_id"]: item["score"] for item in recommend(client, KNOWN, k=100)["items"]}

    assert plain == recommend(client, KNOWN, k=20)["items"]
    assert varied[0] == plain[0]
    assert {item["item_id"] for item in varied} != {item["item_id"] for item in plain}
    assert len({item["item_id"] for item in varied}) == 20
    assert {item["item_id"]: item["score"] for item in varied}.items() <= pool.items()
    assert posted["items"] == varied


@pytest.mark.parametrize("path", ["/v1/items/no-such-item/similar", "/v1/users/no-such-user/similar"])
def test_neighbours_of_what_nobody_knows_are_not_found(client, path):
    answer = client.get(path)

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_pages_follow_each_other_without_repeats_over_both_ways(client):
    whole = [item["item_id"] for item in recommend(client, KNOWN, k=60)["items"]]
    first = recommend(client, KNOWN, k=20)
    (second,) = ask(client, {"user_id": KNOWN, "k": 20, "cursor": first["next_cursor"]})
    third = recommend(client, KNOWN, k=20, cursor=second["next_cursor"])

    assert [item["item_id"] for page in (first, second, third) for item in page["items"]] == whole
    assert third["next_cursor"]


def test_a_boost_lifts_what_has_the_feature_and_is_explained(client):
    plain = recommend(client, KNOWN, k=10)["items"]
    boosted = recommend(client, KNOWN, k=10, boost="genres:Western:100", explain=True)["items"]
    (posted,) = ask(client, {"user_id": KNOWN, "k": 10, "boost": {"genres:Western": 100}})

    assert [item["item_id"] for item in posted["items"]] == [item["item_id"] for item in boosted] != plain
    assert "Western" in client.get(f"/v1/items/{boosted[0]['item_id']}").json()["features"]["genres"]
    assert {"feature": "boost genres:Western", "contribution": 100} in boosted[0]["explanation"]


@pytest.mark.parametrize("wrong", [{"cursor": "nonsense"}, {"boost": {"Western": 1}}, {"boost": {"a:b": "much"}}])
def test_a_wrong_cursor_or_boost_names_its_place(client, wrong):
    answer = client.post("/v1/recommendations", json={"requests": [{"user_id": KNOWN, **wrong}]})

    assert answer.status_code == 422
    assert "requests[0]" in answer.json()["errors"][0]["loc"]


def test_the_latest_item_is_the_one_that_was_put_last(client):
    assert client.put("/v1/items/latest-1", json={"title": "Last", "features": {"genres": ["Western"]}}).is_success
    first = client.get("/v1/latest", params={"k": 1, "filter": "genres:Western"}).json()["items"]

    assert [(item["item_id"], item["title"]) for item in first] == [("latest-1", "Last")]
    assert client.delete("/v1/items/latest-1").status_code == 204
    assert "latest-1" not in {item["item_id"] for item in client.get("/v1/latest").json()["items"]}


@pytest.mark.parametrize("user", ["305", "nobody/at all", "\u00fc"])
@pytest.mark.parametrize("query", ["", "k=1", "k=999", "k=1000", "k=01", "k=0", "k=-1", "k=x", "k=", "k=1&k=2"])
def test_the_short_way_answers_as_the_long_one(client, user, query):
    path = f"/v1/users/{quote(user, safe='')}/recommendations"
    short, long = client.get(f"{path}?{query}"), client.get(f"{path}?{query}&explain=false")

    assert short.status_code == long.status_code
    assert without_id(short.json()) == without_id(long.json())


def without_id(body: dict) -> dict:
    return {name: value for name, value in body.items() if name != "recommendation_id"}
