"""Calling a running service from a command: where it is, with which key, and what went wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from lightfm_serve import Client

KEY_VARIABLE = "RECOMMENDER_API_KEY"
DEFAULT_URL = "http://127.0.0.1:8000"
START_IT = "start it with: recommender serve"
GIVE_A_KEY = f"{KEY_VARIABLE} or --key-file"


def _url(_ctx: click.Context, _parameter: click.Parameter, given: str) -> str:
    if not given.startswith(("http://", "https://")):
        raise click.BadParameter(f"{given!r} is no URL; write http://{given.lstrip('/')}")
    return given.rstrip("/")


url_option = click.option(
    "--url", default=DEFAULT_URL, show_default=True, callback=_url, help="Of the running service."
)
key_option = click.option(
    "--key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"File with the API key.  [default: the key in {KEY_VARIABLE}]",
)
patience_option = click.option(
    "--patience",
    type=click.FloatRange(0),
    default=600.0,
    show_default=True,
    help="Seconds to wait, all together for one batch, for a service that is busy or away.",
)


@contextmanager
def calling(url: str, key_file: Path | None, patience_s: float, hint: str = "") -> Iterator[Client]:
    """A client for the length of a command; what goes wrong ends it with status 1 and one line.

    Parameters
    ----------
    url, key_file, patience_s
        As the options say.
    hint
        What to do when it went wrong half-way; not said where nobody answered to begin with.
    """
    from lightfm_serve import Client, ForbiddenError, Retries, ServeError, UnauthorizedError

    _check_answers(url)
    retries = Retries(attempts=100_000, patience_s=patience_s)
    with Client(url, key_in(key_file), timeout_s=60, retries=retries) as client:
        try:
            yield client
        except (UnauthorizedError, ForbiddenError) as error:
            raise click.ClickException(f"{error} ({GIVE_A_KEY})") from None
        except ServeError as error:
            raise click.ClickException(f"{error}{_after(hint)}") from None


def _check_answers(url: str) -> None:
    """Whether anybody is there is found out at once; waiting is for one who was."""
    from lightfm_serve import Client, Retries, ServeError, UnreachableError

    with Client(url, timeout_s=10, retries=Retries(attempts=3)) as asking:
        try:
            asking.healthy()
        except UnreachableError as error:
            raise click.ClickException(f"{error}; nothing was sent; {START_IT}") from None
        except ServeError as error:
            raise click.ClickException(f"{error}; nothing was sent") from None


def _after(hint: str) -> str:
    return f"; {hint}" if hint else ""


def key_in(key_file: Path | None) -> str | None:
    """Key of a file, else that of the environment; none of the command line, which all users of a machine see."""
    if key_file is None:
        return os.environ.get(KEY_VARIABLE)
    return key_file.read_text(encoding="utf-8").strip()
