"""Settings of every test."""

from hypothesis import settings

# how long an example takes says more of what else the machine does than of the code
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

pytest_plugins = ["tests.support.worlds"]
