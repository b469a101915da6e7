"""Run every benchmark, one after the other, each in a process of its own, and draw the plots."""

import subprocess
import sys

NAMES = (
    "scoring",
    "kernel",
    "approximate",
    "overhead",
    "whole",
    "extras",
    "replicas",
    "memory",
    "broadcast",
    "nodes",
    "autoscaling",
    "fresh_items",
    "fold_in",
    "incremental",
    "training",
    "batch",
    "plots",
)

for name in NAMES:
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
