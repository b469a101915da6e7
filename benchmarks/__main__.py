"""Run the benchmarks one after the other, each in a process of its own, then draw plots and write the tables.

``python -m benchmarks --list`` names them; names given as arguments run alone: ``python -m benchmarks search.kernel``.
"""

import argparse
import subprocess
import sys

from benchmarks.catalogue import BENCHMARKS

AFTERWARDS = ("benchmarks.harness.plots", "benchmarks.harness.tables")


def main() -> None:
    """Run what the arguments name, or all that `make bench` runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *(each.module for each in BENCHMARKS)], metavar="NAME")
    parser.add_argument("--list", action="store_true", help="name the benchmarks, and run none")
    parser.add_argument("--all", action="store_true", help="run those too that `make bench` leaves out: over two hours")
    given = parser.parse_args()
    if given.list:
        print("\n".join(f"{each.module:<32}{each.measures}" for each in BENCHMARKS))
        return
    chosen = given.names or [each.module for each in BENCHMARKS if each.in_bench or given.all]
    wanted = [each.name for each in BENCHMARKS if each.module in chosen]
    for module in (*wanted, *AFTERWARDS):
        subprocess.run([sys.executable, "-m", module], check=True)


if __name__ == "__main__":
    main()
