"""A graph of the same hops that does nothing: what Ray Serve itself costs."""

from fastapi import FastAPI, Response
from ray import serve
from ray.serve.handle import DeploymentHandle

from deployments.micro_batching import MAX_BATCH_SIZE, MicroBatcher
from deployments.ray_runtime import replica_setup
from deployments.stages.routing import IDLE_WAIT_S, PATIENCE_S

api = FastAPI()


@serve.deployment
class NoopFetcher:
    """Stands for the FeatureFetcher."""

    def __init__(self) -> None:
        replica_setup.begin()

    async def fetch_many(self, users: list[str]) -> bytes:
        """Nothing."""
        return b"x" * len(users)


@serve.deployment
class NoopPredictor:
    """Stands for the Predictor."""

    def __init__(self) -> None:
        replica_setup.begin()

    async def predict_many(self, users: list[str], fetched: bytes) -> list[bytes]:
        """An empty answer each."""
        return [b"{}" for _ in zip(users, fetched, strict=True)]


@serve.deployment
@serve.ingress(api)
class NoopIngress:
    """Stands for the Ingress."""

    def __init__(self, fetcher: DeploymentHandle, predictor: DeploymentHandle) -> None:
        replica_setup.begin()
        self._fetcher, self._predictor = fetcher, predictor
        self._batches = MicroBatcher(self._many, most=MAX_BATCH_SIZE, idle_wait_s=IDLE_WAIT_S, busy_wait_s=PATIENCE_S)

    async def _many(self, users: list[str]) -> list[bytes]:
        fetched = await self._fetcher.fetch_many.remote(users)
        return await self._predictor.predict_many.remote(users, fetched)

    @api.get("/{user}")
    async def answer(self, user: str) -> Response:
        """Both hops and nothing else."""
        return Response(await self._batches.ask(user), media_type="application/json")


def build(_: dict[str, str]) -> serve.Application:
    """Graph of Ingress, fetcher and predictor."""
    return NoopIngress.bind(NoopFetcher.bind(), NoopPredictor.bind())
