"""The command that starts the service."""

from __future__ import annotations

import os
import threading
from importlib.resources import files
from pathlib import Path

import click

READY = "ready: "
DEMO_DATASET, DEMO_STATE = "synthetic?n_items=500&n_users=500&n_interactions_per_user=8&noise=0.5", ".recommender-demo"
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
@click.option(
    "--demo", is_flag=True, help="Have simulated users click, on a state and a synthetic catalogue of its own."
)
def serve(
    config: Path, port: int | None, dataset: str | None, state_dir: str | None, redis_url: str | None, demo: bool
) -> None:
    """Start the service and run it until Ctrl-C or SIGTERM.

    It says `ready: URL` when a model serves. Without CONFIG, a serve_config.yaml as the package has it is used; options
    win over CONFIG and over the environment.
    """
    from deployments.ray_runtime.service_process import serve as run

    given = {
        "RECOMMENDER_DATASET": dataset or (DEMO_DATASET if demo else None),
        "RECOMMENDER_STATE_DIR": state_dir or (DEMO_STATE if demo else None),
        "RECOMMENDER_REDIS_URL": redis_url,
    }
    overrides = {name: value for name, value in given.items() if value is not None}
    if redis_url is not None:
        os.environ.pop("RECOMMENDER_REDIS_URL_FILE", None)
    raise click.exceptions.Exit(run(config, port, overrides, _demonstrate if demo else click.echo))


def _demonstrate(told: str) -> None:
    """Say what the service says; when it is ready, let users click beside it."""
    click.echo(told)
    if told.startswith(READY):
        threading.Thread(target=_click, args=(told.removeprefix(READY).split()[0],), daemon=True).start()
        click.echo("simulated users click now: look at the console; what they do is in GET /v1/attribution")


def _click(url: str) -> None:
    from lightfm_serve import Client
    from lightfm_serve.cli.simulate import simulate_for_ever

    with Client(url) as client:
        simulate_for_ever(client)
