"""What benchmarks share: load, services, reports, plots."""
