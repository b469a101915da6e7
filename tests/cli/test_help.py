"""The list of commands, and their help: what is said, and that nobody waits for it."""

import inspect
import json
import subprocess
import sys

import click
import pytest

from lightfm_serve.cli import evaluate, main, train
from lightfm_serve.cli.group import COMMANDS
from recommender.evaluation import SPLITS
from recommender.experiments.baselines import PEERS
from recommender.training.model_settings import ModelSettings

LIBRARIES = (
    "numpy",
    "pandas",
    "scipy",
    "httpx",
    "ray",
    "lightfm",
    "numba",
    "pyarrow",
    "redis",
    "tqdm",
    "msgspec",
    "yaml",
)
"""Each takes longer to import than all that --help needs."""


def command(name: str) -> click.Command:
    found = main.get_command(click.Context(main), name)
    assert found is not None
    return found


def imported_by(*words: str) -> set[str]:
    """Which libraries a command line imports."""
    code = (
        "import json, sys\nfrom lightfm_serve.cli import main\n"
        "main(sys.argv[1:], standalone_mode=False)\nprint(); print(json.dumps(list(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    return set(LIBRARIES) & set(json.loads(done.stdout.splitlines()[-1]))


def test_the_list_of_commands_imports_no_library():
    assert imported_by("--help") == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_imports_no_library(name):
    assert imported_by(name, "--help") == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_listed_with_its_own_first_sentence(name):
    first = inspect.cleandoc(command(name).help or "").split("\n\n")[0].replace("\n", " ")

    assert COMMANDS[name].short_help == first


def test_a_command_that_is_not_there_is_an_error():
    assert main.get_command(click.Context(main), "nothing") is None


def test_what_the_options_offer_is_what_the_library_has():
    defaults = ModelSettings()

    assert tuple(SPLITS) == evaluate.SPLITS
    assert tuple(PEERS) == evaluate.PEER_NAMES
    assert (
        defaults.epochs,
        defaults.min_steps,
        defaults.no_components,
        defaults.seed,
    ) == (train.EPOCHS, train.MIN_STEPS, train.NO_COMPONENTS, train.SEED)
