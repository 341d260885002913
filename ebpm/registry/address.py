"""Addresses: which are the same host, which are this machine, and how they may be shown."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import SplitResult, urljoin, urlsplit

from ebpm.errors import RegistryError

HUB = "registry-1.docker.io"
HUB_NAMES = ("docker.io", "index.docker.io", HUB)
_PORTS = {"http": 80, "https": 443}


def api_host(registry: str) -> str:
    """Tell which host serves a registry: Docker Hub's name is not its address."""
    return HUB if registry in HUB_NAMES else registry


def split(url: str) -> SplitResult:
    """Take an address apart that somebody else may have made.

    Raises:
        RegistryError: it is no http or https address.
    """
    try:
        parts = urlsplit(url)
        known = parts.scheme in _PORTS and parts.hostname and parts.port != 0
    except ValueError:  # bad brackets, bad port
        known = False
    if not known:
        raise RegistryError(f"{url[:200]!r} is no http address")
    return parts


def join(base: str, location: str) -> str:
    """Resolve a Location header, which may be relative; its query stays as it is.

    Raises:
        RegistryError: it is no http or https address.
    """
    try:
        url = urljoin(base, location)
    except ValueError:
        url = location
    split(url)
    return url


def origin(url: str) -> tuple[str, str, int]:
    """Tell what a credential is for: scheme, host and port."""
    parts = split(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme]


def is_loopback(netloc: str) -> bool:
    """Whether a host, with or without port, is this machine."""
    host = _hostname(netloc)
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_among(netloc: str, hosts: Collection[str]) -> bool:
    """Whether a host is listed, with its port or without any."""
    known = {host.lower() for host in hosts}
    return netloc.lower() in known or _hostname(netloc) in known


def _hostname(netloc: str) -> str:
    try:
        return urlsplit(f"//{netloc}").hostname or ""
    except ValueError:
        return ""


def shown(url: str) -> str:
    """Leave out what may hold a password, a signature or a token."""
    head, _, rest = url.partition("?")[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{head}://{host.rpartition('@')[2]}{slash}{path}"[:300]
