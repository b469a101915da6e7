"""What a body may have of anything that costs memory or time."""

import msgspec
import pytest

from deployments.http.schemas import MAX_VALUES, ItemBody, RankRequest, RecommendationRequests
from recommender.dense_vectors.packing import with_lists


def decoded(kind: type, **body: object) -> object:
    return msgspec.json.decode(msgspec.json.encode(body), type=kind)


def test_a_record_has_a_bounded_number_of_values_of_features():
    words = [f"t{number}" for number in range(MAX_VALUES)]

    assert decoded(ItemBody, features={"tags": words})
    for features in ({"tags": [*words, "one more"]}, dict.fromkeys([*words, "one more"], 1)):
        with pytest.raises(msgspec.ValidationError, match="features have up to 1000 values in all, these have 1001"):
            decoded(ItemBody, features=features)
        with pytest.raises(msgspec.ValidationError, match="1001"):
            decoded(RankRequest, items=[{"item_id": "a", "features": features}])


def test_a_dense_vector_counts_as_one_value_and_has_at_most_4096_numbers():
    vector = [0.5] * 4096

    assert decoded(ItemBody, features=dict.fromkeys("abcdef", vector))
    for wrong in ([*vector, 0.5], [0.5]):
        with pytest.raises(msgspec.ValidationError, match=f"a list of {len(wrong)} numbers; .* has 2 to 4096"):
            decoded(ItemBody, features={"text": wrong})


def test_a_list_of_a_body_is_text_or_numbers_and_whole_numbers_are_a_vector_there():
    body = decoded(ItemBody, features={"text": [1, 0, 2], "tags": ["1", "2"], "none": []})
    assert isinstance(body, ItemBody)
    stored = body.item("a").features or {}

    assert with_lists(stored) == {"text": [1.0, 0.0, 2.0], "tags": ["1", "2"], "none": []}
    with pytest.raises(msgspec.ValidationError, match="the list of feature 'tags' mixes text and numbers"):
        decoded(ItemBody, features={"tags": ["a", 1]})
    with pytest.raises(msgspec.ValidationError, match="got `bool`"):
        decoded(ItemBody, features={"tags": [True, False]})


def test_a_boost_that_a_score_does_not_hold_is_refused_by_its_name():
    with pytest.raises(msgspec.ValidationError, match="the boost of genres:g1 is 1e\\+300"):
        decoded(RecommendationRequests, requests=[{"boost": {"genres:g1": 1e300}}])
