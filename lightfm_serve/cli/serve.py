"""The command that starts the service."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

import click

DEFAULT_CONFIG = Path(str(files("deployments") / "serve_config.yaml"))
config_argument = click.argument(
    "config", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=DEFAULT_CONFIG
)


@click.command()
@config_argument
@click.option("--port", type=click.IntRange(1, 65_535), help="Of HTTP.  [default: that of CONFIG, 8000]")
@click.option("--dataset", help="For an empty state: movielens-100k, synthetic, none, or a data folder.")
@click.option("--state-dir", help="Folder of models and archive, or an fsspec URL.  [default: .recommender]")
@click.option(
    "--redis-url",
    help="Store: embedded, or a URL; one with a password belongs into a file that RECOMMENDER_REDIS_URL_FILE names.",
)
def serve(config: Path, port: int | None, dataset: str | None, state_dir: str | None, redis_url: str | None) -> None:
    """Start the service and run it until Ctrl-C or SIGTERM.

    It says `ready: URL` when a model serves. Without CONFIG, a serve_config.yaml as the package has it is used; options
    win over CONFIG and over the environment.
    """
    from deployments.ray_runtime.service_process import serve as run

    given = {
        "RECOMMENDER_DATASET": dataset,
        "RECOMMENDER_STATE_DIR": state_dir,
        "RECOMMENDER_REDIS_URL": redis_url,
    }
    overrides = {name: value for name, value in given.items() if value is not None}
    if redis_url is not None:
        os.environ.pop("RECOMMENDER_REDIS_URL_FILE", None)
    raise click.exceptions.Exit(run(config, port, overrides, click.echo))
