import pytest
from worlds import make_world


@pytest.fixture(scope="session")
def world():
    return make_world()
