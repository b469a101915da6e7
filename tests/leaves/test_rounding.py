"""A score is rounded alike, whether few go out or many."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommender import rounding

SCORES = st.one_of(st.just(0.0), st.floats(2**-30, 2**20, width=32), st.floats(-(2**20), -(2**-30), width=32))


@given(st.lists(SCORES, min_size=1, max_size=20))
def test_few_scores_are_rounded_like_many(scores):
    few = rounding.short_all(np.array(scores, np.float32))
    many = rounding.short_all(np.array([*scores, *[0.0] * rounding.FEW], np.float32))

    assert few == many[: len(scores)]
