"""A registry in this process: OCI distribution-spec v1.1 in memory, with switches for its faults.

>>> with RegistryServer() as server:
...     server.faults.statuses = [503, 503]     # the next two requests fail
...     ...
...     [str(request) for request in server.log]
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from ebpm.testing.endpoints import Endpoints, RepositoryState, error_reply, json_reply
from ebpm.testing.faults import Faults, Reply, Request
from ebpm.testing.guard import Guard


class RegistryServer:
    """A registry on a port of its own on loopback.

    Args:
        guard: who may come in; None lets everybody.
        tls: with a certificate; None speaks plain http.
    """

    def __init__(self, guard: Guard | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        self.guard = guard
        self._scheme = "https" if tls else "http"
        self.log: list[Request] = []
        self.lock = threading.Lock()
        self._endpoints = Endpoints()
        self._http = _Server(self)
        if tls:
            self._http.socket = tls.wrap_socket(
                self._http.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True
        )

    @property
    def faults(self) -> Faults:
        """What it does wrong."""
        return self._endpoints.faults

    @property
    def repositories(self) -> dict[str, RepositoryState]:
        """What it holds, by name."""
        return self._endpoints.repositories

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
        return f"{self._scheme}://{self.host}"

    def requests(self, method: str) -> list[Request]:
        """List the requests of one method."""
        return [request for request in self.log if request.method == method]

    def answer(self, request: Request, body: bytes) -> Reply | None:
        """Decide what a request gets; None breaks the connection off."""
        with self.lock:
            self.log.append(request)
            parts = urlsplit(request.path)
            if self.guard and parts.path == self.guard.token_path:
                status, document = self.guard.token(
                    request.method, parts.query, body, request.headers
                )
                return json_reply(status, document)
            faults = self.faults
            if faults.drops:
                faults.drops -= 1
                return None
            instead = faults.status_for(request) if faults.status_for else None
            status = instead or (faults.statuses.pop(0) if faults.statuses else 0)
            if status:
                wait = {"Retry-After": faults.retry_after} if faults.retry_after else None
                return error_reply(status, "UNAVAILABLE", wait)
            if self.guard:
                name = self._endpoints.repository_of(request.path)
                write = request.method not in ("GET", "HEAD")
                refusal = self.guard.refuse(request.headers.get("authorization"), name, write)
                if refusal:
                    return error_reply(401, "UNAUTHORIZED", {"WWW-Authenticate": refusal})
            return self._endpoints.answer(request, body)

    def __enter__(self) -> Self:
        if self.guard:
            self.guard.base = self.url
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._http.close_connections()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, registry: RegistryServer) -> None:
        self.registry = registry
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401
        self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """Break off those who keep their connection for a next request."""
        for one in list(self._open):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the other side was quicker

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Keep quiet: clients go away in the middle, and that is what is tested."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:  # noqa: ANN401
        """Keep quiet: requests are in the log."""

    def _handle(self) -> None:
        body = self._body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        connection = int(self.client_address[1])
        registry = self.server.registry
        reply = registry.answer(
            Request(self.command, self.path, headers, len(body), connection), body
        )
        if registry.faults.delay:
            time.sleep(registry.faults.delay)
        if reply is None:
            self.close_connection = True
        else:
            self._send(reply)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        whole = bytearray()
        while size := int(self.rfile.readline().split(b";")[0], 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(whole)

    def _send(self, reply: Reply) -> None:
        faults = self.server.registry.faults
        self.send_response(reply.status)
        fields = {"Content-Length": str(len(reply.body)), **reply.headers, **faults.headers}
        if faults.warning:
            fields["Warning"] = f'299 - "{faults.warning}"'
        if faults.cookies:
            fields["Set-Cookie"] = "session=1; Path=/"
        for name, value in fields.items():
            if not (reply.status == 204 and name == "Content-Length"):
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self._send_body(reply)
        short = int(fields["Content-Length"]) > len(reply.body)
        if reply.cut is not None or (short and self.command != "HEAD"):
            self.close_connection = True

    def _send_body(self, reply: Reply) -> None:
        view = memoryview(reply.body)[: reply.cut]
        count, pause = reply.drip or (len(view), 0.0)
        for at in range(0, len(view), count or 1):
            self.wfile.write(view[at : at + count])
            if pause:
                time.sleep(pause)


@contextmanager
def registry_server(
    guard: Guard | None = None, *, tls: ssl.SSLContext | None = None
) -> Iterator[RegistryServer]:
    """Run a registry for as long as the block lasts."""
    with RegistryServer(guard, tls=tls) as server:
        yield server
