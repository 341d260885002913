"""Tokens: what a registry's challenge is answered with.

Source: distribution's token authentication specification. A token is kept for one host, credential
and set of scopes; a credential goes to the registry that it is for and to the token server that
this registry names, and nowhere else.
"""

from __future__ import annotations

import ipaddress
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import urlencode, urlsplit

from ebpm.errors import AuthenticationFailed, RegistryError
from ebpm.registry.challenge import Challenge
from ebpm.registry.credentials import Credential
from ebpm.registry.http import Http, is_loopback

Find: TypeAlias = Callable[[str, str], Credential | None]

_DEFAULT_LIFE = 60.0  # seconds, where the server says nothing
_CLIENT = "ebpm"
_ANSWER_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class _Token:
    header: str
    renew_at: float  # time.monotonic()


class Authorizer:
    """Answers for one registry.

    Args:
        http: how token servers are reached.
        host: the registry.
        find: looks up who we are at a host, for a repository.
    """

    def __init__(self, http: Http, host: str, find: Find) -> None:
        self._http = http
        self._host = host
        self._find = find
        self._tokens: dict[str, _Token] = {}  # by scope; "" for Basic, which has none
        self._challenges: list[Challenge] = []  # the last ones, to renew a token before it ends

    def header(self, scope: str) -> str | None:
        """Give the Authorization header for a scope, renewed if its end is near; None at first."""
        if not self._challenges:
            return None
        for key in (scope, ""):
            token = self._tokens.get(key)
            if token and token.renew_at > time.monotonic():
                return token.header
        return self.answer(self._challenges, scope)

    def answer(self, challenges: list[Challenge], scope: str) -> str | None:
        """Get a new header for a scope, after a 401; None where there is nothing to answer.

        Raises:
            AuthenticationFailed: the credential is not accepted.
        """
        self._challenges = challenges
        self._tokens.pop(scope, None)
        repository = scope.split(":")[1] if scope.count(":") >= 2 else ""
        credential = self._find(self._host, repository)
        for challenge in challenges:
            if challenge.scheme == "bearer":
                self._tokens[scope] = self._bearer(challenge, scope, credential)
                return self._tokens[scope].header
        if credential and any(one.scheme == "basic" for one in challenges):
            if "" in self._tokens:
                raise AuthenticationFailed(f"{self._host} does not accept the password")
            self._tokens[""] = _Token(credential.basic, float("inf"))
            return credential.basic
        return None

    def _bearer(self, challenge: Challenge, scope: str, credential: Credential | None) -> _Token:
        if credential and credential.bearer:
            return _Token(f"Bearer {credential.bearer}", float("inf"))
        realm = challenge.parameters.get("realm", "")
        self._check_realm(realm)
        service = challenge.parameters.get("service", "")
        scope = scope or challenge.parameters.get("scope", "")
        answer = self._ask(realm, service, scope, credential)
        if answer is None and credential and scope.endswith(":pull"):
            # A stale password must not stop anybody from reading what is public.
            answer = self._ask(realm, service, scope, None)
        if answer is None:
            raise AuthenticationFailed(
                f"the token server of {self._host} does not accept the credential"
            )
        token = answer.get("token") or answer.get("access_token")
        if not isinstance(token, str) or not token.isprintable():
            raise RegistryError(f"the token server of {self._host} gives no token")
        life = answer.get("expires_in")
        seconds = float(life) if isinstance(life, int | float) and life > 0 else _DEFAULT_LIFE
        return _Token(f"Bearer {token}", time.monotonic() + seconds - max(5.0, seconds / 5))

    def _ask(
        self, realm: str, service: str, scope: str, credential: Credential | None
    ) -> dict[str, Any] | None:
        """Ask the token server; None where it refuses the credential."""
        fields = {"service": service, "scope": scope}
        if credential and credential.identity:
            form = {"grant_type": "refresh_token", "refresh_token": credential.identity}
            body = urlencode({**form, **fields, "client_id": _CLIENT}).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = self._http.request("POST", realm, headers=headers, body=body, follow=False)
        else:
            joint = "&" if urlsplit(realm).query else "?"
            url = f"{realm}{joint}{urlencode({k: v for k, v in fields.items() if v})}"
            basic = credential.basic if credential else None
            answer = self._http.request("GET", url, authorization=basic)
        with answer:
            if answer.status_code in (400, 401, 403):
                return None
            if answer.status_code != 200:
                raise RegistryError(
                    f"the token server of {self._host} answers {answer.status_code}"
                )
            try:
                data = answer.raw.read(_ANSWER_LIMIT)
                parsed = _json_object(data)
            except ValueError:
                raise RegistryError(f"the token server of {self._host} answers no JSON") from None
        return parsed

    def _check_realm(self, realm: str) -> None:
        """Refuse a token server that a credential must not go to."""
        parts = urlsplit(realm)
        secure = self._http.base_url(self._host).startswith("https:")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RegistryError(f"{self._host} names a token server that is no address: {realm!r}")
        if secure and parts.scheme != "https":
            raise RegistryError(f"{self._host} names a token server without TLS: {realm[:200]}")
        if parts.netloc == self._host or (is_loopback(self._host) and is_loopback(parts.netloc)):
            return
        try:
            address = ipaddress.ip_address(parts.hostname)
        except ValueError:
            return
        if not address.is_global:
            raise RegistryError(f"{self._host} names a token server inside the network: {realm}")


def _json_object(data: bytes) -> dict[str, Any]:
    """Read a JSON object; ValueError where it is none."""
    try:
        parsed = json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(parsed, dict):
        raise ValueError("not an object")
    return parsed
