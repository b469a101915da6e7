"""Exposure check: whether clients on other machines can reach the service."""

from __future__ import annotations

import logging

from ray.serve.context import _get_global_client

from deployments.http.security import is_loopback

logger = logging.getLogger("recommender.ingress")


def is_open_to_others() -> bool:
    """Whether Serve's proxy listens on more than loopback.

    Behind HAProxy every client looks like this machine, so the address of a client alone does not tell.
    """
    client = _get_global_client()
    host = client.http_config.host if client is not None else None
    if host is not None and not is_loopback(host):
        logger.warning("http_options.host is %s; without keys only requests from this machine are answered", host)
        return True
    return False
