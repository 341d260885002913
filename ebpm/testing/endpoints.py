"""The endpoints of the test registry, over repositories in memory."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol
from urllib.parse import quote

_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_INDEX = "application/vnd.oci.image.index.v1+json"
_LARGEST_MANIFEST = 4 << 20


@dataclass(slots=True)
class Faults:
    """What the server does wrong. All off at first; change them at any time."""

    statuses: list[int] = field(default_factory=list)  # answered to the next requests, in order
    retry_after: str | None = None  # header of those answers
    wrong_bytes: Callable[[bytes], bytes] | None = None  # applied to bodies of blobs and manifests
    cut_after: list[int] = field(default_factory=list)  # bytes after which the next blobs break off
    no_digest_header: bool = False
    no_range: bool = False  # answer 200 with everything
    redirect_blobs_to: str | None = None  # base address of another server ("http://host:port")
    upload_location: str | None = None  # base address that uploads are sent to
    cookies: bool = False
    refuse_put: int = 0  # status that every PUT of a manifest gets


@dataclass(frozen=True, slots=True)
class Request:
    """A request that came in; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body_size: int

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(slots=True)
class RepositoryState:
    """One repository's content, by digest and by tag."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)  # type, bytes
    tags: dict[str, str] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)


class State(Protocol):
    """What the endpoints work on."""

    faults: Faults
    repositories: dict[str, RepositoryState]


class Endpoints(BaseHTTPRequestHandler):
    """Answers to requests that were let in; ``registry`` is set by a subclass."""

    registry: State

    # --- answers ---------------------------------------------------------------------------------

    def _send(
        self,
        status: int,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        cut: int | None = None,
    ) -> None:
        self.send_response(status)
        fields = {"Content-Length": str(len(body)), **(headers or {})}
        if self.registry.faults.cookies:
            fields["Set-Cookie"] = "session=1; Path=/"
        for name, value in fields.items():
            if not (status == 204 and name == "Content-Length"):
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.close_connection = True

    def _json(self, status: int, data: object, headers: dict[str, str] | None = None) -> None:
        fields = {"Content-Type": "application/json", **(headers or {})}
        self._send(status, json.dumps(data).encode(), fields)

    def _error(
        self, status: int, code: str, message: str = "", headers: dict[str, str] | None = None
    ) -> None:
        error = {"code": code, "message": message or code.lower(), "detail": None}
        self._json(status, {"errors": [error]}, headers)

    # --- blobs -----------------------------------------------------------------------------------

    def _blob(self, name: str, digest: str, _query: dict[str, str], _body: bytes) -> None:
        repository = self.registry.repositories.get(name)
        faults = self.registry.faults
        if not _DIGEST.fullmatch(digest):
            self._error(400, "DIGEST_INVALID")
        elif repository is None or digest not in repository.blobs:
            self._error(404, "BLOB_UNKNOWN")
        elif self.command == "DELETE":
            del repository.blobs[digest]
            self._send(202)
        elif faults.redirect_blobs_to and self.command == "GET":
            location = f"{faults.redirect_blobs_to}/v2/{name}/blobs/{digest}"
            self._send(307, headers={"Location": location})
        else:
            self._send_blob(repository.blobs[digest], digest)

    def _send_blob(self, data: bytes, digest: str) -> None:
        faults = self.registry.faults
        if faults.wrong_bytes:
            data = faults.wrong_bytes(data)
        headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
        if not faults.no_digest_header:
            headers["Docker-Content-Digest"] = digest
        cut = faults.cut_after.pop(0) if faults.cut_after and self.command == "GET" else None
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not match or faults.no_range:
            self._send(200, data, headers, cut)
            return
        start, last = int(match[1]), int(match[2] or len(data) - 1)
        if start >= len(data):
            self._error(416, "SIZE_INVALID", "", {"Content-Range": f"bytes */{len(data)}"})
            return
        last = min(last, len(data) - 1)
        headers["Content-Range"] = f"bytes {start}-{last}/{len(data)}"
        self._send(206, data[start : last + 1], headers, cut)

    def _upload(self, name: str, session: str, query: dict[str, str], body: bytes) -> None:
        repository = self.registry.repositories.setdefault(name, RepositoryState())
        if self.command == "POST":
            self._begin_upload(name, repository, query, body)
            return
        if session not in repository.uploads:
            self._error(404, "BLOB_UPLOAD_UNKNOWN")
            return
        have = len(repository.uploads[session])
        span = re.fullmatch(r"(\d+)-(\d+)", self.headers.get("Content-Range", ""))
        out_of_order = span and (
            int(span[1]) != have or int(span[2]) - int(span[1]) + 1 != len(body)
        )
        if self.command in ("PATCH", "PUT") and out_of_order:
            self._error(416, "BLOB_UPLOAD_INVALID", "", self._place(name, session, have))
        elif self.command == "GET":
            self._send(204, headers=self._place(name, session, have))
        elif self.command == "DELETE":
            del repository.uploads[session]
            self._send(204)
        elif self.command == "PATCH":
            repository.uploads[session] += body
            self._send(202, headers=self._place(name, session, have + len(body)))
        else:
            data = repository.uploads.pop(session) + body
            self._finish_upload(name, repository, query.get("digest", ""), data)

    def _begin_upload(
        self, name: str, repository: RepositoryState, query: dict[str, str], body: bytes
    ) -> None:
        if "mount" in query:
            origin = self.registry.repositories.get(query.get("from", ""))
            if origin and query["mount"] in origin.blobs:
                repository.blobs[query["mount"]] = origin.blobs[query["mount"]]
                self._send(201, headers={"Location": f"/v2/{name}/blobs/{query['mount']}"})
                return
        elif "digest" in query:
            self._finish_upload(name, repository, query["digest"], body)
            return
        session = str(uuid.uuid4())
        repository.uploads[session] = b""
        self._send(202, headers=self._place(name, session, 0))

    def _place(self, name: str, session: str, have: int) -> dict[str, str]:
        base = self.registry.faults.upload_location or ""
        return {
            "Location": f"{base}/v2/{name}/blobs/uploads/{session}?state={have}&empty=",
            "Range": f"0-{max(have - 1, 0)}",
        }

    def _finish_upload(
        self, name: str, repository: RepositoryState, digest: str, data: bytes
    ) -> None:
        if not _DIGEST.fullmatch(digest) or _hash(data, digest) != digest:
            self._error(400, "DIGEST_INVALID")
            return
        repository.blobs[digest] = data
        headers = {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest}
        self._send(201, headers=headers)

    # --- manifests -------------------------------------------------------------------------------

    def _manifest(self, name: str, reference: str, _query: dict[str, str], body: bytes) -> None:
        by_digest = ":" in reference
        if not (_DIGEST if by_digest else _TAG).fullmatch(reference):
            self._error(400 if self.command == "PUT" else 404, "MANIFEST_INVALID")
            return
        if self.command == "PUT":
            self._put_manifest(name, reference, body)
            return
        repository = self.registry.repositories.get(name)
        digest = reference if by_digest else repository.tags.get(reference) if repository else None
        if repository is None or digest not in repository.manifests:
            self._error(404, "MANIFEST_UNKNOWN")
        elif self.command == "DELETE":
            self._delete_manifest(repository, reference, digest)
        else:
            media_type, data = repository.manifests[digest]
            faults = self.registry.faults
            if faults.wrong_bytes:
                data = faults.wrong_bytes(data)
            headers = {} if faults.no_digest_header else {"Docker-Content-Digest": digest}
            self._send(200, data, {"Content-Type": media_type, **headers})

    def _delete_manifest(self, repository: RepositoryState, reference: str, digest: str) -> None:
        if reference == digest:
            del repository.manifests[digest]
            repository.tags = {t: d for t, d in repository.tags.items() if d != digest}
        else:
            del repository.tags[reference]
        self._send(202)

    def _put_manifest(self, name: str, reference: str, body: bytes) -> None:
        if self.registry.faults.refuse_put:
            self._error(self.registry.faults.refuse_put, "DENIED", "the tag is immutable")
            return
        repository = self.registry.repositories.setdefault(name, RepositoryState())
        by_digest = ":" in reference
        digest = _hash(body, reference if by_digest else "sha256:")
        try:
            data = json.loads(body)
            parts = [*data.get("layers", []), *([data["config"]] if "config" in data else [])]
            blobs = [part["digest"] for part in parts]
            children = [child["digest"] for child in data.get("manifests", [])]
        except (ValueError, KeyError, TypeError, AttributeError):
            self._error(400, "MANIFEST_INVALID")
            return
        media_type = self.headers.get("Content-Type", "").partition(";")[0]
        if len(body) > _LARGEST_MANIFEST:
            self._error(413, "MANIFEST_INVALID")
        elif (by_digest and digest != reference) or data.get("mediaType", media_type) != media_type:
            self._error(400, "MANIFEST_INVALID")
        elif any(one not in repository.blobs for one in blobs) or any(
            one not in repository.manifests for one in children
        ):
            self._error(404, "MANIFEST_BLOB_UNKNOWN")
        else:
            repository.manifests[digest] = (media_type, body)
            if not by_digest:
                repository.tags[reference] = digest
            headers = {"Docker-Content-Digest": digest}
            if subject := data.get("subject"):
                headers["OCI-Subject"] = subject["digest"]
            headers["Location"] = f"/v2/{name}/manifests/{digest}"
            self._send(201, headers=headers)

    # --- lists -----------------------------------------------------------------------------------

    def _tags(self, name: str, _list: str, query: dict[str, str], _body: bytes) -> None:
        repository = self.registry.repositories.get(name)
        if repository is None:
            self._error(404, "NAME_UNKNOWN")
            return
        tags = [tag for tag in sorted(repository.tags) if tag > query.get("last", "")]
        headers = {}
        count = int(query.get("n") or 0)
        if count and len(tags) > count:
            tags = tags[:count]
            link = f"/v2/{name}/tags/list?n={count}&last={quote(tags[-1])}"
            headers["Link"] = f'<{link}>; rel="next"'
        self._json(200, {"name": name, "tags": tags}, headers)

    def _referrers(self, name: str, digest: str, query: dict[str, str], _body: bytes) -> None:
        repository = self.registry.repositories.get(name, RepositoryState())
        wanted = query.get("artifactType")
        found = [
            one for one in _referrers(repository, digest) if wanted in (None, one["artifactType"])
        ]
        index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": found}
        headers = {"OCI-Filters-Applied": "artifactType"} if wanted else {}
        self._json(200, index, {"Content-Type": _INDEX, **headers})


def _hash(data: bytes, like: str) -> str:
    algorithm = like.partition(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def _referrers(repository: RepositoryState, subject: str) -> Iterator[dict[str, Any]]:
    for digest, (media_type, body) in repository.manifests.items():
        data = json.loads(body)
        if (data.get("subject") or {}).get("digest") == subject:
            kind = data.get("artifactType") or (data.get("config") or {}).get("mediaType")
            yield {
                "mediaType": media_type,
                "digest": digest,
                "size": len(body),
                "artifactType": kind,
                "annotations": data.get("annotations") or {},
            }
