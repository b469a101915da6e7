"""Interaction archive: every interaction that was learned, in immutable Parquet segments."""
