"""A typed client of a running lightfm-serve: sync and async, it asks again by itself where that is safe.

>>> from lightfm_serve import Client, Interaction
>>> client = Client("http://127.0.0.1:8000")
>>> client
<Client: http://127.0.0.1:8000>
>>> client.close()
"""

from lightfm_serve.client import errors, responses
from lightfm_serve.client.client import ONCE, AsyncClient, Client
from lightfm_serve.client.dataframes import Imported
from lightfm_serve.client.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    Problem,
    ProblemError,
    ServeError,
    TooLargeError,
    TooManyRequestsError,
    UnauthorizedError,
    UnavailableError,
    UnexpectedAnswerError,
    UnreachableError,
)
from lightfm_serve.client.requests import Interaction, Item, RankItem, Request, User
from lightfm_serve.client.retries import Retries

__all__ = [
    "ONCE",
    "AsyncClient",
    "Client",
    "ConflictError",
    "ForbiddenError",
    "Imported",
    "Interaction",
    "InvalidError",
    "Item",
    "NotFoundError",
    "Problem",
    "ProblemError",
    "RankItem",
    "Request",
    "Retries",
    "ServeError",
    "TooLargeError",
    "TooManyRequestsError",
    "UnauthorizedError",
    "UnavailableError",
    "UnexpectedAnswerError",
    "UnreachableError",
    "User",
    "errors",
    "responses",
]
