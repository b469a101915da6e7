"""Authentication and authorisation: API keys, scopes, and the loopback rule where there are no keys."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from deployments.env_secrets import secret
from deployments.http.problems import Problem

VARIABLE = "RECOMMENDER_API_KEYS"
SCOPES = ("read", "write", "admin")
"""Each includes those before it."""

PUBLIC_PATHS = frozenset({"/", "/docs", "/healthz", "/readyz"})
PUBLIC_FOLDERS = ("/console/", "/docs/")
"""Files of the pages at ``/`` and ``/docs``: the same for everyone, and without anything of the service's data."""
ADMIN_READS = frozenset({"/v1/exposures"})
"""Lists of what each single user was shown."""
READING_POSTS = frozenset({"/v1/recommendations", "/v1/rank"})


ADMIN_PATHS = ("/v1/audit",)
"""Of which also what is only read is for administrators."""
ADMINISTERED_PATHS = ("/v1/models", "/v1/placements", "/v1/experiments")
"""Beginnings of those of which what changes something is."""
FORGETTING = re.compile(r"/v1/users/[^/]+/forget")
"""Erases for good, from back to front: for administrators, who also read how far it has come."""
NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})=(?=.*[^=])(.+)")
"""``NAME=KEY``; the padding of base64 at the end of a key makes no name of the key before it."""


class Caller(NamedTuple):
    """Who a request is from: the name of their key, and its scope."""

    name: str
    scope: str


NOBODY = Caller("local", "admin")
"""Where the service has no keys, and answers loopback clients."""


class Keys:
    """API keys with scopes and names. Only their SHA-256 is kept: they are random, so no slower hash is needed.

    Parameters
    ----------
    listed
        ``read:KEY,write:NAME=KEY,admin:KEY``, several of each allowed, separated by commas or lines; empty for none.
        A key without a name is called by its scope and the first letters of its SHA-256.

    Raises
    ------
    ValueError
        An entry is not ``scope:key``. The message does not repeat the key.
    """

    def __init__(self, listed: str) -> None:
        self._keys: list[tuple[Caller, bytes]] = []
        for number, entry in enumerate(
            filter(None, (each.strip() for each in listed.replace("\n", ",").split(","))), 1
        ):
            scope, colon, key = entry.partition(":")
            if scope not in SCOPES or not colon or not key:
                raise ValueError(
                    f"entry {number} of {VARIABLE} is not read:KEY, write:KEY or admin:KEY, nor scope:NAME=KEY"
                )
            self._keys.append(_named(scope, key))

    @classmethod
    def from_environment(cls) -> Keys:
        """Keys of the environment variable, or of the file that ``RECOMMENDER_API_KEYS_FILE`` names."""
        return cls(secret(VARIABLE))

    def __repr__(self) -> str:
        return f"<Keys: {', '.join(caller.scope for caller, _ in self._keys) or 'none'}>"

    def __bool__(self) -> bool:
        return bool(self._keys)

    def caller_of(self, authorization: str | None) -> Caller | None:
        """Caller with the key in an ``Authorization`` header, by its widest scope; None when it is not valid."""
        offered = key_in(authorization)
        if offered is None:
            return None
        # every key is compared, in constant time: how long it takes says nothing of them
        found = [caller for caller, key in self._keys if hmac.compare_digest(key, offered)]
        return max(found, key=lambda caller: SCOPES.index(caller.scope), default=None)

    def scope_of(self, authorization: str | None) -> str | None:
        """Widest scope of the key in an ``Authorization`` header; None when it is not valid."""
        caller = self.caller_of(authorization)
        return caller and caller.scope


def _named(scope: str, given: str) -> tuple[Caller, bytes]:
    named = NAMED.fullmatch(given)
    digest = _digest(named[2] if named else given)
    return Caller(named[1] if named else f"{scope}-{digest.hex()[:8]}", scope), digest


def key_in(authorization: str | None) -> bytes | None:
    """SHA-256 of the key in an ``Authorization`` header; None when there is none."""
    scheme, _, given = (authorization or "").partition(" ")
    return _digest(given.strip()) if scheme.lower() == "bearer" else None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def needed_scope(method: str, path: str) -> str | None:
    """Scope that a request needs; None for what everyone may ask."""
    if path in PUBLIC_PATHS or (path.startswith(PUBLIC_FOLDERS) and method in ("GET", "HEAD")):
        return None
    if path in ADMIN_PATHS or FORGETTING.fullmatch(path) or (path in ADMIN_READS and method in ("GET", "HEAD")):
        return "admin"
    if method in ("GET", "HEAD", "OPTIONS") or path in READING_POSTS:
        return "read"
    return "admin" if path.startswith(ADMINISTERED_PATHS) else "write"


def check(keys: Keys, method: str, path: str, authorization: str | None, client: str | None) -> Caller:
    """Let a request pass and say who it is from, or answer 401 or 403."""
    needed = needed_scope(method, path)
    if needed is None:
        return NOBODY
    if not keys:
        if not is_loopback(client):
            raise Problem(
                403,
                f"without keys this service answers this machine only: set {VARIABLE}, or bind to 127.0.0.1",
            )
        return NOBODY
    caller = keys.caller_of(authorization)
    if caller is None:
        raise Problem(401, "send a valid key as Authorization: Bearer KEY", headers={"WWW-Authenticate": "Bearer"})
    if SCOPES.index(caller.scope) < SCOPES.index(needed):
        raise Problem(403, f"this needs the scope {needed}; the key has {caller.scope}")
    return caller


@lru_cache(maxsize=1024)
def is_loopback(host: str | None) -> bool:
    """Whether an address is of this machine; a unix socket has none and is."""
    if host is None or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def header(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> str | None:
    """First header of that name in an ASGI scope."""
    return next((value.decode("latin-1") for each, value in headers if each == name), None)


def first_of_each(headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """First header of each name in an ASGI scope."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(headers)}
