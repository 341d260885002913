"""Content on its way up (distribution-spec v1.1, "Pushing blobs")."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

from ebpm.errors import (
    AuthenticationFailed,
    BlobNotFound,
    EbpmError,
    InsecureTransport,
    NetworkError,
    RegistryError,
    RegistryRefused,
)
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.store import Verified, verified
from ebpm.registry.address import join, shown
from ebpm.registry.answer import Answer, count_in
from ebpm.registry.channel import Channel
from ebpm.registry.http import SizedBody
from ebpm.registry.trouble import pause

SMALL = 4 << 20
"""Bytes that are sent again as a whole if something fails; more go on in chunks."""

PIECE = 4 << 20
"""Bytes of a chunk at most: GHCR takes no larger ones."""

_SMALL_PIECE = 512 << 10  # where a body was too large: nginx, as it comes, takes a megabyte
_BINARY = "application/octet-stream"
_CANCEL_TIMEOUT = 2.0  # seconds
_TRIES = 3  # of a blob that is not believed
_RECOVERIES = 5  # of one chunked upload, without a byte in between


def upload(
    channel: Channel,
    descriptor: Descriptor,
    chunks: Iterable[bytes],
    origin: Channel | None = None,
) -> None:
    """Send a blob, whose bytes are checked on the way.

    In one piece: POST for a place, PUT there. Where that is refused as too large, or a large one
    fails on its way, it is sent in chunks, if it can be read again.

    Args:
        channel: the repository.
        descriptor: the blob.
        chunks: its bytes; an iterable that is no iterator may be read twice.
        origin: a repository that has it: one of the same registry may give it (mount).
    """
    session = _begin(channel, descriptor, origin)
    if session is None:
        return
    right = Verified(chunks, descriptor)
    try:
        _send_whole(channel, session, descriptor, right)
    except (NetworkError, AuthenticationFailed, _TooLarge) as error:
        too_large = isinstance(error, _TooLarge)
        if not right.repeatable or (descriptor.size <= SMALL and not too_large):
            raise
        upload_in_chunks(channel, descriptor, right, _SMALL_PIECE if too_large else PIECE)


def _send_whole(
    channel: Channel, session: _Session, descriptor: Descriptor, right: Verified
) -> None:
    size = descriptor.size
    body = SizedBody(right, size, repeatable=size <= SMALL and right.repeatable)
    for attempt in range(1, _TRIES + 1):
        try:
            with session:
                # Of no bytes, requests would make a body in HTTP's own chunks.
                session.finish(descriptor, body if size else b"".join(right))
        except _Unbelieved:
            if attempt == _TRIES or not right.repeatable:
                raise
            time.sleep(pause(attempt))
            fresh = None if _is_there(channel, descriptor) else _begin(channel, descriptor)
            if fresh is None:
                return
            session = fresh
        else:
            return


def upload_in_chunks(
    channel: Channel, descriptor: Descriptor, chunks: Iterable[bytes], size: int = PIECE
) -> None:
    """Send a blob in pieces of about ``size`` bytes, for registries that take no large ones."""
    session = _begin(channel, descriptor)
    assert session is not None
    with session:
        for piece in _regrouped(verified(chunks, descriptor), max(size, session.least)):
            session.append(piece)
        session.finish(descriptor, b"")


class _TooLarge(RegistryRefused):
    """The registry, or a proxy before it, takes no body of that size (413)."""


class _Unbelieved(RegistryRefused):
    """The registry says that the bytes, which are right, are not those of their digest.

    docker-registry 2.8 does when two clients send one blob at the same time.
    """


def _is_there(channel: Channel, descriptor: Descriptor) -> bool:
    with channel.call("HEAD", f"blobs/{descriptor.digest}") as answer:
        return answer.status == 200


def _begin(
    channel: Channel, descriptor: Descriptor, origin: Channel | None = None
) -> _Session | None:
    """Open a session; None where the registry took the blob from another repository of its own."""
    if origin is not None and origin.is_beside(channel):
        query = urlencode({"mount": str(descriptor.digest), "from": origin.name})
        both = channel.reading_too(origin)
        try:
            with both.call("POST", f"blobs/uploads/?{query}", body=b"") as answer:
                if answer.status == 201:
                    return None
                if answer.status == 202:
                    return _Session(channel, answer)
        except AuthenticationFailed:
            pass  # no right to read there, or none to both at once
    with channel.call("POST", "blobs/uploads/", body=b"") as answer:
        channel.expect(answer, (202,), BlobNotFound)
        return _Session(channel, answer)


def _regrouped(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while len(held) >= size:
            yield bytes(held[:size])
            del held[:size]
    if held:
        yield bytes(held)


class _Session:
    """A place to upload to; leaving it by an error tells the registry to forget it."""

    def __init__(self, channel: Channel, opened: Answer) -> None:
        self._channel = channel
        self._url = self._next(opened)
        self.least = count_in(opened.headers.get("OCI-Chunk-Min-Length", "")) or 0
        self._offset = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            return
        try:
            self._channel.send("DELETE", self._url, timeout=_CANCEL_TIMEOUT).close()
        except EbpmError:
            return  # a registry that does not care need not answer

    def finish(self, descriptor: Descriptor, body: bytes | SizedBody) -> None:
        """Send all, or nothing after the pieces, and say what it was."""
        joint = "&" if "?" in self._url else "?"
        url = f"{self._url}{joint}digest={descriptor.digest}"
        headers = {"Content-Type": _BINARY, "Content-Length": str(len(body))}
        long = len(body) > SMALL
        with self._channel.send("PUT", url, headers=headers, body=body, long=long) as answer:
            again = isinstance(body, bytes) or body.repeatable
            if answer.status != 201 and again and _is_there(self._channel, descriptor):
                return  # the first of several tries was heard, and its answer lost
            if answer.status == 413:
                raise _TooLarge(f"{self._channel} takes no body of {len(body)} bytes")
            try:
                self._channel.expect(answer, (201, 204), BlobNotFound, f"@{descriptor.digest}")
            except RegistryRefused as error:
                raise (_Unbelieved(error.message) if answer.status == 400 else error) from None

    def append(self, piece: bytes) -> None:
        """Send one piece; where a part of it was lost, ask from where on and send that again."""
        failures = 0
        while piece:
            before = self._offset
            try:
                if not self._patch(piece):
                    self._ask_offset(refused=True)
            except NetworkError:
                self._ask_offset(refused=False)
            taken = self._offset - before
            if not 0 <= taken <= len(piece):
                raise RegistryError(f"{self._channel} lost bytes of an upload")
            piece = piece[taken:]
            failures = 0 if taken else failures + 1
            if failures >= _RECOVERIES:
                raise RegistryError(f"{self._channel} takes no more bytes of an upload")

    def _patch(self, piece: bytes) -> bool:
        """Send a piece; False where the registry has another idea of where it belongs."""
        end = self._offset + len(piece) - 1
        headers = {"Content-Type": _BINARY, "Content-Range": f"{self._offset}-{end}"}
        with self._channel.send("PATCH", self._url, headers=headers, body=piece) as answer:
            if answer.status == 416:
                return False
            self._channel.expect(answer, (202,), BlobNotFound)
            self._url = self._next(answer)
            reached = _end(answer)
            self._offset = end + 1 if reached is None else reached + 1
        return True

    def _ask_offset(self, *, refused: bool) -> None:
        """Ask where to go on, after a piece that was refused there or of which nothing is known."""
        with self._channel.send("GET", self._url) as answer:
            self._channel.expect(answer, (204,), BlobNotFound)
            if answer.headers.get("Location"):
                self._url = self._next(answer)
            reached = _end(answer)
        if reached is None:
            raise RegistryError(f"{self._channel} does not say where an upload goes on")
        # "0-0" may mean one byte or none; if none was wrong, it is one.
        self._offset = reached + 1 if reached or self._offset or refused else 0

    def _next(self, answer: Answer) -> str:
        place = answer.headers.get("Location")
        if not place:
            raise RegistryError(f"{self._channel} gives no place to upload to")
        url = join(answer.url, place)
        if answer.url.startswith("https:") and not url.startswith("https:"):
            raise InsecureTransport(f"{self._channel} wants an upload without TLS at {shown(url)}")
        return url


def _end(answer: Answer) -> int | None:
    """Read the last byte's number out of a Range header, ``0-41``."""
    match = re.fullmatch(r"(?:bytes=)?0-([0-9]{1,18})", answer.headers.get("Range", ""))
    return int(match[1]) if match else None
