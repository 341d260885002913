"""Mirrors: which registries to ask before the one that a reference names.

They come out of our configuration's ``mirrors:`` and out of the registries.conf of podman and
others (containers-registries.conf(5), version 2): ``[[registry]]`` with ``prefix``, ``location``,
``blocked``, ``insecure``, and ``[[registry.mirror]]`` with ``location``, ``insecure`` and
``pull-from-mirror``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ebpm.errors import (
    AccessDenied,
    AuthenticationFailed,
    EbpmError,
    IntegrityError,
    InvalidConfig,
    InvalidManifest,
    NetworkError,
    NotFound,
    Unsupported,
)
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.reference import Reference
from ebpm.registry.repository import Repository

T = TypeVar("T")

ALL, DIGESTS, TAGS = "all", "digest-only", "tag-only"
_NEXT = (
    *(NotFound, NetworkError, AuthenticationFailed),
    *(Unsupported, IntegrityError, InvalidManifest),
)


@dataclass(frozen=True, slots=True)
class Mirror:
    """A place that may have what lies below a prefix: ``mirror.example:5000/cache``."""

    location: str
    pull: str = ALL  # what it is asked for: ALL, DIGESTS or TAGS

    def serves(self, name: str) -> bool:
        """Whether it is asked for a tag or digest."""
        return self.pull in (ALL, DIGESTS if ":" in name else TAGS)


@dataclass(slots=True)
class Rule:
    """What holds for references below a prefix: ``ghcr.io``, ``ghcr.io/acme``, ``*.example``."""

    prefix: str
    location: str = ""  # what stands for the prefix; itself if empty
    blocked: bool = False
    mirrors: list[Mirror] = field(default_factory=list)

    def length(self, name: str) -> int:
        """Tell how much of a name the prefix matches; 0 if it does not."""
        if self.prefix.startswith("*."):
            host = name.partition("/")[0]
            return len(host) if host.endswith(self.prefix[1:]) else 0
        rest = name.removeprefix(self.prefix)
        matches = name.startswith(self.prefix) and (not rest or rest[0] in "/:@")
        return len(self.prefix) if matches else 0


class Mirrors:
    """All rules.

    Args:
        rules: of one prefix the first counts, and has the mirrors of all.
        insecure: hosts that may be spoken to without TLS.
    """

    def __init__(self, rules: Iterable[Rule] = (), insecure: Iterable[str] = ()) -> None:
        self._rules: dict[str, Rule] = {}
        self.insecure = list(insecure)
        for rule in rules:
            known = self._rules.setdefault(rule.prefix, rule)
            if known is not rule:
                known.mirrors += rule.mirrors

    def places(self, reference: Reference) -> list[tuple[Mirror, Reference]]:
        """List where a reference is asked for, in order; the last is where it lies.

        Raises:
            AccessDenied: its prefix is blocked.
        """
        name = reference.name
        rule = max(self._rules.values(), key=lambda one: one.length(name), default=None)
        length = rule.length(name) if rule else 0
        if rule is None or not length:
            return [(Mirror(name), reference)]
        if rule.blocked:
            raise AccessDenied(
                f"{reference} is blocked by registries.conf", hint=f"its prefix is {rule.prefix}"
            )
        rest = name[length:]
        home = Mirror(rule.location or name[:length])
        return [(one, _at(one.location + rest, reference)) for one in (*rule.mirrors, home)]


def _at(name: str, reference: Reference) -> Reference:
    tag = f":{reference.tag}" if reference.tag else ""
    digest = f"@{reference.digest}" if reference.digest else ""
    found = Reference.parse(f"{name}{tag}{digest}")
    if found.registry is None:
        raise InvalidConfig(f"the mirror {name} names no host")
    return found


# --- reading them --------------------------------------------------------------------------------


def read_mirrors(own: Sequence[Mapping[str, Any]], files: Iterable[str]) -> Mirrors:
    """Read the rules.

    Args:
        own: ``mirrors:`` of our configuration: prefix, location, and perhaps pull.
        files: registries.conf and its like; those that are missing count as empty.

    Raises:
        InvalidConfig: one is malformed.
    """
    rules = [_own_rule(one) for one in own]
    insecure: list[str] = []
    for name in files:
        try:
            data = tomllib.loads(Path(name).read_text("utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError, RecursionError) as error:
            raise InvalidConfig(f"cannot read {name}: {error}") from None
        rules += [_rule(table, name, insecure) for table in _tables(data, "registry", name)]
    return Mirrors(rules, insecure)


def _own_rule(table: Mapping[str, Any]) -> Rule:
    if not {"prefix", "location"} <= table.keys() <= {"prefix", "location", "pull"}:
        raise InvalidConfig(
            f"a mirror has {', '.join(map(str, table)) or 'nothing'}",
            hint="it has prefix, location, and perhaps pull: all, digest-only or tag-only",
        )
    return Rule(table["prefix"], mirrors=[_mirror(table, table.get("pull", ALL), "mirrors")])


def _rule(table: Mapping[str, Any], name: str, insecure: list[str]) -> Rule:
    location = _text(table, "location", name)
    prefix = _text(table, "prefix", name) or location
    if not prefix:
        raise InvalidConfig(f"{name}: a registry has neither prefix nor location")
    if table.get("insecure") is True:
        insecure.append((location or prefix).partition("/")[0])
    mirrors = []
    for one in _tables(table, "mirror", name):
        pull = one.get("pull-from-mirror", ALL)
        if table.get("mirror-by-digest-only") is True:
            pull = DIGESTS
        mirrors.append(_mirror(one, pull, name))
        if one.get("insecure") is True:
            insecure.append(str(one["location"]).partition("/")[0])
    return Rule(prefix, location, table.get("blocked") is True, mirrors)


def _mirror(table: Mapping[str, Any], pull: Any, name: str) -> Mirror:  # noqa: ANN401  # TOML
    location = _text(table, "location", name)
    if not location:
        raise InvalidConfig(f"{name}: a mirror has no location")
    if pull not in (ALL, DIGESTS, TAGS):
        raise InvalidConfig(f"{name}: {pull!r} is none of {ALL}, {DIGESTS}, {TAGS}")
    return Mirror(location.rstrip("/"), pull)


def _tables(data: Mapping[str, Any], key: str, name: str) -> list[Mapping[str, Any]]:
    found = data.get(key, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise InvalidConfig(f"{name}: {key} is not written [[{key}]]")
    return found


def _text(table: Mapping[str, Any], key: str, name: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise InvalidConfig(f"{name}: {key} is not text")
    return value


# --- asking them ---------------------------------------------------------------------------------


class Mirrored:
    """A repository with mirrors: each is asked in turn, and the repository itself last.

    Digests are checked whoever answers; what a tag means is for the first to say that knows it.

    Args:
        mirrors: with the repository that stands for each.
        home: the repository itself.
        warn: told of mirrors that fail.
    """

    def __init__(
        self,
        mirrors: Sequence[tuple[Mirror, Repository]],
        home: Repository,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        self._mirrors = mirrors
        self._home = home
        self._warn = warn
        self._chosen: Repository | None = None

    def __str__(self) -> str:
        return str(self._home)

    def _first(self, name: str, ask: Callable[[Repository], T]) -> T:
        """Ask until one answers; the last error is the repository's own."""
        for mirror, repository in self._mirrors:
            if not mirror.serves(name):
                continue
            try:
                found = ask(repository)
            except _NEXT as error:
                self._say(repository, error)
            else:
                self._chosen = repository
                return found
        self._chosen = self._home
        return ask(self._home)

    def _say(self, repository: Repository, error: EbpmError) -> None:
        if self._warn and not isinstance(error, NotFound):
            self._warn(f"the mirror {repository} is passed over: {error.message}")

    def resolve(self, name: str) -> Descriptor:
        """Find the manifest of a tag or digest."""
        return self._first(name, lambda one: one.resolve(name))

    def tags(self) -> Iterator[str]:
        """List the tags."""
        return iter(self._first("", lambda one: list(one.tags())))

    def open(
        self, descriptor: Descriptor, start: int = 0
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Open content; another goes on where a mirror fails."""
        return nullcontext(self._chunks(descriptor, start))

    def _chunks(self, descriptor: Descriptor, place: int) -> Iterator[bytes]:
        mirrors = [one for mirror, one in self._mirrors if mirror.serves(str(descriptor.digest))]
        chosen = [self._chosen] if self._chosen else []
        order = [*chosen, *(one for one in (*mirrors, self._home) if one is not self._chosen)]
        for repository in order:
            try:
                with repository.open(descriptor, place) as chunks:
                    for chunk in chunks:
                        yield chunk
                        place += len(chunk)
            except _NEXT as error:
                if repository is order[-1]:
                    raise
                self._say(repository, error)
            else:
                return

    def referrers(self, descriptor: Descriptor) -> list[Descriptor]:
        """List referrers, where the manifest was found."""
        return (self._chosen or self._home).referrers(descriptor)

    def signature_tags(self, descriptor: Descriptor) -> dict[str, Descriptor]:
        """Find cosign's tags, where the manifest was found."""
        return (self._chosen or self._home).signature_tags(descriptor)
