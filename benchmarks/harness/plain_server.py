"""A plain server as a backend engineer writes it: Starlette under uvicorn, numpy, a pool of Redis connections, msgspec.

The same weights and the same Redis as the service's, in each of two workers; a request reads the user's features,
scores all items in one product, masks those that were seen and takes the best ten. ``YARDSTICK_ITEMS`` and
``YARDSTICK_REDIS`` say how many items there are and where Redis is. Nothing is learned, no item changes, no request is
refused.
"""

from __future__ import annotations

import os

import msgspec
import numpy as np
import redis.asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.harness.fake_versions import snapshot_of
from benchmarks.harness.flask_baseline import KEY, TOP


def build() -> Starlette:
    """Application; each worker calls this."""
    snapshot = snapshot_of(int(os.environ["YARDSTICK_ITEMS"]))
    items, biases = np.ascontiguousarray(snapshot.items.vectors), snapshot.items.biases
    users, features = snapshot.user_indicators.vectors, snapshot.user_features.vectors
    item_ids = snapshot.item_ids.ids_of(range(snapshot.n_items))
    names = {f"f{index}": index for index in range(len(features))}
    pool = redis.asyncio.Redis.from_url(os.environ["YARDSTICK_REDIS"])
    to_json, of_json = msgspec.json.Encoder().encode, msgspec.json.Decoder(dict[str, float]).decode

    async def recommend(request: Request) -> Response:
        user = request.path_params["user"]
        stored = of_json(await pool.get(f"{KEY}{user}") or b"{}")
        vector = users[user] + features[[names[name] for name in stored]].sum(axis=0)
        scores = items @ vector + biases
        scores[snapshot.seen.row(user)] = -np.inf
        best = np.argpartition(scores, -TOP)[-TOP:]
        best = best[np.argsort(-scores[best])]
        found = [{"item_id": item_ids[index], "score": float(scores[index])} for index in best.tolist()]
        return Response(to_json({"user_id": user, "items": found}), media_type="application/json")

    return Starlette(routes=[Route("/{user:int}", recommend)])
