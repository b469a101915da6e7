"""Interactions as an archive takes them."""

import numpy as np
import pandas as pd


def appended(archive, frames):
    segments, last = [], 0
    for frame in frames:
        segments.append(archive.append(frame, first_offset=last + 1, last_offset=last + len(frame)))
        last += len(frame)
    return segments


def numbered(batches):
    """The batches as consecutive stretches of one log."""
    offset, frames = 0, []
    for batch in batches:
        frames.append(interactions([(offset + place + 1, *pair) for place, pair in enumerate(batch)]))
        offset += len(batch)
    return frames


def keys(frame):
    return list(zip(frame["offset"], frame["user_id"], frame["item_id"], frame["weight"], strict=True))


def interactions(rows):
    """Frame of (offset, user, item); weight, time and event follow from the place."""
    return pd.DataFrame(
        {
            "offset": np.array([row[0] for row in rows], np.int64),
            "user_id": [row[1] for row in rows],
            "item_id": [row[2] for row in rows],
            "weight": np.arange(len(rows), dtype=np.float32) + 0.5,
            "timestamp": np.arange(len(rows)) * 1.25,
            "event": [None if place % 3 else "view" for place in range(len(rows))],
        }
    )
