"""Measurements, each a ratio in one run. ``make bench`` runs them all and writes benchmarks/results/*.json."""
