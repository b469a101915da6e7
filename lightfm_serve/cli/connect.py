"""The commands that take records of a stream into a running service."""

from __future__ import annotations

import logging
import socket
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightfm_serve.cli.group import as_json, say, tell
from lightfm_serve.cli.schema_options import schema_options
from lightfm_serve.cli.service_client import key_in, key_option, url_option

if TYPE_CHECKING:
    from lightfm_serve.connect.dead_letters import DeadLetters
    from lightfm_serve.connect.running import Target
    from lightfm_serve.connect.source import Source

EXTRA = "kafka"
KINDS = ("interactions", "items", "users")
STARTS = ("earliest", "latest", "committed")
UNITS = ("s", "ms", "us", "ns")

Command = Callable[..., Any]


@click.group()
def connect() -> None:
    """Take records of a stream into a running service, each once."""


def target_options(command: Command) -> Command:
    """Give a command the options that all streams share, and what they say as its argument ``target``."""

    @schema_options
    @click.option("--kind", type=click.Choice(KINDS), default=KINDS[0], show_default=True, help="What a record is.")
    @click.option(
        "--only",
        multiple=True,
        metavar="FIELD=VALUE",
        help="Pass over records whose field, by its own name, has another value; repeatable, several values: or.",
    )
    @click.option(
        "--timestamp-unit", type=click.Choice(UNITS), default=UNITS[0], show_default=True, help="Of times in numbers."
    )
    @click.option(
        "--batch", type=click.IntRange(1, 10_000), default=1_000, show_default=True, help="Records of a batch at most."
    )
    @click.option(
        "--linger",
        type=click.FloatRange(0.01, 60),
        default=0.5,
        show_default=True,
        help="Seconds that a batch waits to become full.",
    )
    @click.option(
        "--stop-after-dead",
        type=click.IntRange(0),
        default=100,
        show_default=True,
        help="Dead letters in a row after which it stops, since the mapping must be wrong; 0 for never.",
    )
    @click.option("--until-end", is_flag=True, help="Stop when all that is there was read.")
    @click.option(
        "--metrics-port",
        type=click.IntRange(1, 65_535),
        help="Serve /metrics for Prometheus, and /healthz.  [default: do not]",
    )
    @click.option("--metrics-host", default="127.0.0.1", show_default=True, help="Address of the metrics.")
    @url_option
    @key_option
    @as_json
    @wraps(command)
    def with_target(*args: Any, as_json: bool, **options: Any) -> Any:
        payload = options.pop("payload", None)
        target = _target(options, payload)
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
        logging.getLogger("httpx").setLevel(logging.WARNING)
        counts = command(*args, target=target, **options)
        say(counts, "\n".join(f"{name:<14}{n:>12,}" for name, n in counts.items()), as_json)

    return with_target


def dead_letter_file_option(command: Command) -> Command:
    """Give a command ``--dead-letter-file``."""
    return click.option(
        "--dead-letter-file",
        type=click.Path(dir_okay=False, path_type=Path),
        default=Path("dead-letters.jsonl"),
        show_default=True,
        help="Where records go that can never be taken, as JSON lines.",
    )(command)


group_option = click.option("--group", default="recommender", show_default=True, help="Consumer group.")


@connect.command()
@click.option("--brokers", required=True, metavar="HOST:PORT,…", help="Where to ask for the cluster.")
@click.option("--topic", "topics", required=True, multiple=True, help="Repeatable.")
@group_option
@click.option(
    "--start",
    type=click.Choice(STARTS),
    default=STARTS[0],
    show_default=True,
    help="Where to begin where the group has committed nothing; committed: fail.",
)
@click.option(
    "--kafka-config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of further settings of librdkafka, such as security.protocol=SASL_SSL and sasl.password=….",
)
@dead_letter_file_option
@click.option("--dead-letter-topic", help="Topic for records that can never be taken, instead of the file.")
@target_options
def kafka(
    brokers: str,
    topics: Sequence[str],
    group: str,
    start: str,
    kafka_config: Path | None,
    dead_letter_file: Path,
    dead_letter_topic: str | None,
    target: Target,
) -> dict[str, int]:
    """Take messages of Kafka, as a member of a consumer group.

    A message is a JSON object. Its offset is committed after the service has acknowledged it; one that is delivered
    again counts once, by its event_id, or by one made of its position and content where it has none.
    """
    from recommender.deferred_imports import check_installed

    check_installed("confluent_kafka", EXTRA)
    from lightfm_serve.connect.dead_letters import DeadLetterFile
    from lightfm_serve.connect.kafka_dead_letters import DeadLetterTopic
    from lightfm_serve.connect.kafka_source import KafkaSource, read_settings

    further = read_settings(kafka_config) if kafka_config else {}
    settings = {**further, "bootstrap.servers": brokers, "group.id": group}
    letters: DeadLetters = (
        DeadLetterTopic(settings, dead_letter_topic) if dead_letter_topic else DeadLetterFile(dead_letter_file)
    )
    return _run("kafka", KafkaSource(settings, topics, start), letters, target)


@connect.command()
@click.option(
    "--stream-url",
    required=True,
    envvar="RECOMMENDER_STREAM_URL",
    show_envvar=True,
    help="Of the server: redis://, rediss:// or unix://.",
)
@click.option("--stream", required=True, help="Name of the stream.")
@group_option
@click.option(
    "--consumer", help="Name in the group; each process has its own, and keeps it.  [default: the host's name]"
)
@click.option(
    "--payload", metavar="FIELD", help="Field that has the record as JSON.  [default: fields are the record's]"
)
@click.option(
    "--claim-after",
    type=click.FloatRange(1),
    default=60.0,
    show_default=True,
    help="Seconds after which entries of a silent consumer are taken over.",
)
@click.option(
    "--start",
    type=click.Choice(STARTS),
    default=STARTS[0],
    show_default=True,
    help="Where a group begins that is not there yet; committed: fail.",
)
@dead_letter_file_option
@click.option("--dead-letter-stream", help="Stream for records that can never be taken, instead of the file.")
@target_options
def redis(
    stream_url: str,
    stream: str,
    group: str,
    consumer: str | None,
    claim_after: float,
    start: str,
    dead_letter_file: Path,
    dead_letter_stream: str | None,
    target: Target,
) -> dict[str, int]:
    """Take entries of a Redis or Valkey stream, as a consumer of a group.

    An entry is acknowledged in the group after the service has acknowledged it; one that is delivered again counts
    once, by its event_id, or by one made of its id and content where it has none.
    """
    from lightfm_serve.connect.dead_letters import DeadLetterFile
    from lightfm_serve.connect.redis_dead_letters import DeadLetterStream
    from lightfm_serve.connect.redis_source import RedisSource

    source = RedisSource(stream_url, stream, group, consumer or socket.gethostname(), start, claim_after)
    letters: DeadLetters = (
        DeadLetterStream(stream_url, dead_letter_stream) if dead_letter_stream else DeadLetterFile(dead_letter_file)
    )
    return _run("redis", source, letters, target)


def _run(name: str, source: Source, letters: DeadLetters, target: Target) -> dict[str, int]:
    from lightfm_serve.connect.running import run_connector

    tell(f"taking {target.translation.kind} from {name}")
    return run_connector(name, source, letters, target)


def _target(options: dict[str, Any], payload: str | None) -> Target:
    """Target that options say, which are taken out of them."""
    from lightfm_serve.connect.pump import PumpSettings
    from lightfm_serve.connect.running import Target
    from lightfm_serve.connect.translation import Translation

    pop = options.pop
    port, host = pop("metrics_port"), pop("metrics_host")
    return Target(
        url=pop("url"),
        api_key=key_in(pop("key_file")),
        translation=Translation(pop("kind"), pop("schema"), _only(pop("only")), payload, pop("timestamp_unit")),
        pump=PumpSettings(pop("batch"), pop("linger"), pop("stop_after_dead"), pop("until_end")),
        metrics=None if port is None else (host, port),
    )


def _only(given: Sequence[str]) -> dict[str, list[str]]:
    wanted: defaultdict[str, list[str]] = defaultdict(list)
    for each in given:
        own, equals, value = each.partition("=")
        if not (own and equals):
            raise click.BadParameter(f"{each!r} is not like type=purchase", param_hint="--only")
        wanted[own].append(value)
    return dict(wanted)
