"""Where an artifact lives: ``ghcr.io/acme/opensnoop:1.0``, or a local name ``opensnoop:1.0``.

Grammar: OCI distribution-spec v1.1, "Pulling manifests"; hosts as RFC 3986 has them, IPv6 in
brackets. Pure parsing: nothing is looked up, and no registry is assumed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from ebpm.errors import InvalidDigest, InvalidReference
from ebpm.oci.digest import Digest

DEFAULT_TAG = "latest"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = re.compile(rf"({_LABEL}(?:\.{_LABEL})*|\[([0-9A-Fa-f:.]+)\])(?::([0-9]{{1,5}}))?", re.ASCII)
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*", re.ASCII)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
_LONGEST = 255  # host and name together, the slash between them included


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

        Hosts are written in lower case, since they are the same in any.

        Raises:
            InvalidReference: the text is not one.
        """
        rest, at, digest_text = text.partition("@")
        digest = _digest(digest_text, text) if at else None
        registry, name = _split_host(rest)
        repository, colon, tag = name.partition(":")
        if not _REPOSITORY.fullmatch(repository):
            hint = (
                f"names are lower-case: {repository.lower()}" if _is_shouted(repository) else None
            )
            raise InvalidReference(f"{text[:300]!r} is not a package reference", hint=hint)
        if (colon and not _TAG.fullmatch(tag)) or (
            registry is not None and not _is_valid(registry)
        ):
            raise InvalidReference(f"{text[:300]!r} is not a package reference")
        found = cls(
            registry.lower() if registry else None,
            repository,
            tag if colon else None if digest else DEFAULT_TAG,
            digest,
        )
        if len(found.name) > _LONGEST:
            raise InvalidReference(f"{text[:300]!r} is longer than a name may be ({_LONGEST})")
        return found

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


def _digest(text: str, whole: str) -> Digest:
    try:
        return Digest.parse(text)
    except InvalidDigest as error:
        raise InvalidReference(f"{whole[:300]!r}: {error.message}", hint=error.hint) from None


def _split_host(text: str) -> tuple[str | None, str]:
    first, slash, rest = text.partition("/")
    return (first, rest) if slash and is_host(first) else (None, text)


def _is_shouted(repository: str) -> bool:
    return len(repository) < _LONGEST and bool(_REPOSITORY.fullmatch(repository.lower()))


def _is_valid(host: str) -> bool:
    """Whether a host is one: labels or an IPv6 address, and a port that exists."""
    match = _HOST.fullmatch(host)
    if match is None or (match[3] and not 0 < int(match[3]) < 1 << 16):
        return False
    if match[2] is None:
        return True
    import ipaddress  # here, since it takes as long as all the rest

    try:
        ipaddress.IPv6Address(match[2])
    except ValueError:
        return False
    return True


def is_host(first: str) -> bool:
    """Whether the first part of a reference is a host: it has a dot or a port, or is localhost."""
    return "." in first or ":" in first or first == "localhost"


def beside(name: str | None, tag: str) -> str:
    """Name another tag of the repository in which a name lies.

    A name may be whole, as in our store (``ghcr.io/acme/x:1``), or just a tag or digest, as in a
    registry (``1``): then the other is just a tag as well.
    """
    if name is None or name.startswith(("sha256:", "sha512:")):
        return tag
    path, pinned, _ = name.partition("@")
    head, slash, last = path.rpartition("/")
    repository, colon, _ = last.partition(":")
    return f"{head}{slash}{repository}:{tag}" if slash or colon or pinned else tag
