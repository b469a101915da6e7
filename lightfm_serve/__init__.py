"""A typed client of a running lightfm-serve: sync and async, it asks again by itself where that is safe.

>>> from lightfm_serve import Client, Interaction
>>> client = Client("http://127.0.0.1:8000")
>>> client
<Client: http://127.0.0.1:8000>
>>> client.close()
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from lightfm_serve.client.requests import Interaction, Item, RankItem, Request, ShownItem, ShownList, User
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
    "ShownItem",
    "ShownList",
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

_MODULES = ("client", "dataframes", "errors", "requests", "retries")
"""Of `lightfm_serve.client`, in which the names of `__all__` are looked for."""


def __getattr__(name: str) -> Any:
    # imported when asked for: the library shares `lightfm_serve.records` and starts without httpx, as does --help
    if name in ("errors", "responses"):
        return import_module(f"lightfm_serve.client.{name}")
    if name in __all__:
        modules = (import_module(f"lightfm_serve.client.{module}") for module in _MODULES)
        return next(vars(module)[name] for module in modules if name in vars(module))
    raise AttributeError(f"module 'lightfm_serve' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
