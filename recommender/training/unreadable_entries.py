"""How much of what was learned last could not be read."""

from __future__ import annotations

from collections.abc import Sequence

from recommender.storage.registry import VersionInfo

MAX_UNREADABLE_SHARE = 0.05
"""A few broken entries are somebody's mistake; more of them are a fault of whoever writes the log."""


def unreadable_share(versions: Sequence[VersionInfo]) -> float:
    """Share of log entries that the newest version had to set aside, of those that it read.

    Parameters
    ----------
    versions
        Newest first.
    """
    if not versions:
        return 0.0
    newest = versions[0]
    parent = next((each for each in versions if each.version == newest.parent), None)
    read = newest.meta.log_offset - (parent.meta.log_offset if parent else 0)
    return newest.meta.poison / read if read > 0 else 0.0


def health(versions: Sequence[VersionInfo]) -> str:
    """``ok``, or what is wrong with the log, for a status."""
    share = unreadable_share(versions)
    if share <= MAX_UNREADABLE_SHARE:
        return "ok"
    return f"degraded: {share:.0%} of the log entries read last cannot be learned; they are set aside with their reason"
