"""Requests to one repository: what authorises them, and what their refusals mean."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from ebpm.errors import (
    AccessDenied,
    AuthenticationFailed,
    EbpmError,
    ManifestNotFound,
    RegistryError,
    RegistryRefused,
)
from ebpm.registry.address import HUB_NAMES, origin
from ebpm.registry.answer import Answer
from ebpm.registry.auth import Authorizer
from ebpm.registry.challenge import parse_challenges
from ebpm.registry.http import Http, SizedBody
from ebpm.registry.trouble import retry_after
from ebpm.registry.words import said

_REFUSALS = frozenset((400, 405, 409, 412, 413, 415, 416))


class Channel:
    """A way to one repository.

    Args:
        http: the connections.
        authorizer: for its registry.
        registry: host[:port], as in references.
        name: the path below it.
        push: ask for the right to write from the first request on.
        also: another scope to ask for.
    """

    def __init__(
        self,
        http: Http,
        authorizer: Authorizer,
        registry: str,
        name: str,
        *,
        push: bool = False,
        also: str = "",
    ) -> None:
        self._http = http
        self._authorizer = authorizer
        self._registry = registry
        self._name = f"library/{name}" if registry in HUB_NAMES and "/" not in name else name
        self._base = http.base_url(registry)
        self._push = push
        self._scope = f"repository:{self._name}:{'pull,push' if push else 'pull'} {also}".strip()

    def __str__(self) -> str:
        return f"{self._registry}/{self._name}"

    @property
    def name(self) -> str:
        """The repository's path as the registry has it."""
        return self._name

    def is_beside(self, other: Channel) -> bool:
        """Whether this is another repository of the same registry."""
        return self._base == other._base and self._name != other._name

    def reading_too(self, other: Channel) -> Channel:
        """Give a way with the right to read a second repository of the same registry."""
        return Channel(
            self._http,
            self._authorizer,
            self._registry,
            self._name,
            push=self._push,
            also=f"repository:{other.name}:pull",
        )

    @property
    def url(self) -> str:
        """The repository's address, below which its paths are."""
        return f"{self._base}/v2/{self._name}"

    def call(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        follow: bool = True,
    ) -> Answer:
        """Send a request to a path below the repository."""
        return self.send(method, f"{self.url}/{path}", headers=headers, body=body, follow=follow)

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | SizedBody | None = None,
        timeout: float | None = None,
        follow: bool = True,
        long: bool = False,
    ) -> Answer:
        """Send a request to an address that the registry gave; only its own gets a credential.

        One challenge of the registry is answered, where the body can be sent a second time.

        Args:
            method: of HTTP.
            url: absolute.
            headers: beside ours.
            body: bytes, or a sized iterable that is read once.
            timeout: seconds for a single try, instead of the settings'.
            follow: follow redirects.
            long: it takes its time: no token goes with it whose end is in sight.
        """
        home = origin(self._base)
        ours = origin(url) == home
        known = self._authorizer.header(self._scope, long=long) if ours else None
        request = partial(
            self._http.request,
            method,
            url,
            headers=headers,
            body=body,
            timeout=timeout,
            follow=follow,
        )
        answer = request(authorization=known)
        # The target of a redirect has no claim to our credentials.
        if answer.status != 401 or not ours or origin(answer.url) != home:
            return answer
        challenges = parse_challenges(answer.headers.get("WWW-Authenticate", ""))
        header = self._authorizer.answer(challenges, self._scope, known)
        once = isinstance(body, SizedBody) and not body.repeatable
        if header is None or once:
            return answer
        answer.close()
        return request(authorization=header)

    def expect(
        self, answer: Answer, good: tuple[int, ...], absent: type[EbpmError], what: str = ""
    ) -> None:
        """Turn a status that is not one of the good ones into an error.

        Args:
            answer: whose body is not read yet.
            good: statuses.
            absent: what a 404 means.
            what: of the repository was asked for, as ``:tag``.
        """
        status = answer.status
        if status in good:
            return
        words = said(answer)
        if status == 404:
            raise absent(f"{self}{what} does not exist{words}")
        if status == 401:
            raise AuthenticationFailed(
                f"{self} wants a login{words}", hint=f"ebpm login {self._registry}"
            )
        if status == 403:
            raise AccessDenied(f"{self._registry} denies access to {self._name}{words}")
        if status in _REFUSALS:
            raise RegistryRefused(f"{self}{what} is refused ({status}){words}")
        wait = retry_after(answer.headers)
        later = f"; it asks to come back in {wait:.0f} s" if wait else ""
        raise RegistryError(f"{self} answers {status}{words}{later}")

    def expect_manifest(self, answer: Answer, good: tuple[int, ...], what: str = "") -> None:
        """Do :meth:`expect` for requests whose 404 means that there is no such manifest."""
        self.expect(answer, good, ManifestNotFound, what)
