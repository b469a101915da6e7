"""Client methods: every endpoint as a method, one list for the client that waits and the one for asyncio."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, overload

from lightfm_serve.client import endpoints, experiment_endpoints, placement_endpoints
from lightfm_serve.client.endpoints import Call

P = ParamSpec("P")
T = TypeVar("T")


class Sends(Protocol):
    """Protocol of a client that sends a call and waits."""

    def send(self, call: Call[T], /) -> T:
        """Answer of a call."""
        ...


class SendsAsync(Protocol):
    """Protocol of a client whose calls are awaited."""

    def send(self, call: Call[T], /) -> Awaitable[T]:
        """Answer of a call."""
        ...


class Method(Generic[P, T]):
    """An endpoint as a method; it gives what the client's ``send`` gives: the answer, or an awaitable of it."""

    def __init__(self, describe: Callable[P, Call[T]]) -> None:
        self.describe = describe
        self.__doc__ = describe.__doc__

    @overload
    def __get__(self, client: Sends, _owner: type[Any]) -> Callable[P, T]: ...

    @overload
    def __get__(self, client: SendsAsync, _owner: type[Any]) -> Callable[P, Awaitable[T]]: ...

    def __get__(self, client: Any, _owner: type[Any]) -> Any:
        describe = self.describe

        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            if client is None:
                raise TypeError(f"{describe.__name__} is a method of a client, not of its class")
            return client.send(describe(*args, **kwargs))

        return functools.update_wrapper(method, describe)


class EndpointMethods:
    """The methods that both clients have, one an endpoint."""

    recommend = Method(endpoints.recommend)
    recommend_many = Method(endpoints.recommend_many)
    rank = Method(endpoints.rank)
    similar_items = Method(endpoints.similar_items)
    similar_users = Method(endpoints.similar_users)
    popular = Method(endpoints.popular)
    trending = Method(endpoints.trending)
    latest = Method(endpoints.latest)
    search = Method(endpoints.search)
    add_interactions = Method(endpoints.add_interactions)
    list_interactions = Method(endpoints.list_interactions)
    put_user = Method(endpoints.put_user)
    get_user = Method(endpoints.get_user)
    delete_user = Method(endpoints.delete_user)
    list_users = Method(endpoints.list_users)
    put_users = Method(endpoints.put_users)
    user_interactions = Method(endpoints.user_interactions)
    put_item = Method(endpoints.put_item)
    get_item = Method(endpoints.get_item)
    delete_item = Method(endpoints.delete_item)
    list_items = Method(endpoints.list_items)
    put_items = Method(endpoints.put_items)
    put_placement = Method(placement_endpoints.put_placement)
    get_placement = Method(placement_endpoints.get_placement)
    delete_placement = Method(placement_endpoints.delete_placement)
    list_placements = Method(placement_endpoints.list_placements)
    preview_placement = Method(placement_endpoints.preview_placement)
    placement_history = Method(placement_endpoints.placement_history)
    add_exposures = Method(endpoints.add_exposures)
    list_exposures = Method(endpoints.list_exposures)
    attribution = Method(endpoints.attribution)
    put_experiment = Method(experiment_endpoints.put_experiment)
    get_experiment = Method(experiment_endpoints.get_experiment)
    list_experiments = Method(experiment_endpoints.list_experiments)
    end_experiment = Method(experiment_endpoints.end_experiment)
    delete_experiment = Method(experiment_endpoints.delete_experiment)
    models = Method(endpoints.models)
    train = Method(endpoints.train)
    active_model = Method(endpoints.active_model)
    activate = Method(endpoints.activate)
    status = Method(endpoints.status)
    metrics = Method(endpoints.metrics)
    metrics_history = Method(endpoints.metrics_history)
    audit = Method(endpoints.audit)
    forget = Method(endpoints.forget)
    forgetting = Method(endpoints.forgetting)
    healthy = Method(endpoints.healthy)
    ready = Method(endpoints.ready)
