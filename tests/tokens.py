"""A token server for docker-registry: tokens that it believes, for the scopes that were asked for.

Source: distribution's token specification; a JSON Web Token, RS256, with its certificate (x5c).
"""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests import needs

ISSUER, SERVICE = "ebpm-test-issuer", "ebpm-test"


@dataclass
class TokenServer:
    """What it gives, and what it gave.

    ``public`` is a prefix of repositories that everybody may read.
    """

    folder: Path
    users: dict[str, str] = field(default_factory=lambda: {"alice": "secret"})
    identity_tokens: list[str] = field(default_factory=lambda: ["identity"])
    life: int = 300
    public: str = "public/"
    asked: list[tuple[str, str | None, list[str]]] = field(default_factory=list)
    url: str = ""

    def __post_init__(self) -> None:
        self.key, self.certificate = self.folder / "key.pem", self.folder / "cert.pem"
        self.folder.mkdir(parents=True)
        command = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2")
        files = ("-keyout", str(self.key), "-out", str(self.certificate), "-subj", "/CN=test")
        subprocess.run([*command, *files], check=True, capture_output=True)

    def token(self, user: str | None, scopes: list[str]) -> dict[str, object]:
        """Make a token; who is nobody may read what is public, and no more is granted."""
        access = []
        for scope in scopes:
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            granted = actions.split(",")
            if user is None:
                granted = [a for a in granted if a == "pull" and name.startswith(self.public)]
            if granted:
                access.append({"type": kind, "name": name, "actions": granted})
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "sub": user or "",
            "aud": SERVICE,
            "jti": uuid.uuid4().hex,
            "iat": now,
            "nbf": now - 10,
            "exp": now + self.life,
            "access": access,
        }
        return {"token": self._sign(claims), "expires_in": self.life}

    def _sign(self, claims: dict[str, object]) -> str:
        lines = self.certificate.read_text().splitlines()
        header = {"typ": "JWT", "alg": "RS256", "x5c": ["".join(lines[1:-1])]}
        text = f"{_part(header)}.{_part(claims)}"
        done = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", str(self.key)],
            input=text.encode(),
            capture_output=True,
            check=True,
        )
        return f"{text}.{_base64(done.stdout)}"


def _part(data: dict[str, object]) -> str:
    return _base64(json.dumps(data).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        words = self.headers.get("Authorization", "").split()
        user = None
        if words:
            user, _, password = base64.b64decode(words[1]).decode().partition(":")
            if self.server.tokens.users.get(user) != password:
                return self._answer(401, {"details": "incorrect username or password"})
        fields = parse_qs(urlsplit(self.path).query)
        return self._give(user, fields.get("scope", []))

    def do_POST(self) -> None:
        fields = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if fields.get("refresh_token", [""])[0] not in self.server.tokens.identity_tokens:
            return self._answer(401, {"error": "invalid_grant"})
        return self._give("alice", " ".join(fields.get("scope", [])).split())

    def _give(self, user: str | None, scopes: list[str]) -> None:
        self.server.tokens.asked.append((self.command, user, scopes))
        self._answer(200, self.server.tokens.token(user, scopes))

    def _answer(self, status: int, document: dict[str, object]) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    tokens: TokenServer


@contextmanager
def token_registry(folder: Path) -> Iterator[tuple[str, TokenServer]]:
    """Run docker-registry with a token server; give its host[:port] and that server."""
    server = _Server(("127.0.0.1", 0), _Handler)
    tokens = server.tokens = TokenServer(folder / "tokens")
    tokens.url = f"http://127.0.0.1:{server.server_address[1]}/token"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    auth = (
        f"auth: {{token: {{realm: '{tokens.url}', service: {SERVICE}, issuer: {ISSUER}, "
        f"rootcertbundle: '{tokens.certificate}'}}}}\n"
    )
    try:
        with needs.docker_registry(folder / "registry", auth=auth) as host:
            yield host, tokens
    finally:
        server.shutdown()
        server.server_close()
