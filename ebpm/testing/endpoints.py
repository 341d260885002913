"""The endpoints of the test registry, over repositories in memory."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from ebpm.testing.faults import Faults, Reply, Request

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = rf"{_PART}(?:/{_PART})*"
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_INDEX = "application/vnd.oci.image.index.v1+json"
_LARGEST_MANIFEST = 4 << 20


@dataclass(slots=True)
class RepositoryState:
    """One repository's content, by digest and by tag."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)  # type, bytes
    tags: dict[str, str] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)


class Endpoints:
    """Answers to requests that were let in."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.repositories: dict[str, RepositoryState] = {}
        names = ("uploads", "blob", "manifest", "tags", "referrers")
        patterns = (
            rf"/v2/({_NAME})/blobs/uploads/([^/]*)",
            rf"/v2/({_NAME})/blobs/([^/]+)",
            rf"/v2/({_NAME})/manifests/([^/]+)",
            rf"/v2/({_NAME})/tags/(list)",
            rf"/v2/({_NAME})/referrers/([^/]+)",
        )
        self._routes = [
            (re.compile(pattern), getattr(self, f"_{name}"))
            for name, pattern in zip(names, patterns, strict=True)
        ]

    def repository_of(self, path: str) -> str:
        """Tell which repository a path is of; empty where it is of none."""
        found = self._route(path)
        return found[0] if found else ""

    def _route(self, path: str) -> tuple[str, str, Callable[..., Reply]] | None:
        plain = unquote(urlsplit(path).path)
        for pattern, handler in self._routes:
            if match := pattern.fullmatch(plain):
                return match[1], match[2], handler
        return None

    def answer(self, request: Request, body: bytes) -> Reply:
        """Answer a request."""
        parts = urlsplit(request.path)
        if self.faults.body_limit and len(body) > self.faults.body_limit:
            return Reply(413, b"<html>413 Request Entity Too Large</html>")
        if self.faults.no_authorization and "authorization" in request.headers:
            return Reply(400, b"<Error><Code>InvalidArgument</Code></Error>")
        if parts.path in ("/v2", "/v2/"):
            return json_reply(200, {})
        found = self._route(request.path)
        if found is None:
            return error_reply(404, "NAME_UNKNOWN")
        name, rest, handler = found
        if request.method == "DELETE" and self.faults.no_delete and "/uploads/" not in parts.path:
            return error_reply(405, "UNSUPPORTED")
        query = {key: values[-1] for key, values in parse_qs(parts.query, True).items()}
        return handler(request, name, rest, query, body)

    # --- blobs -----------------------------------------------------------------------------------

    def _blob(
        self, request: Request, name: str, digest: str, _query: dict[str, str], _body: bytes
    ) -> Reply:
        repository = self.repositories.get(name)
        elsewhere = self.faults.redirect_blobs_to
        if not _DIGEST.fullmatch(digest):
            return error_reply(400, "DIGEST_INVALID")
        if repository is None or digest not in repository.blobs:
            return error_reply(404, "BLOB_UNKNOWN")
        if request.method == "DELETE":
            del repository.blobs[digest]
            return Reply(202)
        if request.method not in ("GET", "HEAD"):
            return error_reply(405, "UNSUPPORTED")
        if elsewhere:
            location = f"{elsewhere}/v2/{name}/blobs/{digest}"
            return Reply(307, headers={"Location": location})
        return self._content(request, repository.blobs[digest], digest)

    def _content(self, request: Request, data: bytes, digest: str) -> Reply:
        """Answer with a blob, or the range of it that was asked for."""
        faults = self.faults
        headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
        headers |= self._digest_header(digest)
        if faults.wrong_bytes:
            data = faults.wrong_bytes(data)
        if faults.content_encoding == "gzip":
            data = gzip.compress(data)
            headers["Content-Encoding"] = "gzip"
        cut = faults.cut_after.pop(0) if faults.cut_after and request.method == "GET" else None
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        if not match or faults.no_range:
            headers["Content-Length"] = str(len(data) + faults.wrong_length)
            return Reply(200, data, headers, cut, faults.drip)
        start, last = int(match[1]), int(match[2] or len(data) - 1)
        if start >= len(data):
            return error_reply(416, "SIZE_INVALID", {"Content-Range": f"bytes */{len(data)}"})
        last = min(last, len(data) - 1)
        if faults.range_limit:
            last = min(last, start + faults.range_limit - 1)
        headers["Content-Range"] = f"bytes {start}-{last}/{len(data)}"
        return Reply(206, data[start : last + 1], headers, cut, faults.drip)

    def _digest_header(self, digest: str) -> dict[str, str]:
        if self.faults.no_digest_header:
            return {}
        return {"Docker-Content-Digest": self.faults.digest_header or digest}

    def _uploads(
        self, request: Request, name: str, session: str, query: dict[str, str], body: bytes
    ) -> Reply:
        repository = self.repositories.setdefault(name, RepositoryState())
        if request.method == "POST":
            return self._begin_upload(name, repository, query, body)
        if session not in repository.uploads:
            return error_reply(404, "BLOB_UPLOAD_UNKNOWN")
        have = len(repository.uploads[session])
        if request.method == "GET":
            return Reply(204, headers=self._place(name, session, have))
        if request.method == "DELETE":
            del repository.uploads[session]
            return Reply(204)
        span = re.fullmatch(r"(\d+)-(\d+)", request.headers.get("content-range", ""))
        if span and (int(span[1]) != have or int(span[2]) - int(span[1]) + 1 != len(body)):
            return error_reply(416, "BLOB_UPLOAD_INVALID", self._place(name, session, have))
        if request.method == "PATCH":
            return self._append(repository, name, session, body)
        data = repository.uploads.pop(session) + body
        return self._finish_upload(name, repository, query.get("digest", ""), data)

    def _append(self, repository: RepositoryState, name: str, session: str, body: bytes) -> Reply:
        faults = self.faults
        have = len(repository.uploads[session])
        if faults.patch_limit and len(body) > faults.patch_limit:
            return error_reply(416, "BLOB_UPLOAD_INVALID", self._place(name, session, have))
        if faults.keep_of_patch:
            repository.uploads[session] += body[: faults.keep_of_patch.pop(0)]
            return error_reply(500, "UNKNOWN")
        repository.uploads[session] += body
        return Reply(202, headers=self._place(name, session, have + len(body)))

    def _begin_upload(
        self, name: str, repository: RepositoryState, query: dict[str, str], body: bytes
    ) -> Reply:
        if "mount" in query and not self.faults.no_mount:
            origin = self.repositories.get(query.get("from", ""))
            if origin and query["mount"] in origin.blobs:
                repository.blobs[query["mount"]] = origin.blobs[query["mount"]]
                return Reply(201, headers={"Location": f"/v2/{name}/blobs/{query['mount']}"})
        if "digest" in query and "mount" not in query:
            return self._finish_upload(name, repository, query["digest"], body)
        session = str(uuid.uuid4())
        repository.uploads[session] = b""
        return Reply(202, headers=self._place(name, session, 0))

    def _place(self, name: str, session: str, have: int) -> dict[str, str]:
        place = f"/v2/{name}/blobs/uploads/{session}?state={have}&empty="
        change = self.faults.location
        headers = {
            "Location": change(place) if change else place,
            "Range": f"0-{max(have - 1, 0)}",
        }
        if self.faults.least_chunk:
            headers["OCI-Chunk-Min-Length"] = str(self.faults.least_chunk)
        return headers

    def _finish_upload(
        self, name: str, repository: RepositoryState, digest: str, data: bytes
    ) -> Reply:
        if not _DIGEST.fullmatch(digest) or _hash(data, digest) != digest:
            return error_reply(400, "DIGEST_INVALID")
        repository.blobs[digest] = data
        headers = {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest}
        return Reply(201, headers=headers)

    # --- manifests -------------------------------------------------------------------------------

    def _manifest(
        self, request: Request, name: str, reference: str, _query: dict[str, str], body: bytes
    ) -> Reply:
        by_digest = ":" in reference
        if not (_DIGEST if by_digest else _TAG).fullmatch(reference):
            return error_reply(400 if request.method == "PUT" else 404, "MANIFEST_INVALID")
        if request.method == "PUT":
            return self._put_manifest(request, name, reference, body)
        repository = self.repositories.get(name)
        digest = reference if by_digest else repository.tags.get(reference) if repository else None
        if repository is None or digest not in repository.manifests:
            return error_reply(404, "MANIFEST_UNKNOWN")
        if request.method == "DELETE":
            return self._delete_manifest(repository, reference, digest)
        if request.method not in ("GET", "HEAD"):
            return error_reply(405, "UNSUPPORTED")
        media_type, data = repository.manifests[digest]
        faults = self.faults
        if faults.wrong_bytes:
            data = faults.wrong_bytes(data)
        data += b" " * faults.padding
        headers = {
            "Content-Type": media_type if faults.media_type is None else faults.media_type,
            "Content-Length": str(len(data) + faults.wrong_length),
            **self._digest_header(digest),
        }
        cut = faults.cut_after.pop(0) if faults.cut_after and request.method == "GET" else None
        return Reply(200, data, headers, cut)

    def _delete_manifest(self, repository: RepositoryState, reference: str, digest: str) -> Reply:
        if reference == digest:
            del repository.manifests[digest]
            repository.tags = {t: d for t, d in repository.tags.items() if d != digest}
        else:
            del repository.tags[reference]
        return Reply(202)

    def _put_manifest(self, request: Request, name: str, reference: str, body: bytes) -> Reply:
        if self.faults.refuse_put:
            return error_reply(self.faults.refuse_put, "DENIED", message="the tag is immutable")
        repository = self.repositories.setdefault(name, RepositoryState())
        by_digest = ":" in reference
        digest = _hash(body, reference if by_digest else "sha256:")
        try:
            data = json.loads(body)
            parts = [*data.get("layers", []), *([data["config"]] if "config" in data else [])]
            blobs = [part["digest"] for part in parts]
            children = [child["digest"] for child in data.get("manifests", [])]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return error_reply(400, "MANIFEST_INVALID")
        media_type = request.headers.get("content-type", "").partition(";")[0]
        if len(body) > _LARGEST_MANIFEST:
            return error_reply(413, "MANIFEST_INVALID")
        if (by_digest and digest != reference) or data.get("mediaType", media_type) != media_type:
            return error_reply(400, "MANIFEST_INVALID")
        if any(one not in repository.blobs for one in blobs) or any(
            one not in repository.manifests for one in children
        ):
            return error_reply(404, "MANIFEST_BLOB_UNKNOWN")
        repository.manifests[digest] = (media_type, body)
        if not by_digest:
            repository.tags[reference] = digest
        headers = {
            "Docker-Content-Digest": digest,
            "Location": f"/v2/{name}/manifests/{digest}",
        }
        if (subject := data.get("subject")) and not self.faults.no_referrers:
            headers["OCI-Subject"] = subject["digest"]
        return Reply(201, headers=headers)

    # --- lists -----------------------------------------------------------------------------------

    def _tags(
        self, _request: Request, name: str, _list: str, query: dict[str, str], _body: bytes
    ) -> Reply:
        repository = self.repositories.get(name)
        if repository is None:
            return error_reply(404, "NAME_UNKNOWN")
        count = query.get("n", str(self.faults.page_size or ""))
        if count and not count.isdecimal():
            return error_reply(400, "PAGINATION_NUMBER_INVALID")
        path = "list" if self.faults.relative_links else f"/v2/{name}/tags/list"
        if self.faults.page_size and "last" not in query:
            link = f'<{path}?n={self.faults.page_size}&last=>; rel="next"'
            return json_reply(200, {"name": name, "tags": []}, {"Link": link})
        tags = [tag for tag in sorted(repository.tags) if tag > query.get("last", "")]
        headers = {}
        if count and len(tags) > int(count):
            tags = tags[: int(count)]
            last = quote(tags[-1]) if tags else ""
            headers["Link"] = f'<{path}?n={count}&last={last}>; rel="next"'
        return json_reply(200, {"name": name, "tags": tags}, headers)

    def _referrers(
        self, _request: Request, name: str, digest: str, query: dict[str, str], _body: bytes
    ) -> Reply:
        if self.faults.redirect_referrers_to:
            location = f"{self.faults.redirect_referrers_to}/-/v2/packages/{name}/{digest[:20]}"
            return Reply(303, headers={"Location": location})
        if self.faults.no_referrers:
            return error_reply(404, "UNSUPPORTED")
        repository = self.repositories.get(name, RepositoryState())
        wanted = query.get("artifactType")
        found = [
            one for one in _referrers(repository, digest) if wanted in (None, one["artifactType"])
        ]
        headers = {"OCI-Filters-Applied": "artifactType"} if wanted else {}
        if size := self.faults.page_size:
            start = int(query.get("page", "0")) * size
            if start + size < len(found):
                path = digest if self.faults.relative_links else f"/v2/{name}/referrers/{digest}"
                headers["Link"] = f'<{path}?page={start // size + 1}>; rel="next"'
            found = found[start : start + size]
        index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": found}
        return json_reply(200, index, {"Content-Type": _INDEX, **headers})


def json_reply(status: int, data: object, headers: dict[str, str] | None = None) -> Reply:
    """Answer with a document."""
    fields = {"Content-Type": "application/json", **(headers or {})}
    return Reply(status, json.dumps(data).encode(), fields)


def error_reply(
    status: int, code: str, headers: dict[str, str] | None = None, *, message: str = ""
) -> Reply:
    """Answer with an error as the specification writes them."""
    error = {"code": code, "message": message or code.lower().replace("_", " "), "detail": None}
    return json_reply(status, {"errors": [error]}, headers)


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
