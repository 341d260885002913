"""Registries by reference: one pool of connections, one authorizer a host."""

from __future__ import annotations

from ebpm.errors import AuthenticationFailed, InvalidReference, RegistryError, TargetNotFound
from ebpm.oci.reference import Reference
from ebpm.registry.auth import Authorizer
from ebpm.registry.challenge import parse_challenges
from ebpm.registry.credentials import Credential, CredentialStore
from ebpm.registry.http import Http, HttpSettings
from ebpm.registry.repository import Repository


class RegistryClient:
    """All registries.

    Args:
        settings: of the connections.
        credentials: where logins are kept.
    """

    def __init__(self, settings: HttpSettings, credentials: CredentialStore) -> None:
        self._http = Http(settings)
        self._credentials = credentials
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
        if host not in self._authorizers:
            self._authorizers[host] = Authorizer(self._http, host, self._credentials.find)
        return Repository(
            self._http, self._authorizers[host], host, reference.repository, push=push
        )

    def download(self, url: str, limit: int) -> bytes:
        """Get a file by its address.

        Raises:
            TargetNotFound: it is not there.
            RegistryError: the server answers otherwise, or with more than ``limit`` bytes.
        """
        with self._http.request("GET", url) as answer:
            if answer.status_code in (404, 410):
                raise TargetNotFound(f"{url} does not exist", hint="check the address")
            if answer.status_code != 200:
                raise RegistryError(f"{url} answers {answer.status_code} {answer.reason}")
            data = bytes(answer.raw.read(limit + 1, decode_content=False))
        if len(data) > limit:
            raise RegistryError(f"{url} is larger than {limit} bytes")
        return data

    def login(self, host: str, credential: Credential) -> str:
        """Try a credential, and keep it if the registry accepts it; tell where it is kept.

        Raises:
            AuthenticationFailed: it is not accepted; nothing is kept.
        """
        authorizer = Authorizer(self._http, host, lambda _host, _repository: credential)
        url = f"{self._http.base_url(host)}/v2/"
        with self._http.request("GET", url) as answer:
            if answer.status_code == 401:
                challenges = parse_challenges(answer.headers.get("WWW-Authenticate", ""))
                header = authorizer.answer(challenges, "")
                with self._http.request("GET", url, authorization=header) as second:
                    if second.status_code == 401 or header is None:
                        raise AuthenticationFailed(f"{host} does not accept this login")
        return self._credentials.save(host, credential)

    def logout(self, host: str) -> bool:
        """Forget a login; False where there was none."""
        return self._credentials.erase(host)
