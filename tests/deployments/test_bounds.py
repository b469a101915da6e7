"""What a body may have of anything that costs memory or time."""

import msgspec
import pytest

from deployments.http.schemas import MAX_VALUES, ItemBody, RankRequest, RecommendationRequests


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


def test_a_boost_that_a_score_does_not_hold_is_refused_by_its_name():
    with pytest.raises(msgspec.ValidationError, match="the boost of genres:g1 is 1e\\+300"):
        decoded(RecommendationRequests, requests=[{"boost": {"genres:g1": 1e300}}])
