import pytest

from recommender.serving.catalogue import Catalogue
from recommender.serving.recommender import Recommender
from tests.support.known_worlds import make_world, shared_snapshot, shared_world


@pytest.fixture
def world():
    """World that this test may change."""
    return make_world()


@pytest.fixture
def trained():
    """World that no test may change."""
    return shared_world()


@pytest.fixture
def snapshot():
    return shared_snapshot()


@pytest.fixture
def recommender(snapshot):
    """Recommender with a catalogue of its own."""
    return Recommender(Catalogue(snapshot))
