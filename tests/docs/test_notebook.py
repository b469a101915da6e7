"""The notebook, run cell by cell as plain Python; a kernel would add twenty packages and seconds to every run."""

import ast
import json
from pathlib import Path

import pandas as pd

NOTEBOOK = Path(__file__).parents[2] / "examples" / "movielens.ipynb"
CONTENT = json.loads(NOTEBOOK.read_text())
EPOCHS = ("EPOCHS = 5", "EPOCHS = 1")
"""What a reader has, and what the test takes to be quick."""
CELLS = [cell for cell in CONTENT["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_runs_and_shows_something_in_every_cell_that_ends_in_an_expression():
    namespace: dict[str, object] = {"__name__": "notebook"}
    sources = ["".join(cell["source"]) for cell in CELLS]
    assert EPOCHS[0] in sources[0]
    shown = [run(source.replace(*EPOCHS), cell["id"], namespace) for source, cell in zip(sources, CELLS, strict=True)]

    assert len([each for each in shown if each is not None]) >= len(CELLS) - 1
    assert namespace["answer"].case == "I"
    assert namespace["session"].strategy == "recent"
    # what people who liked Star Wars are shown is not what everybody is shown
    assert isinstance(namespace["cold"], pd.Series)
    assert list(namespace["known"].nlargest(20).index) != list(namespace["cold"].nlargest(20).index)


def run(source: str, name: str, namespace: dict[str, object]) -> object:
    """Run a cell; the value of its last expression, as a notebook shows it."""
    tree = ast.parse(source, name)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), namespace)  # noqa: S102 (that is what a notebook does)
    return eval(compile(ast.Expression(last.value), name, "eval"), namespace) if last else None  # noqa: S307


def test_outputs_are_stripped_and_nothing_depends_on_jupyter():
    assert (CONTENT["nbformat"], CONTENT["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in CONTENT["cells"]}) == len(CONTENT["cells"])
    for cell in CELLS:
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
        assert not any(line.startswith(("%", "!")) for line in cell["source"])
