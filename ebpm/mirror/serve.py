"""A registry over a store, a layout folder or a bundle: OCI distribution-spec v1.1, reading only.

``ghcr.io/acme/x:1.0`` is served as ``acme/x`` and as ``ghcr.io/acme/x``; where two hosts have the
same name, the request's ``ns=HOST`` (what containerd and others send to a mirror) decides.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

from ebpm.errors import (
    EbpmError,
    InvalidManifest,
    InvalidReference,
    NotFound,
    StoreUnusable,
    UsageError,
)
from ebpm.oci.descriptor import INDEX, Descriptor
from ebpm.oci.digest import Digest
from ebpm.oci.manifest import LARGEST, media_type_of, write_json
from ebpm.oci.reference import Reference
from ebpm.oci.store import Source, fetch, verified

_PAGE = 1000  # tags and names at once
_TIMEOUT = 60.0  # seconds that a client may be silent
_ROUTES = re.compile(r"/v2/(?P<name>.+)/(?P<kind>manifests|blobs|referrers|tags)/(?P<rest>[^/]+)")


class Place(Source, Protocol):
    """What can be served."""

    def entries(self) -> list[Descriptor]:
        """List what it names."""

    def blob_size(self, digest: Digest) -> int:
        """Tell how long a blob is; raise BlobNotFound if it is not there."""


@dataclass(slots=True)
class Reply:
    """An answer: its status, headers, and chunks."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: Iterable[bytes] = ()


class Catalogue:
    """The repositories and tags of a place, by the names of its entries."""

    def __init__(self, entries: Iterable[Descriptor]) -> None:
        self._tags: dict[str, dict[str, Descriptor]] = {}  # by host/name, or just the name
        self._plain: dict[str, list[str]] = {}  # those, by the name without its host
        for one in entries:
            try:
                reference = Reference.parse(one.ref_name or "")
            except InvalidReference:
                continue
            tags = self._tags.setdefault(reference.name, {})
            if reference.name not in (known := self._plain.setdefault(reference.repository, [])):
                known.append(reference.name)
            if reference.tag:
                tags[reference.tag] = one.named(None)

    def names(self) -> list[str]:
        """List the repositories, without their hosts."""
        return sorted(self._plain)

    def tags(self, name: str, host: str | None) -> dict[str, Descriptor] | None:
        """Find a repository's tags; None if there is none, or if it is not clear which."""
        if host and f"{host}/{name}" in self._tags:
            return self._tags[f"{host}/{name}"]
        if name in self._tags:
            return self._tags[name]
        found = self._plain.get(name, [])
        return self._tags[found[0]] if len(found) == 1 else None


class Endpoints:
    """Answers to requests.

    Args:
        place: what is served; its names are read anew for each request that needs them.
    """

    def __init__(self, place: Place) -> None:
        self._place = place

    def answer(self, path: str, headers: dict[str, str]) -> Reply:
        """Answer a GET or HEAD; header names are in lower case."""
        parts = urlsplit(path)
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        plain = unquote(parts.path)
        if plain in ("/v2", "/v2/"):
            return _document({})
        if plain == "/v2/_catalog":
            names = Catalogue(self._place.entries()).names()
            return _page("/v2/_catalog", names, query, lambda some: {"repositories": some})
        match = _ROUTES.fullmatch(plain)
        if match is None:
            return _error(404, "NAME_UNKNOWN", "there is nothing here")
        name, kind, rest = match["name"], match["kind"], match["rest"]
        try:
            if kind == "manifests":
                return self._manifest(name, rest, query.get("ns"))
            if kind == "tags":
                return self._tags(name, rest, query)
            digest = Digest.parse(rest)
            if kind == "blobs":
                return self._blob(digest, headers.get("range", ""))
            return self._referrers(digest, query.get("artifactType"))
        except NotFound as error:
            code = {"manifests": "MANIFEST_UNKNOWN", "blobs": "BLOB_UNKNOWN"}
            return _error(404, code.get(kind, "NAME_UNKNOWN"), error.message)
        except InvalidManifest as error:
            return _error(404, "MANIFEST_UNKNOWN", error.message)
        except UsageError as error:
            return _error(400, "DIGEST_INVALID", error.message)
        except EbpmError as error:
            return _error(500, "UNKNOWN", error.message)

    def _manifest(self, name: str, wanted: str, host: str | None) -> Reply:
        if ":" in wanted:
            digest = Digest.parse(wanted)
            raw = self._read(digest, LARGEST)
            found = Descriptor(media_type=media_type_of(raw), digest=digest, size=len(raw))
        else:
            tags = Catalogue(self._place.entries()).tags(name, host)
            if tags is None or wanted not in tags:
                return _error(404, "MANIFEST_UNKNOWN", f"{name}:{wanted} is not here")
            found = tags[wanted]
            raw = fetch(self._place, found, LARGEST)
        fields = {"Content-Type": found.media_type, "Docker-Content-Digest": str(found.digest)}
        return Reply(200, {**fields, "Content-Length": str(len(raw))}, [raw])

    def _read(self, digest: Digest, limit: int) -> bytes:
        """Read what is small and of which only the digest is known."""
        size = self._place.blob_size(digest)
        if size > limit:
            raise NotFound(f"{digest} is no manifest")
        return fetch(self._place, Descriptor(media_type="", digest=digest, size=size), limit)

    def _blob(self, digest: Digest, wanted: str) -> Reply:
        size = self._place.blob_size(digest)
        one = Descriptor(media_type="", digest=digest, size=size)
        headers = {
            "Content-Type": "application/octet-stream",
            "Docker-Content-Digest": str(digest),
            "Accept-Ranges": "bytes",
        }
        match = re.fullmatch(r"bytes=([0-9]{1,18})-([0-9]{0,18})", wanted)
        if match is None:
            return Reply(200, {**headers, "Content-Length": str(size)}, self._chunks(one))
        start, end = int(match[1]), min(int(match[2] or size), size - 1)
        if start >= size or end < start:
            return Reply(416, {"Content-Range": f"bytes */{size}", "Content-Length": "0"})
        headers["Content-Range"] = f"bytes {start}-{end}/{size}"
        headers["Content-Length"] = str(end + 1 - start)
        return Reply(206, headers, self._chunks(one, start, end + 1 - start))

    def _chunks(self, one: Descriptor, start: int = 0, left: int | None = None) -> Iterator[bytes]:
        """Read a blob; the last of a whole one only goes out when all of it is right."""
        with self._place.open(one, start) as chunks:
            if left is None:
                yield from verified(chunks, one)
                return
            for chunk in chunks:
                yield chunk[:left]
                left -= len(chunk)
                if left <= 0:
                    return

    def _tags(self, name: str, rest: str, query: dict[str, str]) -> Reply:
        tags = Catalogue(self._place.entries()).tags(name, query.get("ns"))
        if tags is None or rest != "list":
            return _error(404, "NAME_UNKNOWN", f"{name} is not here")
        path = f"/v2/{name}/tags/list"
        return _page(path, sorted(tags), query, lambda some: {"name": name, "tags": some})

    def _referrers(self, digest: Digest, kind: str | None) -> Reply:
        subject = Descriptor(media_type="", digest=digest, size=0)
        found = self._place.referrers(subject)
        headers = {}
        if kind:
            found = [one for one in found if one.artifact_type == kind]
            headers["OCI-Filters-Applied"] = "artifactType"
        document = {"schemaVersion": 2, "mediaType": INDEX}
        reply = _document({**document, "manifests": [one.to_json() for one in found]})
        reply.headers |= {**headers, "Content-Type": INDEX}
        return reply


def _page(
    path: str, items: list[str], query: dict[str, str], write: Callable[[list[str]], dict[str, Any]]
) -> Reply:
    """Answer with a part of a sorted list, and where the next part is."""
    wanted = query.get("n", "")
    count = min(int(wanted), _PAGE) if re.fullmatch(r"[0-9]{1,9}", wanted) else _PAGE
    after = [one for one in items if one > query.get("last", "")]
    some = after[:count]
    reply = _document(write(some))
    if some and len(after) > len(some):
        following = f"<{path}?n={count}&last={quote(some[-1])}>"
        reply.headers["Link"] = f'{following}; rel="next"'
    return reply


def _document(data: dict[str, Any]) -> Reply:
    raw = write_json(data)
    return Reply(200, {"Content-Type": "application/json", "Content-Length": str(len(raw))}, [raw])


def _error(status: int, code: str, message: str) -> Reply:
    raw = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    fields = {"Content-Type": "application/json", "Content-Length": str(len(raw))}
    return Reply(status, fields, [raw])


class MirrorServer:
    """A registry that listens; ``with`` serves in a thread of its own.

    Args:
        place: what is served.
        host: address to listen on.
        port: 0 takes a free one.
        log: told of each request.

    Raises:
        StoreUnusable: the address is taken, or not of this machine.
    """

    def __init__(
        self, place: Place, host: str, port: int, log: Callable[[str], None] | None = None
    ) -> None:
        self.log = log
        self.endpoints = Endpoints(place)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._http = _Server(self, host, port, family)
        except (OSError, OverflowError) as error:
            raise StoreUnusable(
                f"cannot listen on {host}:{port}: {error}", hint="choose another with --listen"
            ) from None

    @property
    def address(self) -> str:
        """The registry as references name it: host:port."""
        host, port = self._http.server_address[:2]
        name = str(host)
        return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"

    def run(self) -> None:
        """Serve until :meth:`stop`."""
        self._http.serve_forever(poll_interval=0.1)

    def stop(self) -> None:
        """End :meth:`run`, from another thread."""
        self._http.shutdown()

    def close(self) -> None:
        """Stop listening."""
        self._http.server_close()

    def __enter__(self) -> Self:
        threading.Thread(target=self.run, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, mirror: MirrorServer, host: str, port: int, family: int) -> None:
        self.mirror = mirror
        self.address_family = family
        super().__init__((host, port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Keep quiet: clients go away in the middle."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = _TIMEOUT
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:  # noqa: ANN401
        """Keep quiet: requests are told in :meth:`_handle`."""

    def do_GET(self) -> None:
        """Answer with content."""
        self._handle(body=True)

    def do_HEAD(self) -> None:
        """Answer with headers."""
        self._handle(body=False)

    def _refuse(self) -> None:
        self.close_connection = True  # its body is not read
        self._send(_error(405, "UNSUPPORTED", "this registry is only read"), body=True)

    do_POST = do_PUT = do_PATCH = do_DELETE = _refuse  # noqa: N815

    def _handle(self, *, body: bool) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._send(self.server.mirror.endpoints.answer(self.path, headers), body=body)

    def _send(self, reply: Reply, *, body: bool) -> None:
        if self.server.mirror.log:
            self.server.mirror.log(f"{self.command} {self.path} {reply.status}")
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.end_headers()
        if not body:
            return
        try:
            for chunk in reply.body:
                self.wfile.write(chunk)
        except EbpmError:
            self.close_connection = True  # damaged: the client sees that it lacks the end
