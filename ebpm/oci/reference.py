"""Where an artifact lives: ``ghcr.io/acme/opensnoop:1.0``, or a local name ``opensnoop:1.0``.

Grammar: OCI distribution-spec v1.1, "Pulling manifests"; hosts as RFC 3986 has them, IPv6 in
brackets. Pure parsing: nothing is looked up, and no registry is assumed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Self

from ebpm.errors import InvalidDigest, InvalidReference
from ebpm.oci.digest import Digest

DEFAULT_TAG = "latest"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST_RE = re.compile(_HOST, re.ASCII)
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*", re.ASCII)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
_LONGEST = 255  # host and name together


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed name. ``registry`` is None for a local one; ``tag`` is None only with a digest."""

    registry: str | None  # host[:port]
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a reference; the tag is ``latest`` where neither tag nor digest is given.

        Raises:
            InvalidReference: the text is not one.
        """
        rest, at, digest_text = text.partition("@")
        digest = _digest(digest_text, text) if at else None
        registry, name = _split_host(rest)
        repository, colon, tag = name.partition(":")
        if (
            not _REPOSITORY.fullmatch(repository)
            or (colon and not _TAG.fullmatch(tag))
            or (registry is not None and not _HOST_RE.fullmatch(registry))
            or len(rest) > _LONGEST + 129
        ):
            raise InvalidReference(f"{text[:300]!r} is not a package reference")
        chosen = tag if colon else None if digest else DEFAULT_TAG
        return cls(registry, repository, chosen, digest)

    @property
    def name(self) -> str:
        """The reference without tag and digest."""
        return f"{self.registry}/{self.repository}" if self.registry else self.repository

    @property
    def target(self) -> str:
        """What to ask a registry for: the digest where there is one, else the tag."""
        return str(self.digest) if self.digest else self.tag or DEFAULT_TAG

    def __str__(self) -> str:
        """Write it in full, with its tag."""
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}" + (f"@{self.digest}" if self.digest else "")

    def with_digest(self, digest: Digest) -> Self:
        """Pin it."""
        return replace(self, digest=digest)


def _digest(text: str, whole: str) -> Digest:
    try:
        return Digest.parse(text)
    except InvalidDigest as error:
        raise InvalidReference(f"{whole[:300]!r}: {error.message}", hint=error.hint) from None


def _split_host(text: str) -> tuple[str | None, str]:
    first, slash, rest = text.partition("/")
    return (first, rest) if slash and is_host(first) else (None, text)


def is_host(first: str) -> bool:
    """Whether the first part of a reference is a host: it has a dot or a port, or is localhost."""
    return "." in first or ":" in first or first == "localhost"
