"""List of the benchmarks: name, what each measures, and about how long it runs."""

from __future__ import annotations

from typing import NamedTuple


class Benchmark(NamedTuple):
    """One benchmark, a module of this package."""

    module: str
    """Below ``benchmarks``."""
    result: str
    """Name of its JSON in ``benchmarks/results``, without the ending."""
    measures: str
    in_bench: bool = True
    """Whether `make bench` runs it: what README shows, and what is quick; ``--all`` runs the others too."""

    @property
    def name(self) -> str:
        """Module and package, as ``python -m`` takes it."""
        return f"benchmarks.{self.module}"


BENCHMARKS = (
    Benchmark("search.seed_path", "scoring", "top 100 of one user against the path of the original post"),
    Benchmark("search.kernel", "kernel", "the exact pass against numpy, implicit and one read of the vectors"),
    Benchmark("search.ivf", "approximate", "the inverted file against exact search: time, recall, build"),
    Benchmark("search.history_parts", "history_parts", "what the item-item matrix and low-pass filter cost an answer"),
    Benchmark("search.placement_rules", "placement_rules", "what the rules of a placement cost an answer"),
    Benchmark("service.serve_overhead", "overhead", "the service against a Serve graph that does nothing"),
    Benchmark(
        "service.service_vs_plain", "whole", "the service against two plain servers, by catalogue and connections"
    ),
    Benchmark("service.request_options", "extras", "what filters, explanations and diversity cost"),
    Benchmark("service.predictor_scaling", "replicas", "requests a second by number of predictors", in_bench=False),
    Benchmark("service.replica_memory", "memory", "memory of four predictors against one", in_bench=False),
    Benchmark("service.publish_latency", "broadcast", "from a version on disk to every replica"),
    Benchmark("service.publish_latency_nodes", "nodes", "the same on one, two and three nodes", in_bench=False),
    Benchmark(
        "service.autoscaling", "autoscaling", "replicas, latency and failures while the load changes", in_bench=False
    ),
    Benchmark("service.item_freshness", "fresh_items", "from the PUT of an item to its place in answers"),
    Benchmark("service.exposure_logging", "exposure_logging", "processor time of logging what was shown"),
    Benchmark("learning.fold_in", "fold_in", "quality after the first clicks: folded in, or trained anew"),
    Benchmark("learning.exploration", "exploration", "new items found, and clicks, with and without exploration"),
    Benchmark("learning.incremental", "incremental", "what an increment costs and forgets"),
    Benchmark(
        "learning.peer_trainings",
        "peer_trainings",
        "a full training against ALS and EASE: seconds and quality",
        in_bench=False,
    ),
    Benchmark(
        "learning.turnover", "turnover", "sizes of model, archive and store over a year of turnover", in_bench=False
    ),
    Benchmark("learning.training_scale", "training", "time and memory of a full training, by size", in_bench=False),
    Benchmark("learning.epoch_speed", "epoch_speed", "an epoch of the compiled trainer against LightFM's own"),
    Benchmark("learning.batch", "batch", "time a list in `recommender batch` and over HTTP"),
    Benchmark("learning.item_item", "item_item", "item-item matrix and low-pass vectors on a split", in_bench=False),
    Benchmark("service.overload", "overload", "five times more requests than can be answered", in_bench=False),
    Benchmark("service.sizing", "sizing", "what the sizing page counts with", in_bench=False),
    Benchmark("service.soak", "soak", "load, faults and new models for a long time (`make soak`)", in_bench=False),
)
