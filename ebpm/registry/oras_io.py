"""Between oras-py's calls and ours: logins, bodies, and responses of requests that are checked."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlencode

import requests

from ebpm.errors import DigestMismatch, InvalidDigest, InvalidManifest
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.digest import Digest
from ebpm.oci.manifest import LARGEST
from ebpm.oci.store import CHUNK
from ebpm.registry.answer import Answer
from ebpm.registry.credentials import Credential, Credentials, CredentialStore
from ebpm.registry.http import SizedBody


class Logins:
    """What scripts call ``client.auth``: logins given by the script, then those of files.

    A login that is given without a host is for the client's own, else for the next registry that
    is used, and for no other.

    Args:
        files: where other logins are kept.
        host: the client's own registry.
        changed: told when a login is given.
    """

    def __init__(self, files: Credentials, host: str | None, changed: Callable[[], None]) -> None:
        self._files = files
        self._host = host
        self._changed = changed
        self._given: dict[str, Credential] = {}
        self._unbound: Credential | None = None
        self._extra: list[CredentialStore] = []

    def set_basic_auth(self, username: str, password: str) -> None:
        """Give a login."""
        self.give(Credential(username, password), self._host)

    def set_token_auth(self, token: str) -> None:
        """Give a token that is sent as it is."""
        self.give(Credential(bearer=token), self._host)

    def give(self, credential: Credential, host: str | None) -> None:
        """Give a login for a registry, or for the next one that is used."""
        if host:
            self._given[host] = credential
        else:
            self._unbound = credential
        self._changed()

    def bind(self, host: str) -> None:
        """Say which registry is used."""
        if self._unbound:
            self._given[host], self._unbound = self._unbound, None

    def load_configs(self, _container: object, configs: Sequence[str] | None = None) -> None:
        """Look into these files first."""
        if configs:
            self._extra = [CredentialStore([], Path(name)) for name in configs]
            self._changed()

    def logout(self, hostname: str) -> None:
        """Forget what was given for a registry."""
        self._given.pop(hostname, None)
        self._changed()

    def find(self, host: str, repository: str = "") -> Credential | None:
        """Find the login for a host, or for a path below it."""
        if host in self._given:
            return self._given[host]
        for store in (*self._extra, self._files):
            if found := store.find(host, repository):
                return found
        return None

    def save(self, host: str, credential: Credential) -> str:
        """Keep a login; tell where."""
        return self._files.save(host, credential)

    def erase(self, host: str) -> bool:
        """Forget a login."""
        known = self._given.pop(host, None)
        return self._files.erase(host) or known is not None


class Body:
    """What requests reads a response's content from."""

    def __init__(self, chunks: Iterable[bytes], close: Callable[[], None] | None = None) -> None:
        self._chunks = iter(chunks)
        self._close = close
        self._held = memoryview(b"")

    def read(self, amount: int | None = None, decode_content: bool | None = None) -> bytes:  # noqa: ARG002
        """Read so many bytes, or all; nothing is unpacked."""
        taken = bytearray()
        while amount is None or len(taken) < amount:
            if not self._held:
                self._held = memoryview(next(self._chunks, b""))
                if not self._held:
                    break
            size = len(self._held) if amount is None else amount - len(taken)
            taken += self._held[:size]
            self._held = self._held[size:]
        return bytes(taken)

    def stream(self, amount: int = CHUNK, decode_content: bool | None = None) -> Iterator[bytes]:  # noqa: ARG002
        """Read in pieces."""
        while piece := self.read(amount):
            yield piece

    def close(self) -> None:
        """Give the connection up."""
        if self._close:
            self._close()


def checked(answer: Answer, *, kind: str, wanted: Digest | None, stream: bool) -> requests.Response:
    """Make a response whose content is compared with its digest.

    Args:
        answer: to a GET of content, or to anything else.
        kind: "blobs", "manifests", or empty where there is nothing to compare.
        wanted: the digest that was asked for; else what the registry states is compared.
        stream: the content is compared as it is read, else before this returns.
    """
    response = answer.response
    stated = answer.headers.get("Docker-Content-Digest", "")
    expected = wanted or (digest_in(stated) if stated.startswith("sha256:") else None)
    chunks: Iterator[bytes] = answer.chunks()
    if kind == "manifests":
        chunks = _limited(chunks)
    if kind and expected:
        chunks = _hashed(chunks, expected)
    if stream:
        response.raw = Body(chunks, response.raw.close)
        return response
    data = b"".join(chunks)
    answer.close()
    return with_content(response, data)


def with_content(response: requests.Response, data: bytes) -> requests.Response:
    """Give a response this content, to be read as often as one likes."""
    response.raw = Body([data])
    _ = response.content
    return response


def _limited(chunks: Iterable[bytes]) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > LARGEST:
            raise InvalidManifest(f"a manifest is larger than {LARGEST} bytes")
        yield chunk


def _hashed(chunks: Iterable[bytes], digest: Digest) -> Iterator[bytes]:
    """Pass chunks on, the last of them only if all of them are right."""
    seen = hashlib.new(digest.algorithm)
    held = b""
    for chunk in chunks:
        seen.update(chunk)
        if held:
            yield held
        held = chunk
    if seen.hexdigest() != digest.hex:
        raise DigestMismatch(f"the bytes do not hash to {digest}")
    if held:
        yield held


def digest_in(text: str) -> Digest | None:
    """Read a digest; None where it is none."""
    try:
        return Digest.parse(text)
    except InvalidDigest:
        return None


def request_body(data: Any, document: Any) -> bytes | SizedBody | None:  # noqa: ANN401
    """Make a body of what requests would take for one."""
    if document is not None:
        return json.dumps(document).encode()
    if data is None or isinstance(data, bytes):
        return data
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, dict):
        return urlencode(data).encode()
    if hasattr(data, "fileno"):
        left = os.fstat(data.fileno()).st_size - data.tell()
        return SizedBody(file_chunks(data), left)
    raise TypeError(f"a body is bytes, text, a form or a file, not {type(data).__name__}")


def file_chunks(file: BinaryIO) -> Iterator[bytes]:
    """Read an open file in pieces."""
    while chunk := file.read(CHUNK):
        yield chunk


def made_up(status: int, descriptor: Descriptor) -> requests.Response:
    """Make the response of several requests, or of none that was needed."""
    response = requests.Response()
    response.status_code = status
    response.reason = {200: "OK", 201: "Created"}[status]
    response.headers["Docker-Content-Digest"] = str(descriptor.digest)
    return with_content(response, b"")
