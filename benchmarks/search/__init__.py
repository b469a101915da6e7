"""Benchmarks of scoring and search, in the process."""
