"""One repository of one registry, as a store (distribution-spec v1.1)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from ebpm.errors import (
    AuthenticationFailed,
    BlobNotFound,
    DigestMismatch,
    EbpmError,
    InvalidManifest,
    NotFound,
    RegistryError,
    RegistryRefused,
    RegistryUnreachable,
)
from ebpm.oci.content import Content
from ebpm.oci.descriptor import MANIFESTS, Descriptor
from ebpm.oci.digest import Digest
from ebpm.oci.manifest import LARGEST
from ebpm.oci.store import described_referrer, signature_tag_names, verified
from ebpm.plainjson import loads
from ebpm.registry.channel import Channel
from ebpm.registry.download import Download
from ebpm.registry.pages import pages
from ebpm.registry.referrers import Referrers
from ebpm.registry.trouble import pause
from ebpm.registry.upload import upload

_ACCEPT = {"Accept": ", ".join(MANIFESTS)}
_TRIES = 3  # of a manifest that breaks off, or that the registry finds incomplete


class Repository:
    """A repository; it may be used from several threads."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._resolved: tuple[Digest, bytes] | None = None  # the last manifest, not asked for twice

    def __str__(self) -> str:
        return str(self.channel)

    # --- reading ---------------------------------------------------------------------------------

    def resolve(self, name: str) -> Descriptor:
        """Find the manifest of a tag or digest."""
        return self.read_manifest(name)[0]

    def read_manifest(self, name: str) -> tuple[Descriptor, bytes]:
        """Find the manifest of a tag or digest; give its bytes, checked, as well."""
        media_type, stated, raw = self._get_manifest(name)
        digest = Digest.of(raw)
        if name.startswith(("sha256:", "sha512:")):
            wanted = Digest.parse(name)
            digest = Digest.of(raw, wanted.algorithm)
            if digest != wanted:
                raise DigestMismatch(f"{self} serves other bytes than {wanted}")
        if stated.startswith("sha256:") and stated != str(Digest.of(raw)):
            raise DigestMismatch(f"{self}:{name} does not hash to the digest that is stated for it")
        if media_type not in MANIFESTS:
            raise InvalidManifest(f"{self}:{name} is of the unknown type {media_type[:200]!r}")
        self._resolved = digest, raw
        return Descriptor(media_type=media_type, digest=digest, size=len(raw)), raw

    def _get_manifest(self, name: str) -> tuple[str, str, bytes]:
        """Fetch a manifest: its type, the digest that the registry states, its bytes."""
        what = f"@{name}" if ":" in name else f":{name}"
        for attempt in range(1, _TRIES + 1):
            with self.channel.call("GET", f"manifests/{name}", headers=_ACCEPT) as answer:
                self.channel.expect_manifest(answer, (200,), what)
                try:
                    raw = answer.read(LARGEST + 1)
                except RegistryUnreachable:
                    if attempt == _TRIES:
                        raise
                    continue
                if len(raw) > LARGEST:
                    raise InvalidManifest(f"{self}{what} is larger than {LARGEST} bytes")
                return answer.media_type, answer.headers.get("Docker-Content-Digest", ""), raw
        raise AssertionError("unreachable")

    @contextmanager
    def open(self, descriptor: Descriptor, start: int = 0) -> Iterator[Iterator[bytes]]:
        """Open a blob or manifest; a broken connection is taken up where it broke."""
        if self._resolved and self._resolved[0] == descriptor.digest:
            yield iter([self._resolved[1][start:]])
            return
        kind = "manifests" if descriptor.is_manifest else "blobs"
        headers = {"Accept": descriptor.media_type} if descriptor.is_manifest else {}
        download = Download(self.channel, f"{kind}/{descriptor.digest}", headers, descriptor, start)
        try:
            yield download.chunks()
        finally:
            download.close()

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the content is there."""
        kind = "manifests" if descriptor.is_manifest else "blobs"
        headers = {"Accept": descriptor.media_type} if descriptor.is_manifest else {}
        with self.channel.call("HEAD", f"{kind}/{descriptor.digest}", headers=headers) as answer:
            if answer.status != 404:
                self.channel.expect(answer, (200,), BlobNotFound)
            return answer.status == 200

    def blob_size(self, digest: Digest) -> int:
        """Ask how long a blob is, of which only the digest is known."""
        with self.channel.call("HEAD", f"blobs/{digest}") as answer:
            self.channel.expect(answer, (200,), BlobNotFound, f"@{digest}")
            length = answer.length
        if length is None:
            raise RegistryError(f"{self} does not say how long {digest} is")
        return length

    def referrers(self, descriptor: Descriptor) -> list[Descriptor]:
        """List the manifests whose subject is this one."""
        return Referrers(self, self.channel).find(descriptor.digest)

    def signature_tags(self, descriptor: Descriptor) -> dict[str, Descriptor]:
        """Find the tags in which cosign before version 3 kept what belongs to a manifest."""
        names = signature_tag_names(descriptor)
        there = [name for name in names if self._has_tag(name)]
        return {name: self.resolve(name) for name in there}

    def _has_tag(self, name: str) -> bool:
        with self.channel.call("HEAD", f"manifests/{name}", headers=_ACCEPT) as answer:
            if answer.status != 404:
                self.channel.expect_manifest(answer, (200,), f":{name}")
            return answer.status == 200

    def tags(self, count: int | None = None) -> Iterator[str]:
        """List the tags, over all pages, in the registry's order.

        Args:
            count: tags that a page may have; the registry may give fewer, or more.
        """
        first = self.channel.call("GET", "tags/list" + (f"?n={count}" if count else ""))
        self.channel.expect_manifest(first, (200,))
        for _, data in pages(self.channel, first):
            yield from _read_tags(data)

    # --- writing ---------------------------------------------------------------------------------

    def session(self) -> AbstractContextManager[object]:
        """Need nothing: a registry keeps what it was sent."""
        return nullcontext()

    def put(self, descriptor: Descriptor, chunks: Iterable[bytes]) -> None:
        """Send a blob, or a manifest under its digest."""
        if descriptor.is_manifest:
            raw = b"".join(verified(chunks, descriptor))
            self.put_manifest(descriptor, str(descriptor.digest), raw)
        else:
            source = chunks.source if isinstance(chunks, Content) else None
            origin = source.channel if isinstance(source, Repository) else None
            upload(self.channel, descriptor, chunks, origin)

    def tag(self, descriptor: Descriptor, name: str, raw: bytes) -> None:
        """Send a manifest under a tag; one that the tag has already is not sent again.

        Raises:
            RegistryRefused: the tag is another's, and immutable; or ``name`` is another digest.
        """
        if ":" in name and name != str(descriptor.digest):
            raise RegistryRefused(f"{self}@{name} can be nothing but that, not {descriptor.digest}")
        headers = {"Accept": descriptor.media_type}
        with self.channel.call("HEAD", f"manifests/{name}", headers=headers) as answer:
            stated = answer.headers.get("Docker-Content-Digest")
            if answer.status == 200 and stated == str(descriptor.digest):
                return
        try:
            self.put_manifest(descriptor, name, raw)
        except (RegistryRefused, AuthenticationFailed):
            # Old registries state no digest; an immutable tag may be ours all the same.
            if not self._means(name, descriptor):
                raise

    def _means(self, name: str, descriptor: Descriptor) -> bool:
        try:
            return self.resolve(name).digest == descriptor.digest
        except EbpmError:
            return False

    def put_manifest(self, descriptor: Descriptor, name: str, raw: bytes) -> str:
        """Send a manifest under a tag or digest; tell which subject the registry saw in it."""
        headers = {"Content-Type": descriptor.media_type}
        what = f"@{name}" if ":" in name else f":{name}"
        for attempt in range(1, _TRIES + 1):
            with self.channel.call("PUT", f"manifests/{name}", headers=headers, body=raw) as answer:
                try:
                    self.channel.expect_manifest(answer, (200, 201, 202), what)
                except (RegistryRefused, NotFound) as error:
                    # docker-registry 2.8 loses sight of a blob while another client sends it too.
                    if "BLOB_UNKNOWN" not in error.message or attempt == _TRIES:
                        raise
                else:
                    return answer.headers.get("OCI-Subject", "")
            time.sleep(pause(attempt))
        raise AssertionError("unreachable")

    def attach(self, descriptor: Descriptor, raw: bytes) -> None:
        """Send a manifest that has a subject, and see that it is found from there.

        Raises:
            RegistryRefused: the registry keeps no lists of referrers, and others overwrite ours.
        """
        subject, entry = described_referrer(descriptor, raw)
        referrers = Referrers(self, self.channel)
        sent = not self.has(descriptor)
        if sent and self._send_referrer(descriptor, subject, raw):
            return
        listed = referrers.listed(subject.digest)
        if listed is None:
            referrers.announce(subject.digest, entry)
        elif not sent and all(one.digest != descriptor.digest for one in listed):
            self._send_referrer(descriptor, subject, raw)  # older than the registry's lists

    def _send_referrer(self, descriptor: Descriptor, subject: Descriptor, raw: bytes) -> bool:
        """Send a manifest; tell whether the registry saw its subject."""
        name = str(descriptor.digest)
        return self.put_manifest(descriptor, name, raw) == str(subject.digest)


def _read_tags(data: bytes) -> list[str]:
    try:
        document: Any = loads(data)
        tags: list[Any] = document["tags"] or []
        if isinstance(tags, list) and all(isinstance(tag, str) for tag in tags):
            return tags
    except (ValueError, KeyError, TypeError):
        pass
    raise RegistryError("the registry answers with something that is no list of tags")
