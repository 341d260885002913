"""Tokens: what a registry's challenge is answered with.

Source: distribution's token authentication specification. A token is kept for one host, credential
and set of scopes; a credential goes to the registry that it is for and to the token server that
this registry names, and nowhere else.
"""

from __future__ import annotations

import ipaddress
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import urlencode

from ebpm.errors import AuthenticationFailed, RegistryError
from ebpm.registry.address import is_loopback, origin, shown, split
from ebpm.registry.answer import Answer
from ebpm.registry.challenge import Challenge
from ebpm.registry.credentials import Credential
from ebpm.registry.http import Http
from ebpm.registry.words import said

Find: TypeAlias = Callable[[str, str], Credential | None]

_DEFAULT_LIFE = 60.0  # seconds, where the server says nothing
_CLIENT = "ebpm"
_ANSWER_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class _Header:
    text: str = field(repr=False)
    renew_at: float = float("inf")  # time.monotonic()
    half_at: float = float("inf")  # half of its life is over


class Authorizer:
    """Answers for one registry; it may be used from several threads.

    Args:
        http: how token servers are reached.
        host: the registry.
        find: looks up who we are at a host, for a repository.
    """

    def __init__(self, http: Http, host: str, find: Find) -> None:
        self._http = http
        self._host = host
        self._find = find
        self._headers: dict[str, _Header] = {}  # by scope; "" for Basic, which has none
        self._challenges: list[Challenge] = []  # the last ones, to renew a token before it ends
        self._credentials: dict[str, Credential | None] = {}  # by repository
        self._lock = threading.Lock()

    def header(self, scope: str, *, long: bool = False) -> str | None:
        """Give the Authorization header for a scope, renewed if its end is near; None at first.

        Args:
            scope: one, or several with spaces between them.
            long: what it is for takes its time: at least half of a token's life is to be left.
        """
        with self._lock:
            if not self._challenges:
                return None
            return self._known(scope, long=long) or self._new(scope)

    def answer(self, challenges: list[Challenge], scope: str, refused: str | None) -> str | None:
        """Get a new header for a scope, after a 401; None where there is nothing to answer.

        Args:
            challenges: of the 401.
            scope: for which the request was.
            refused: the header that it had.

        Raises:
            AuthenticationFailed: the credential is not accepted.
        """
        with self._lock:
            self._challenges = challenges
            known = self._known(scope)
            if known and known != refused:
                return known  # another thread was quicker
            self._headers.pop(scope, None)
            fresh = self._new(scope)
            if fresh and fresh == refused:
                raise AuthenticationFailed(
                    f"{self._host} does not accept the login", hint=f"ebpm login {self._host}"
                )
            return fresh

    def _known(self, scope: str, *, long: bool = False) -> str | None:
        for key in (scope, ""):
            header = self._headers.get(key)
            if header and (header.half_at if long else header.renew_at) > time.monotonic():
                return header.text
        return None

    def _new(self, scope: str) -> str | None:
        """Answer the last challenges: by a token where they ask for one, else by a password."""
        repository = scope.split(":")[1] if scope.count(":") >= 2 else ""
        if repository not in self._credentials:
            self._credentials[repository] = self._find(self._host, repository)
        credential = self._credentials[repository]
        for challenge in self._challenges:
            if challenge.scheme == "bearer":
                self._headers[scope] = self._bearer(challenge, scope, credential)
                return self._headers[scope].text
        if credential and any(one.scheme == "basic" for one in self._challenges):
            self._headers[""] = _Header(credential.basic)
            return credential.basic
        return None

    def _bearer(self, challenge: Challenge, scope: str, credential: Credential | None) -> _Header:
        if credential and credential.bearer:
            return _Header(f"Bearer {credential.bearer}")
        realm = challenge.parameters.get("realm", "")
        self._check_realm(realm)
        service = challenge.parameters.get("service", "")
        asked = time.monotonic()
        with self._ask(realm, service, scope, credential) as answer:
            if answer.status not in (400, 401, 403):
                return self._read_token(answer, asked)
            words = said(answer)
        if credential and scope.endswith(":pull") and ":pull,push" not in scope:
            # A stale password must not stop anybody from reading what is public.
            with self._ask(realm, service, scope, None) as answer:
                if answer.status not in (400, 401, 403):
                    return self._read_token(answer, asked)
        raise AuthenticationFailed(
            f"the token server of {self._host} does not accept the login{words}"
            if credential
            else f"the token server of {self._host} gives nobody a token{words}",
            hint=f"ebpm login {self._host}",
        )

    def _ask(self, realm: str, service: str, scope: str, credential: Credential | None) -> Answer:
        """Ask the token server; an identity token is exchanged, a password sent along."""
        pairs = [("service", service)] if service else []
        if credential and credential.identity:
            pairs += [("grant_type", "refresh_token"), ("refresh_token", credential.identity)]
            pairs += [("client_id", _CLIENT), *([("scope", scope)] if scope else [])]
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return self._http.request(
                "POST", realm, headers=headers, body=urlencode(pairs).encode()
            )
        pairs += [("scope", one) for one in scope.split()]
        joint = "&" if "?" in realm else "?"
        basic = credential.basic if credential else None
        return self._http.request("GET", f"{realm}{joint}{urlencode(pairs)}", authorization=basic)

    def _read_token(self, answer: Answer, asked: float) -> _Header:
        if answer.status != 200:
            raise RegistryError(
                f"the token server of {self._host} answers {answer.status}{said(answer)}"
            )
        try:
            data = _json_object(answer.read(_ANSWER_LIMIT))
        except ValueError:
            raise RegistryError(f"the token server of {self._host} answers no JSON") from None
        token = data.get("token") or data.get("access_token")
        if not isinstance(token, str) or not (token.isascii() and token.isprintable()):
            raise RegistryError(f"the token server of {self._host} gives no token")
        life = data.get("expires_in")
        seconds = float(life) if isinstance(life, int | float) and life > 0 else _DEFAULT_LIFE
        renew_at = asked + seconds - max(5.0, seconds / 5)
        return _Header(f"Bearer {token}", renew_at, min(renew_at, asked + seconds / 2))

    def _check_realm(self, realm: str) -> None:
        """Refuse a token server that a credential must not go to."""
        try:
            parts = split(realm)
        except RegistryError:
            raise RegistryError(
                f"{self._host} names a token server that is no address: {realm[:200]!r}"
            ) from None
        ours = self._http.base_url(self._host)
        if ours.startswith("https:") and parts.scheme != "https":
            raise RegistryError(f"{self._host} names a token server without TLS: {shown(realm)}")
        if origin(realm) == origin(ours) or is_loopback(self._host):
            return
        if is_loopback(parts.netloc) or not _is_public(parts.hostname or ""):
            raise RegistryError(
                f"{self._host} names a token server inside the network: {shown(realm)}"
            )


def _is_public(hostname: str) -> bool:
    """Whether a host is a name, or an address that everybody can reach."""
    try:
        return ipaddress.ip_address(hostname).is_global
    except ValueError:
        return True


def _json_object(data: bytes) -> dict[str, Any]:
    """Read a JSON object; ValueError where it is none."""
    try:
        parsed = json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(parsed, dict):
        raise ValueError("not an object")
    return parsed
