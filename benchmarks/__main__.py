"""Run every benchmark, one after the other, each in a process of its own."""

import subprocess
import sys

NAMES = ("scoring", "kernel", "approximate", "overhead", "memory")

for name in NAMES:
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
