"""Every error travels through Ray as it was raised."""

import copy
import pickle
import re

import pytest

from recommender import errors
from recommender.errors import RecommenderError, UnknownUserError


def tree(kind: type[RecommenderError]) -> list[type[RecommenderError]]:
    return [kind, *(each for child in kind.__subclasses__() for each in tree(child))]


@pytest.mark.parametrize("kind", tree(RecommenderError))
def test_an_error_survives_pickle_with_its_message(kind):
    travelled = pickle.loads(pickle.dumps(kind("what was wrong with 'x'")))  # noqa: S301 (as Ray does)

    assert type(travelled) is kind
    assert str(travelled) == "what was wrong with 'x'"
    assert travelled.args == ("what was wrong with 'x'",)


@pytest.mark.parametrize("kind", tree(RecommenderError))
def test_an_error_survives_copying(kind):
    assert str(copy.deepcopy(kind("what was wrong"))) == "what was wrong"


def test_the_drawing_shows_every_error_and_no_other():
    drawn = re.findall(r"\b\w+Error\b", errors.__doc__)

    assert sorted(drawn) == sorted({kind.__name__ for kind in tree(RecommenderError)})


def test_an_unknown_user_is_shown_without_the_quotes_of_a_key_error():
    assert str(UnknownUserError("user 'x' is not known")) == "user 'x' is not known"
    assert issubclass(UnknownUserError, KeyError)
