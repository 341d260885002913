"""What every place that holds artifacts can do: a registry, our store, a layout folder, memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from ebpm.errors import (
    BlobNotFound,
    DigestMismatch,
    InvalidManifest,
    ManifestNotFound,
    SizeMismatch,
)
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.manifest import LARGEST, AnyManifest, Manifest, parse_manifest

CHUNK = 256 << 10
_SIGNATURES = ("sig", "att", "sbom")


class Source(Protocol):
    """A place to read from."""

    def resolve(self, name: str) -> Descriptor:
        """Find the manifest that a tag or digest names.

        Raises:
            ManifestNotFound: there is none.
        """

    def open(
        self, descriptor: Descriptor, start: int = 0
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Open content as chunks of at most CHUNK bytes, which nobody has checked yet.

        Args:
            descriptor: what to open.
            start: the first byte to give, at most the content's size.

        Raises:
            BlobNotFound, ManifestNotFound: it is not there.
        """

    def referrers(self, descriptor: Descriptor) -> list[Descriptor]:
        """List the manifests that say that this one is their subject.

        Each has the ``artifact_type`` of its manifest, or of that manifest's config.
        """

    def signature_tags(self, descriptor: Descriptor) -> dict[str, Descriptor]:
        """Find the tags in which cosign before version 3 kept what belongs to a manifest."""


class Target(Protocol):
    """A place to write to."""

    def session(self) -> AbstractContextManager[object]:
        """Keep what is written and not yet named from being cleaned away."""

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the content is there in full, and undamaged as far as the place can tell."""

    def put(self, descriptor: Descriptor, chunks: Iterable[bytes]) -> None:
        """Write content, checked on the way; called from several threads.

        The chunks may be an :class:`ebpm.oci.content.Content`, which can be read more than once.
        When this returns it is there in full, when it raises it is not there.

        Raises:
            SizeMismatch, DigestMismatch: the chunks are not what is described.
        """

    def attach(self, descriptor: Descriptor, raw: bytes) -> None:
        """Put a manifest that has a subject so that it is found from there.

        The subject need not be there yet; all else that it refers to must be.
        """

    def tag(self, descriptor: Descriptor, name: str, raw: bytes) -> None:
        """Put a manifest under a name; all it refers to must be there already."""


class Store(Source, Target, Protocol):
    """A place to read from and write to."""


def verified(chunks: Iterable[bytes], descriptor: Descriptor) -> Iterator[bytes]:
    """Pass chunks on; raise at the end, or as soon as there are too many, if they are not right.

    The last chunk is held back until all bytes are known to be right, so that a reader that stops
    at the promised size cannot miss the check.

    Raises:
        SizeMismatch, DigestMismatch: the bytes are not the ones described.
    """
    seen = hashlib.new(descriptor.digest.algorithm)
    size = 0
    held = b""
    for chunk in chunks:
        size += len(chunk)
        if size > descriptor.size:
            raise SizeMismatch(f"{descriptor.digest} has more than its {descriptor.size} bytes")
        seen.update(chunk)
        if held:
            yield held
        held = chunk
    if size != descriptor.size:
        raise SizeMismatch(f"{descriptor.digest} has {size} bytes instead of {descriptor.size}")
    if seen.hexdigest() != descriptor.digest.hex:
        raise DigestMismatch(f"the bytes do not hash to {descriptor.digest}")
    if held:
        yield held


class Verified:
    """Chunks that are checked whenever they are read, as often as they can be read.

    Args:
        chunks: an iterable; an iterator can be read once.
        descriptor: what they are to be.
    """

    def __init__(self, chunks: Iterable[bytes], descriptor: Descriptor) -> None:
        self._chunks = chunks
        self._descriptor = descriptor

    def __iter__(self) -> Iterator[bytes]:
        return verified(self._chunks, self._descriptor)

    @property
    def repeatable(self) -> bool:
        """Whether they can be read again."""
        return not isinstance(self._chunks, Iterator)


def fetch(source: Source, descriptor: Descriptor, limit: int) -> bytes:
    """Read content into memory, checked.

    Raises:
        InvalidManifest: it says that it is larger than ``limit`` bytes.
    """
    if descriptor.size > limit:
        raise InvalidManifest(f"{descriptor.digest} has {descriptor.size} bytes, more than {limit}")
    with source.open(descriptor) as chunks:
        return b"".join(verified(chunks, descriptor))


def fetch_manifest(source: Source, descriptor: Descriptor) -> AnyManifest:
    """Read a manifest or index, checked and parsed from the very bytes that were checked."""
    return parse_manifest(fetch(source, descriptor, LARGEST), descriptor.media_type)


def described_referrer(descriptor: Descriptor, raw: bytes) -> tuple[Descriptor, Descriptor]:
    """Read what a manifest is about, and describe it as lists of referrers do.

    Source: distribution-spec v1.1, "Listing Referrers": its own artifactType, else its config's
    type, and its annotations.

    Raises:
        InvalidManifest: it has no subject.
    """
    manifest = parse_manifest(raw, descriptor.media_type)
    if manifest.subject is None:
        raise InvalidManifest(f"{descriptor.digest} is about nothing: it has no subject")
    kind = manifest.kind if isinstance(manifest, Manifest) else manifest.artifact_type
    entry = Descriptor(
        media_type=descriptor.media_type,
        digest=descriptor.digest,
        size=descriptor.size,
        artifact_type=kind,
        annotations=manifest.annotations,
    )
    return manifest.subject, entry


def signature_tag_names(descriptor: Descriptor) -> list[str]:
    """Name the tags in which cosign keeps the signatures, attestations and SBOMs of a manifest."""
    digest = descriptor.digest
    return [f"{digest.algorithm}-{digest.hex}.{kind}" for kind in _SIGNATURES]


class MemoryStore:
    """Artifacts in memory: what a package is before it is anywhere else."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.tags: dict[str, Descriptor] = {}
        self.attached: dict[str, list[Descriptor]] = {}  # by the digest of the subject

    def add(self, data: bytes, descriptor: Descriptor) -> Descriptor:
        """Put bytes in that were just described."""
        self.blobs[str(descriptor.digest)] = data
        return descriptor

    def resolve(self, name: str) -> Descriptor:
        """Find what was tagged."""
        if name not in self.tags:
            raise ManifestNotFound(f"nothing is tagged {name}")
        return self.tags[name]

    def open(
        self, descriptor: Descriptor, start: int = 0
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Read bytes."""
        data = self.blobs.get(str(descriptor.digest))
        if data is None:
            raise BlobNotFound(f"{descriptor.digest} is not there")
        return nullcontext(data[at : at + CHUNK] for at in range(start, len(data), CHUNK))

    def referrers(self, descriptor: Descriptor) -> list[Descriptor]:
        """List what was attached."""
        return list(self.attached.get(str(descriptor.digest), []))

    def signature_tags(self, descriptor: Descriptor) -> dict[str, Descriptor]:
        """Find tags."""
        names = signature_tag_names(descriptor)
        return {name: self.tags[name] for name in names if name in self.tags}

    def session(self) -> AbstractContextManager[object]:
        """Need nothing."""
        return nullcontext()

    def has(self, descriptor: Descriptor) -> bool:
        """Whether it is there."""
        return str(descriptor.digest) in self.blobs

    def put(self, descriptor: Descriptor, chunks: Iterable[bytes]) -> None:
        """Keep bytes, checked."""
        self.blobs[str(descriptor.digest)] = b"".join(verified(chunks, descriptor))

    def attach(self, descriptor: Descriptor, raw: bytes) -> None:
        """Keep a manifest that has a subject."""
        self.put(descriptor, [raw])
        subject, entry = described_referrer(descriptor, raw)
        known = self.attached.setdefault(str(subject.digest), [])
        if entry not in known:
            known.append(entry)

    def tag(self, descriptor: Descriptor, name: str, raw: bytes) -> None:
        """Keep a manifest under a name."""
        self.put(descriptor, [raw])
        self.tags[name] = descriptor
