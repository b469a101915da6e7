"""Tables of the exposure ledger."""

SCHEMA_NUMBER = 1
"""Kept as SQLite's ``user_version``, which is 0 where the first releases wrote the file. Raise it when a release before
could not go on with what this one writes."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS positions (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS exposures (
    offset INTEGER PRIMARY KEY, recommendation_id TEXT NOT NULL UNIQUE, user_id TEXT, unit INTEGER, at REAL NOT NULL,
    cell INTEGER NOT NULL, packed BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS exposures_of_user ON exposures (user_id, at) WHERE user_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS exposures_by_time ON exposures (at);
CREATE TABLE IF NOT EXISTS segments (
    name TEXT PRIMARY KEY, rows INTEGER NOT NULL, bytes INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    oldest_at REAL NOT NULL, newest_at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS items (item_id TEXT PRIMARY KEY, first_at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS taken (
    exposure INTEGER NOT NULL, event TEXT NOT NULL, position INTEGER NOT NULL, interactions INTEGER NOT NULL,
    PRIMARY KEY (exposure, event, position)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cells (
    cell INTEGER PRIMARY KEY, day TEXT NOT NULL, version TEXT NOT NULL, placement TEXT NOT NULL,
    experiment TEXT NOT NULL, variant TEXT NOT NULL, exposures INTEGER NOT NULL DEFAULT 0,
    empty INTEGER NOT NULL DEFAULT 0, degraded INTEGER NOT NULL DEFAULT 0, shown INTEGER NOT NULL DEFAULT 0,
    young INTEGER NOT NULL DEFAULT 0, UNIQUE (day, version, placement, experiment, variant));
CREATE TABLE IF NOT EXISTS cell_positions (
    cell INTEGER NOT NULL, position INTEGER NOT NULL, exposures INTEGER NOT NULL, young INTEGER NOT NULL,
    PRIMARY KEY (cell, position)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cell_events (
    cell INTEGER NOT NULL, event TEXT NOT NULL, position INTEGER NOT NULL, interactions INTEGER NOT NULL,
    hits INTEGER NOT NULL, young INTEGER NOT NULL, PRIMARY KEY (cell, event, position)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cell_users (
    cell INTEGER NOT NULL, unit INTEGER NOT NULL, longest INTEGER NOT NULL, PRIMARY KEY (cell, unit)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cell_items (
    cell INTEGER NOT NULL, item_id TEXT NOT NULL, taken INTEGER NOT NULL, PRIMARY KEY (cell, item_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS latencies (
    experiment TEXT NOT NULL, variant TEXT NOT NULL, bucket INTEGER NOT NULL, answers INTEGER NOT NULL,
    PRIMARY KEY (experiment, variant, bucket)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS experiment_users (
    experiment TEXT NOT NULL, variant TEXT NOT NULL, unit INTEGER NOT NULL, exposures INTEGER NOT NULL,
    PRIMARY KEY (experiment, variant, unit)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS experiment_hits (
    experiment TEXT NOT NULL, variant TEXT NOT NULL, event TEXT NOT NULL, unit INTEGER NOT NULL, hits INTEGER NOT NULL,
    PRIMARY KEY (experiment, variant, event, unit)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS trials (
    item_id TEXT PRIMARY KEY, shown INTEGER NOT NULL, taken INTEGER NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS erasures (user_id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS erased (user TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
"""
"""A cell is a day, version, placement, experiment and variant; no placement and no experiment are empty texts, and
position 0 of an event is all positions together. Users are hashes, but in `exposures` and, until the archive is without
them, in `erasures`."""
