"""One repository of one registry, as a store (distribution-spec v1.1)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from ebpm.errors import (
    AccessDenied,
    AuthenticationFailed,
    BlobNotFound,
    DigestMismatch,
    EbpmError,
    InvalidManifest,
    ManifestNotFound,
    RegistryError,
    RegistryRefused,
    RegistryUnreachable,
)
from ebpm.oci.descriptor import MANIFESTS, Descriptor
from ebpm.oci.digest import Digest
from ebpm.oci.manifest import LARGEST
from ebpm.oci.store import CHUNK
from ebpm.registry.auth import Authorizer
from ebpm.registry.challenge import parse_challenges
from ebpm.registry.http import _BROKEN, Http, SizedBody

if TYPE_CHECKING:
    import requests

_HUB_HOSTS = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}
_ACCEPT = {"Accept": ", ".join(MANIFESTS)}
_RESUMES = 5  # of one download, without a byte in between


class Repository:
    """A repository.

    Args:
        http: the connections.
        authorizer: for its registry.
        registry: host[:port], as in references.
        name: the path below it.
        push: ask for the right to write from the first request on.
    """

    def __init__(
        self, http: Http, authorizer: Authorizer, registry: str, name: str, *, push: bool = False
    ) -> None:
        self._http = http
        self._authorizer = authorizer
        self._registry = registry
        self._name = f"library/{name}" if registry in _HUB_HOSTS and "/" not in name else name
        self._base = http.base_url(_HUB_HOSTS.get(registry, registry))
        self._scope = f"repository:{self._name}:{'pull,push' if push else 'pull'}"

    def __str__(self) -> str:
        return f"{self._registry}/{self._name}"

    # --- reading ---------------------------------------------------------------------------------

    def resolve(self, name: str) -> Descriptor:
        """Find the manifest of a tag or digest."""
        with self._call("GET", f"manifests/{name}", headers=_ACCEPT) as answer:
            self._expect(answer, (200,), ManifestNotFound(f"{self}:{name} does not exist"))
            media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
            raw = _read(answer, LARGEST)
        digest = Digest.of(raw)
        if name.startswith(("sha256:", "sha512:")):
            wanted = Digest.parse(name)
            digest = Digest.of(raw, wanted.algorithm)
            if digest != wanted:
                raise DigestMismatch(f"{self} serves other bytes than {wanted}")
        stated = answer.headers.get("Docker-Content-Digest")
        if stated and stated.startswith("sha256:") and stated != str(Digest.of(raw)):
            raise DigestMismatch(f"{self}:{name} does not hash to the digest that is stated for it")
        if media_type not in MANIFESTS:
            raise InvalidManifest(f"{self}:{name} is of the unknown type {media_type!r}")
        return Descriptor(media_type=media_type, digest=digest, size=len(raw))

    @contextmanager
    def open(self, descriptor: Descriptor) -> Iterator[Iterator[bytes]]:
        """Open a blob or manifest; a broken connection is taken up where it broke."""
        kind = "manifests" if descriptor.is_manifest else "blobs"
        headers = {"Accept": descriptor.media_type} if descriptor.is_manifest else {}
        download = _Download(self, f"{kind}/{descriptor.digest}", headers, descriptor)
        try:
            yield download.chunks()
        finally:
            download.close()

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the content is there."""
        kind = "manifests" if descriptor.is_manifest else "blobs"
        headers = {"Accept": descriptor.media_type} if descriptor.is_manifest else {}
        with self._call("HEAD", f"{kind}/{descriptor.digest}", headers=headers) as answer:
            if answer.status_code == 404:
                return False
            self._expect(answer, (200,), None)
            return True

    # --- writing ---------------------------------------------------------------------------------

    def session(self) -> AbstractContextManager[object]:
        """Need nothing: a registry keeps what it was sent."""
        return nullcontext()

    def put(self, descriptor: Descriptor, chunks: Iterable[bytes]) -> None:
        """Send a blob, or a manifest under its digest."""
        if descriptor.is_manifest:
            self._put_manifest(descriptor, str(descriptor.digest), b"".join(chunks))
        else:
            self._upload(descriptor, chunks)

    def tag(self, descriptor: Descriptor, name: str, raw: bytes) -> None:
        """Send a manifest under a tag; one that the tag has already is not sent again."""
        headers = {"Accept": descriptor.media_type}
        with self._call("HEAD", f"manifests/{name}", headers=headers) as answer:
            if answer.headers.get("Docker-Content-Digest") == str(descriptor.digest):
                return
        self._put_manifest(descriptor, name, raw)

    def _put_manifest(self, descriptor: Descriptor, name: str, raw: bytes) -> None:
        headers = {"Content-Type": descriptor.media_type}
        with self._call("PUT", f"manifests/{name}", headers=headers, body=raw) as answer:
            self._expect(answer, (200, 201, 202), None)

    def _upload(self, descriptor: Descriptor, chunks: Iterable[bytes]) -> None:
        """Send a blob in one piece: POST for a place, PUT there."""
        with self._call("POST", "blobs/uploads/", body=b"") as answer:
            self._expect(answer, (202,), None)
            place = answer.headers.get("Location")
            if not place:
                raise RegistryError(f"{self} gives no place to upload to")
            url = urljoin(answer.url, place)
        joint = "&" if urlsplit(url).query else "?"
        final = f"{url}{joint}digest={descriptor.digest}"
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(descriptor.size),
        }
        body = SizedBody(chunks, descriptor.size) if descriptor.size else b""
        try:
            with self._send("PUT", final, headers, body) as answer:
                self._expect(answer, (201,), None)
        except BaseException:
            self._cancel(url)
            raise

    def _cancel(self, url: str) -> None:
        """Give up an upload; a registry that does not care need not answer."""
        try:
            self._send("DELETE", url, {}, None).close()
        except EbpmError:
            return

    # --- requests --------------------------------------------------------------------------------

    def _call(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> requests.Response:
        url = f"{self._base}/v2/{self._name}/{path}"
        return self._send(method, url, headers or {}, body)

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | SizedBody | None
    ) -> requests.Response:
        """Send a request with what authorises it; answer one challenge of the registry's own."""
        ours = urlsplit(url).netloc == urlsplit(self._base).netloc
        known = self._authorizer.header(self._scope) if ours else None
        answer = self._http.request(
            method, url, headers=headers, body=body, authorization=known, follow=method != "HEAD"
        )
        if answer.status_code != 401 or not ours:
            return answer
        challenges = parse_challenges(answer.headers.get("WWW-Authenticate", ""))
        if urlsplit(answer.url).netloc != urlsplit(self._base).netloc:
            return answer  # a redirect's target has no claim to our credentials
        header = self._authorizer.answer(challenges, self._scope)
        if header is None or isinstance(body, SizedBody):
            return answer
        answer.close()
        return self._http.request(
            method, url, headers=headers, body=body, authorization=header, follow=method != "HEAD"
        )

    def _expect(
        self, answer: requests.Response, good: tuple[int, ...], absent: EbpmError | None
    ) -> None:
        """Turn a status that is not one of the good ones into an error."""
        status = answer.status_code
        if status in good:
            return
        said = _said(answer)
        if status == 404 and absent is not None:
            raise absent
        if status == 401:
            raise AuthenticationFailed(
                f"{self} wants a login{said}", hint=f"ebpm login {self._registry}"
            )
        if status == 403:
            raise AccessDenied(f"{self._registry} denies access to {self._name}{said}")
        if status == 404:
            raise ManifestNotFound(f"{self} does not exist{said}")
        if status in (400, 405, 409, 412, 413, 415, 416):
            raise RegistryRefused(f"{self} refuses ({status}){said}")
        raise RegistryError(f"{self} answers {status}{said}")


class _Download:
    """The bytes of a blob, over as many connections as it takes."""

    def __init__(
        self,
        repository: Repository,
        path: str,
        headers: Mapping[str, str],
        descriptor: Descriptor,
    ) -> None:
        self._repository = repository
        self._path = path
        self._headers = headers
        self._descriptor = descriptor
        self._got = 0
        self._answer: requests.Response | None = None

    def chunks(self) -> Iterator[bytes]:
        failures = 0
        while True:
            before = self._got
            try:
                yield from self._once()
            except _BROKEN:
                failures = failures + 1 if self._got == before else 0
                if failures >= _RESUMES:
                    raise RegistryUnreachable(
                        f"{self._repository} broke off {self._descriptor.digest} again and again"
                    ) from None
            else:
                if self._got >= self._descriptor.size or self._got == before:
                    return

    def _once(self) -> Iterator[bytes]:
        headers = dict(self._headers)
        if self._got:
            headers["Range"] = f"bytes={self._got}-"
        self.close()
        self._answer = answer = self._repository._call("GET", self._path, headers=headers)  # noqa: SLF001
        absent = BlobNotFound(f"{self._repository} lacks {self._descriptor.digest}")
        self._repository._expect(answer, (200, 206), absent)  # noqa: SLF001
        skip = 0 if answer.status_code == 206 and self._continues(answer) else self._got
        while chunk := answer.raw.read(CHUNK, decode_content=False):
            fresh, skip = chunk[skip:], max(0, skip - len(chunk))
            if fresh:
                self._got += len(fresh)
                yield fresh

    def _continues(self, answer: requests.Response) -> bool:
        match = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
        if not match or int(match[1]) != self._got:
            raise RegistryError(f"{self._repository} answers with another range than asked for")
        return True

    def close(self) -> None:
        if self._answer is not None:
            self._answer.close()
            self._answer = None


def _read(answer: requests.Response, limit: int) -> bytes:
    data = answer.raw.read(limit + 1, decode_content=False)
    if len(data) > limit:
        raise InvalidManifest(f"a manifest is larger than {limit} bytes")
    return bytes(data)


def _said(answer: requests.Response) -> str:
    """Read the registry's own words (distribution-spec, "Error codes")."""
    try:
        data: Any = json.loads(answer.raw.read(16384, decode_content=False) or b"{}")
        first = data["errors"][0]
        words = " ".join(str(first.get(key) or "") for key in ("code", "message")).strip()
    except (*_BROKEN, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return ""
    return f": {words[:300]}" if words else ""
