"""A plain server of the original's design: Flask under gunicorn, the same weights, the same Redis.

A request reads the user's features from Redis, stacks feature rows, lets LightFM score all items, and sorts them
with pandas. ``YARDSTICK_ITEMS`` and ``YARDSTICK_REDIS`` say how many items there are and where Redis is.
"""

from __future__ import annotations

import json
import os

import redis
from flask import Flask, Response

from benchmarks.search.seed_path import N_USERS, World

KEY = "yardstick:user:"
TOP = 10


def put_users(url: str) -> None:
    """Features of every user, as the original keeps them: serialised, one key a user."""
    client = redis.Redis.from_url(url)
    features = json.dumps({f"f{index}": 1.0 for index in range(4)})
    with client.pipeline(transaction=False) as pipeline:
        for number in range(N_USERS):
            pipeline.set(f"{KEY}{number}", features)
        pipeline.execute()
    client.close()


def build() -> Flask:
    """Application; gunicorn calls this once, before it forks."""
    world = World(int(os.environ["YARDSTICK_ITEMS"]))
    store = redis.Redis.from_url(os.environ["YARDSTICK_REDIS"])
    app = Flask("yardstick")

    @app.get("/<int:user>")
    def recommend(user: int) -> Response:
        features = json.loads(store.get(f"{KEY}{user}") or b"{}")
        assert len(features) == world.user_features.shape[1]
        best = world.original(user, TOP)
        items = [{"item_id": item_id, "score": float(score)} for item_id, score in best.items()]
        return Response(json.dumps({"user_id": user, "items": items}), mimetype="application/json")

    return app
