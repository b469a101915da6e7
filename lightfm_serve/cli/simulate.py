"""The command that lets simulated users click through a running service."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightfm_serve.cli.group import as_json, progress_bar, say
from lightfm_serve.cli.service_client import calling, key_option, patience_option, url_option

if TYPE_CHECKING:
    from lightfm_serve import Client
    from recommender.simulation import SimulationBook, Simulator
    from recommender.simulation.simulator import Click

PAGE = 1000
SETTLES_S = 30.0
"""For the service to take over the last clicks, before it is compared with the book."""


@click.command()
@url_option
@key_option
@patience_option
@click.option("--users", type=click.IntRange(1), default=200, show_default=True, help="Simulated users.")
@click.option("--days", type=click.IntRange(1), default=7, show_default=True, help="Visits of each user.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of tastes, visits and clicks.")
@click.option("--k", type=click.IntRange(1, 1000), default=10, show_default=True, help="Length of a list.")
@click.option("--placement", help="Where the lists are shown.")
@click.option("--visits-per-s", type=click.FloatRange(0, min_open=True), help="At most.  [default: as fast as it goes]")
@click.option(
    "--check", is_flag=True, help="Compare what the service attributes with what was clicked, click by click."
)
@as_json
def simulate(
    url: str,
    key_file: Path | None,
    patience: float,
    users: int,
    days: int,
    seed: int,
    k: int,
    placement: str | None,
    visits_per_s: float | None,
    check: bool,
    as_json: bool,
) -> None:
    """Let users with known tastes click through a running service.

    They like items by features and by what each is by itself, look at the first positions more, and click on what they
    are shown. The same seed gives the same tastes; the users are called sim-SEED-0 and so on, and what they click on is
    learned like everything else: do it where that does no harm.
    """
    with calling(url, key_file, patience) as client, progress_bar("simulating", "visit", users * days) as bar:
        simulator = simulator_of(client, users, seed, k, placement)
        pace = paced(visits_per_s)

        def after_each() -> None:
            bar.update()
            pace()

        for _ in range(days):
            simulator.day(after_each)
        differences = _differences(client, simulator.book) if check else None
    say(_summary(simulator.book, differences), _text(simulator.book, differences), as_json)
    if differences:
        raise click.exceptions.Exit(1)


def simulator_of(client: Client, users: int, seed: int, k: int = 10, placement: str | None = None) -> Simulator:
    """Simulator whose users visit a service through a client."""
    from recommender.simulation import PositionBasedModel, Simulator, Tastes, Visit

    more: dict[str, Any] = {} if placement is None else {"placement": placement}
    tastes = Tastes({item.item_id: item.features for item in _items(client)}, seed)

    def recommend(user_id: str) -> Visit:
        answer = client.recommend(user_id, k, **more)
        return Visit(answer.recommendation_id, [item.item_id for item in answer.items])

    def send(clicks: Sequence[Click]) -> None:
        client.add_interactions([{**each._asdict(), "event": "click"} for each in clicks])

    names = [f"sim-{seed}-{number}" for number in range(users)]
    return Simulator(PositionBasedModel(tastes), recommend, send, names, seed)


def simulate_for_ever(client: Client, users: int = 200, visits_per_s: float = 5.0) -> None:
    """Let users click until the process ends; what goes wrong is passed over."""
    from lightfm_serve import ServeError

    pace = paced(visits_per_s)
    for seed in itertools.count():
        try:
            simulator = simulator_of(client, users, 0)
            simulator.reseed(seed)
            for _ in range(20):
                simulator.day(pace)
        except ServeError:
            time.sleep(1.0)


def paced(visits_per_s: float | None) -> Callable[[], None]:
    """Function that waits so that it returns so often at most."""
    begun, calls = time.monotonic(), itertools.count(1)

    def wait() -> None:
        if visits_per_s is not None:
            time.sleep(max(0.0, begun + next(calls) / visits_per_s - time.monotonic()))

    return wait


def _items(client: Client) -> Iterator[Any]:
    cursor: str | None = None
    while True:
        page = client.list_items(cursor=cursor, limit=PAGE)
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return


def _differences(client: Client, book: SimulationBook) -> list[str]:
    """What the service and the book say differently, once the service has had time."""
    deadline = time.monotonic() + SETTLES_S
    while True:
        exposures = [exposure for page in _pages(client) for exposure in page]
        differences = book.differences(exposures)
        if not differences or time.monotonic() > deadline:
            return differences
        time.sleep(1.0)


def _pages(client: Client) -> Iterator[list[dict[str, Any]]]:
    from msgspec import to_builtins

    cursor: str | None = None
    while True:
        page = client.list_exposures(cursor=cursor, limit=PAGE)
        yield to_builtins(page.exposures)
        cursor = page.next_cursor
        if cursor is None:
            return


def _summary(book: SimulationBook, differences: list[str] | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "visits": book.visits,
        "clicks": book.clicks,
        "clicks_per_visit": book.clicks / book.visits,
        "items_clicked": len(book.clicked_items),
    }
    return found if differences is None else {**found, "differences": differences}


def _text(book: SimulationBook, differences: list[str] | None) -> str:
    lines = [f"{name:<18}{value:,.6g}" for name, value in _summary(book, None).items()]
    if differences is not None:
        lines.append(f"attribution differs in {len(differences)} answers" if differences else "attribution agrees")
    return "\n".join([*lines, *(differences or [])[:10]])
