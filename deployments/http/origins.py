"""Cross-origin policy (CORS, CSRF): which requests a page of another origin may send to a service without keys.

A key is a proof that no foreign page has: a browser sends none by itself, and a page may set the header only after a
preflight, which this service never allows. Without keys being on this machine is the proof, and a browser on it runs
the pages of everybody. So two doors are shut then: a name that a stranger's DNS made point here (DNS rebinding), and
requests that a page of another origin sends without asking (cross-site request forgery).
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from deployments.http.problems import Problem
from deployments.http.security import VARIABLE, is_loopback

OWN_SITES = ("same-origin", "none")
"""Of ``Sec-Fetch-Site``: a page of ours, or somebody who typed the address."""


def check(method: str, headers: Mapping[str, str]) -> None:
    """Let a request to a service without keys pass, or answer 403.

    Parameters
    ----------
    method
        Of the request.
    headers
        Its first of each name, in lower case.
    """
    host = headers.get("host")
    if host is not None and not is_loopback(_name_in(host)):
        raise Problem(
            403,
            f"without keys this service answers to localhost, 127.0.0.1 and [::1] only: ask there, or set {VARIABLE}",
        )
    if _is_foreign(headers, host) and not _is_navigation(method, headers):
        raise Problem(403, f"without keys this service answers no page of another origin: set {VARIABLE}")


def _is_foreign(headers: Mapping[str, str], host: str | None) -> bool:
    """Whether a browser says that a page of another origin sends this; what is no browser says nothing."""
    if headers.get("sec-fetch-site", "none") not in OWN_SITES:
        return True
    origin = headers.get("origin")
    # the scheme is left out: a proxy that ends TLS leaves the host as it was
    return origin is not None and origin.partition("://")[2].lower() != (host or "").lower()


def _is_navigation(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a link was followed: the page that has it never sees the answer."""
    return (
        method in ("GET", "HEAD")
        and "origin" not in headers
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )


def _name_in(host: str) -> str:
    """Name or address of a ``Host`` header, without its port; what is none stays as it is, and is no loopback."""
    try:
        return urlsplit(f"//{host}").hostname or host
    except ValueError:
        return host
