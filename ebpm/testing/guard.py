"""Who may come into the test registry: passwords, or tokens from its own token server."""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

_SERVICE = "ebpm-test"


@dataclass
class Guard:
    """Rules. ``base`` is set by the server.

    Tokens are for the scopes that were asked for and for no other, and they end.
    """

    users: dict[str, str] = field(default_factory=lambda: {"alice": "secret"})
    tokens: bool = False  # Bearer with a token server, else Basic
    identity_tokens: Collection[str] = ()  # taken by the token server's POST
    life: float = 300.0  # seconds of a token
    public: Collection[str] = ()  # repositories that everybody may read
    realm: str | None = None  # another token server than our own
    base: str = ""
    token_path: str = "/token"  # noqa: S105  # where tokens are, not one
    issued: dict[str, tuple[set[str], float]] = field(default_factory=dict)

    def refuse(self, authorization: str | None, repository: str, write: bool) -> str | None:
        """Give the challenge for a request that may not pass; None lets it in."""
        if not self.tokens:
            return None if self._user(authorization) else f'Basic realm="{_SERVICE}"'
        action = "push" if write else "pull"
        if not write and repository in self.public:
            return None
        scheme, _, token = (authorization or "").partition(" ")
        scopes, end = self.issued.get(token, (set(), 0.0))
        served = not repository or f"repository:{repository}:{action}" in scopes
        if scheme == "Bearer" and end > time.monotonic() and served:
            return None
        realm = self.realm or f"{self.base}{self.token_path}"
        scope = f',scope="repository:{repository}:{action}"' if repository else ""
        return f'Bearer realm="{realm}",service="{_SERVICE}"{scope}'

    def _user(self, authorization: str | None) -> str | None:
        scheme, _, text = (authorization or "").partition(" ")
        try:
            user, _, password = base64.b64decode(text).decode().partition(":")
        except ValueError:
            return None
        return user if scheme == "Basic" and self.users.get(user) == password else None

    def token(
        self, method: str, query: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, dict[str, Any]]:
        """Answer as a token server: status and document."""
        fields = parse_qs(body.decode() if method == "POST" else query)
        if method == "POST":
            known = fields.get("refresh_token", [""])[0] in self.identity_tokens
        else:
            known = "authorization" not in headers or bool(self._user(headers["authorization"]))
        if not known:
            return 401, {"errors": [{"code": "UNAUTHORIZED"}]}
        anonymous = method == "GET" and "authorization" not in headers
        scopes = set()
        for asked in " ".join(fields.get("scope", [])).split():
            kind, _, rest = asked.partition(":")
            name, _, actions = rest.rpartition(":")
            for action in actions.split(","):
                if not anonymous or (action == "pull" and name in self.public):
                    scopes.add(f"{kind}:{name}:{action}")
        token = uuid.uuid4().hex
        self.issued[token] = (scopes, time.monotonic() + self.life)
        return 200, {"token": token, "expires_in": int(self.life)}
