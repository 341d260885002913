"""Registries by reference: one pool of connections, one authorizer a host."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote

from ebpm.errors import AuthenticationFailed, InvalidReference, RegistryError, TargetNotFound
from ebpm.oci.reference import Reference
from ebpm.registry.address import shown, split
from ebpm.registry.answer import Answer
from ebpm.registry.auth import Authorizer
from ebpm.registry.challenge import parse_challenges
from ebpm.registry.channel import Channel
from ebpm.registry.credentials import Credential, Credentials
from ebpm.registry.http import Http, HttpSettings
from ebpm.registry.mirrors import Mirrored, Mirrors
from ebpm.registry.repository import Repository
from ebpm.registry.words import said


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloaded:
    """A file, and what its server knows it by."""

    data: bytes = field(repr=False)
    etag: str | None = None
    modified: str | None = None


class RegistryClient:
    """All registries.

    Args:
        settings: of the connections.
        credentials: where logins are kept.
        mirrors: to ask before a registry itself, for what is only read.
    """

    def __init__(
        self, settings: HttpSettings, credentials: Credentials, mirrors: Mirrors | None = None
    ) -> None:
        self._mirrors = mirrors or Mirrors()
        self.settings = settings
        self.credentials = credentials
        self._http = Http(settings)
        self._authorizers: dict[str, Authorizer] = {}

    def repository(self, reference: Reference, *, push: bool = False) -> Repository:
        """Get the repository that a reference lies in.

        Raises:
            InvalidReference: a local name, which no registry is assumed for.
        """
        host = reference.registry
        if host is None:
            raise InvalidReference(
                f"{reference} names no registry", hint=f"write HOST/{reference}, as ghcr.io/you/…"
            )
        return Repository(self.channel(host, reference.repository, push=push))

    def source(self, reference: Reference) -> Repository | Mirrored:
        """Get what a reference is read from: its repository, with the mirrors before it.

        Raises:
            InvalidReference: a local name.
            AccessDenied: registries.conf blocks it.
        """
        places = self._mirrors.places(reference)
        *mirrors, (_, home) = [(mirror, self.repository(one)) for mirror, one in places]
        return Mirrored(mirrors, home, self.settings.warn) if mirrors else home

    def channel(self, host: str, name: str, *, push: bool = False) -> Channel:
        """Get a way to one repository of a registry."""
        authorizer = self._authorizers.setdefault(
            host, Authorizer(self._http, host, self.credentials.find)
        )
        return Channel(self._http, authorizer, host, name, push=push)

    def forget(self) -> None:
        """Forget all tokens, and who we were found to be."""
        self._authorizers.clear()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def download(self, url: str, limit: int, known: Downloaded | None = None) -> Downloaded:
        """Get a file by its address; a user and password in it are for its host.

        Args:
            url: of the file.
            limit: bytes.
            known: an earlier download, which comes back if the server says that it is the same.

        Raises:
            TargetNotFound: it is not there.
            RegistryError: the server answers otherwise, or with more than ``limit`` bytes.
        """
        parts = split(url)
        basic = None
        if parts.username is not None:
            basic = Credential(unquote(parts.username), unquote(parts.password or "")).basic
            url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        headers = {}
        if known and known.etag:
            headers["If-None-Match"] = known.etag
        elif known and known.modified:
            headers["If-Modified-Since"] = known.modified
        with self._http.request("GET", url, headers=headers, authorization=basic) as answer:
            if known is not None and answer.status == 304:
                return known
            if answer.status in (404, 410):
                raise TargetNotFound(f"{shown(url)} does not exist", hint="check the address")
            if answer.status != 200:
                raise RegistryError(f"{shown(url)} answers {answer.status}")
            data = answer.read(limit + 1)
        if len(data) > limit:
            raise RegistryError(f"{shown(url)} is larger than {limit} bytes")
        etag, modified = answer.headers.get("ETag"), answer.headers.get("Last-Modified")
        return Downloaded(data=data, etag=etag, modified=modified)

    def login(self, host: str, credential: Credential) -> str:
        """Try a credential, and keep it if the registry accepts it; tell where it is kept.

        Raises:
            AuthenticationFailed: it is not accepted; nothing is kept.
        """
        host = host.lower()
        self.check(host, credential)
        self._authorizers.pop(host, None)
        return self.credentials.save(host, credential)

    def check(self, host: str, credential: Credential) -> None:
        """Try a credential.

        Raises:
            AuthenticationFailed: it is not accepted.
            RegistryError: the host is no registry.
        """
        authorizer = Authorizer(self._http, host, lambda *_: credential)
        header = credential.basic  # for a registry that lets everybody in, and looks at it if given
        with self.ping(host) as answer:
            if answer.status == 401:
                challenges = parse_challenges(answer.headers.get("WWW-Authenticate", ""))
                # Without a scope: the one that a challenge names may be anybody's to read.
                header = authorizer.answer(challenges, "", None) or header
        with self._probe(host, header) as answer:
            if answer.status in (401, 403):
                raise AuthenticationFailed(f"{host} does not accept this login{said(answer)}")
            _expect_registry(host, answer)

    def ping(self, host: str) -> Answer:
        """Ask a registry whether it is one, as nobody: the answer is 200 or 401.

        Raises:
            RegistryError: the host is no registry.
        """
        answer = self._probe(host, None)
        if answer.status != 401:
            _expect_registry(host, answer)
        return answer

    def _probe(self, host: str, header: str | None) -> Answer:
        url = f"{self._http.base_url(host)}/v2/"
        return self._http.request("GET", url, authorization=header)

    def logout(self, host: str) -> bool:
        """Forget a login, and what was got for it; False where there was none."""
        host = host.lower()
        self._authorizers.pop(host, None)
        return self.credentials.erase(host)


def _expect_registry(host: str, answer: Answer) -> None:
    if answer.status == 404:
        raise RegistryError(
            f"{host} is no registry: it has no /v2/", hint="check the host and the port"
        )
    if answer.status != 200:
        raise RegistryError(f"{host} answers {answer.status}{said(answer)}")
