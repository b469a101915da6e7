"""Batch jobs on Ray: recommendations for everybody, hyperparameter search."""
