"""The group of commands, and how they speak. A command's module is imported when the command is asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from recommender.errors import RecommenderError

if TYPE_CHECKING:
    from tqdm import tqdm

PLUGINS = "recommender.commands"
"""Entry points of further commands, of other distributions; loaded when they are asked for."""

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
state_dir_option = click.option(
    "--state-dir",
    default=".recommender",
    show_default=True,
    envvar="RECOMMENDER_STATE_DIR",
    show_envvar=True,
    help="A folder or an fsspec URL, as the service has it.",
)


class Entry(NamedTuple):
    """Where a command is, and its line in the list of commands."""

    target: str
    """``module:attribute``, the module in `lightfm_serve.cli`."""
    short_help: str


COMMANDS: Mapping[str, Entry] = {
    "backup": Entry(
        "backup:backup",
        "Back up the state of a service, which may run, into TARGET: a folder, or a URL such as s3://bucket/folder.",
    ),
    "attribution": Entry("attribution:attribution", "Show what came of what a running service has shown."),
    "batch": Entry("batch:batch", "Write the best items of every user to Parquet, on Ray Data."),
    "cluster": Entry("cluster:cluster", "Run the service on several machines: start a head, join it, deploy."),
    "connect": Entry("connect:connect", "Take records of a stream into a running service, each once."),
    "data": Entry("train:data", "Data sets."),
    "doctor": Entry(
        "doctor:doctor", "Look at a running service and say what would hurt it; fails when something would."
    ),
    "evaluate": Entry(
        "evaluate:evaluate", "Judge the default model on held-out interactions of DATASET, next to others."
    ),
    "experiments": Entry(
        "experiments:experiments", "Split the users of a placement over variants, and see which is better."
    ),
    "export": Entry("export:export", "Write users, items and interactions of a running service into FOLDER."),
    "forget": Entry(
        "forget:forget",
        "Erase USER from store, log, archive, exposures, audit and every kept version of a running service.",
    ),
    "import": Entry("import_:import_", "Stream PATH into a running service."),
    "inspect": Entry("inspect_folder:inspect", "Say what is understood of FOLDER before anybody trains on it."),
    "models": Entry("status:models", "List the versions of a running service, newest first."),
    "placements": Entry("placements:placements", "Look at and change the placements of a running service."),
    "ope": Entry("ope:ope", "Estimate what TARGET would have brought, from the drawn items of EXPOSURES."),
    "recommend": Entry("train:recommend", "Recommend items to USER from a folder that `train` wrote."),
    "restore": Entry("backup:restore", "Restore the newest back-up in SOURCE into an empty state and an empty store."),
    "serve": Entry("serve:serve", "Start the service and run it until Ctrl-C or SIGTERM."),
    "signing": Entry("signing:signing", "Sign versions of the model, and verify who has signed them."),
    "simulate": Entry("simulate:simulate", "Let users with known tastes click through a running service."),
    "status": Entry("status:status", "Show how a running service does."),
    "train": Entry("train:train", "Train on DATASET and publish the version into a folder."),
    "tune": Entry("tune:tune", "Search the settings that do best on held-out interactions of DATASET."),
}
"""The short help stands here so that listing the commands imports none of them; a test compares it with theirs."""


class Commands(click.Group):
    """Group that imports a command when it is asked for.

    Commands end with status 1 and one line on what failed, without a stack trace.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except (RecommenderError, OSError) as error:
            raise click.ClickException(str(error)) from error

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """Own commands and those of entry points."""
        return sorted({*COMMANDS, *entry_points(group=PLUGINS).names})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 (click's signature)
        """Own command, else that of an entry point."""
        if cmd_name in COMMANDS:
            module, _, attribute = COMMANDS[cmd_name].target.partition(":")
            return _loaded(cmd_name, lambda: getattr(import_module(f"lightfm_serve.cli.{module}"), attribute))
        return next((_loaded(cmd_name, entry.load) for entry in entry_points(group=PLUGINS, name=cmd_name)), None)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing those of `COMMANDS`."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._short_help(ctx, name)) for name in self.list_commands(ctx)])

    def _short_help(self, ctx: click.Context, name: str) -> str:
        if name in COMMANDS:
            return COMMANDS[name].short_help
        command = self.get_command(ctx, name)
        return "" if command is None else command.get_short_help_str(100)


def _loaded(name: str, load: Callable[[], click.Command]) -> click.Command:
    """Command of a module; one that cannot be imported says why when it is run, and breaks no other."""
    try:
        return load()
    except ImportError as error:
        return _broken(name, str(error))


def _broken(name: str, reason: str) -> click.Command:
    @click.command(name, help=f"Not available: {reason}", context_settings={"ignore_unknown_options": True})
    @click.argument("arguments", nargs=-1)
    def command(arguments: tuple[str, ...]) -> None:  # noqa: ARG001 (whatever is given, it cannot be run)
        raise click.ClickException(f"{name} cannot be loaded: {reason}")

    return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lightfm-serve")
def main() -> None:
    """Serve, train, evaluate and ask recommenders; look after a running service."""


def tell(doing: str) -> None:
    """Say on a terminal what begins."""
    if sys.stderr.isatty():
        click.echo(f"{doing} …", err=True)


def progress_bar(doing: str, unit: str, total: int | None = None, **more: Any) -> tqdm[Any]:
    """Bar of long work, on a terminal only; `more` as tqdm takes it."""
    from tqdm import tqdm

    return tqdm(total=total, desc=doing, unit=unit, disable=not sys.stderr.isatty(), leave=False, **more)


def say(content: object, text: str, as_json: bool) -> None:
    """Print an answer, for machines or for people."""
    click.echo(json.dumps(content, indent=2, ensure_ascii=False) if as_json else text)


def listing(metrics: Mapping[str, float]) -> str:
    """Metrics, one a line."""
    return "\n".join(f"{name:<14}{value:.4f}" for name, value in metrics.items())
