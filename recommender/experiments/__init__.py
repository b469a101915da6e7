"""Offline comparison with baselines, hyperparameter search, and the report of both."""
