"""A registry in this process: OCI distribution-spec v1.1 in memory, with switches for its faults.

>>> with RegistryServer() as server:
...     server.faults.statuses = [503, 503]     # the next two requests fail
...     ...
...     [str(request) for request in server.log]
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from ebpm.testing.endpoints import Endpoints, Faults, RepositoryState, Request
from ebpm.testing.guard import Guard

_NAME = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"


class RegistryServer:
    """A registry on a port of its own on loopback.

    Args:
        guard: who may come in; None lets everybody.
    """

    def __init__(self, guard: Guard | None = None) -> None:
        self.guard = guard
        self.faults = Faults()
        self.log: list[Request] = []
        self.repositories: dict[str, RepositoryState] = {}
        self.lock = threading.RLock()
        server = self

        class Handler(_Handler):
            registry = server

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def port(self) -> int:
        """The port that was found free."""
        return int(self._http.server_address[1])

    @property
    def host(self) -> str:
        """The registry as references name it."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{self.host}"

    def requests(self, method: str) -> list[Request]:
        """List the requests of one method."""
        return [request for request in self.log if request.method == method]

    def __enter__(self) -> Self:
        if self.guard:
            self.guard.base = self.url
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._http.shutdown()
        self._http.server_close()


class _Handler(Endpoints):
    registry: RegistryServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:  # noqa: ANN401
        """Keep quiet: requests are in the log."""

    # --- requests --------------------------------------------------------------------------------

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        whole = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(parts.query, True).items()}
        body = self._body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        registry = self.registry
        with registry.lock:
            registry.log.append(Request(self.command, self.path, headers, len(body)))
            if registry.guard and parts.path == registry.guard.token_path:
                status, answer = registry.guard.token(self.command, parts.query, body, headers)
                self._json(status, answer)
                return
            if registry.faults.statuses:
                status = registry.faults.statuses.pop(0)
                wait = registry.faults.retry_after
                self._error(status, "UNAVAILABLE", "", {"Retry-After": wait} if wait else None)
                return
            self._route(parts.path, query, body, headers)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815

    def _route(
        self, path: str, query: dict[str, str], body: bytes, headers: dict[str, str]
    ) -> None:
        routes = (
            (rf"/v2/({_NAME})/blobs/uploads/([^/]*)", self._upload),
            (rf"/v2/({_NAME})/blobs/([^/]+)", self._blob),
            (rf"/v2/({_NAME})/manifests/([^/]+)", self._manifest),
            (rf"/v2/({_NAME})/tags/(list)", self._tags),
            (rf"/v2/({_NAME})/referrers/([^/]+)", self._referrers),
        )
        matches = ((re.fullmatch(pattern, path), handler) for pattern, handler in routes)
        found = next(((match, handler) for match, handler in matches if match), None)
        name = found[0][1] if found else ""
        if self.registry.guard:
            write = self.command not in ("GET", "HEAD")
            refusal = self.registry.guard.refuse(headers.get("authorization"), name, write)
            if refusal:
                self._error(401, "UNAUTHORIZED", "", {"WWW-Authenticate": refusal})
                return
        if path in ("/v2", "/v2/"):
            self._json(200, {})
        elif found:
            found[1](name, found[0][2], query, body)
        else:
            self._error(404, "NAME_UNKNOWN")


@contextmanager
def registry_server(guard: Guard | None = None) -> Iterator[RegistryServer]:
    """Run a registry for as long as the block lasts."""
    with RegistryServer(guard) as server:
        yield server
