"""Looking at every byte of a store: what is damaged, what is missing, and how large it all is."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

from ebpm.cache import blobs, refs
from ebpm.cache.gc import scan
from ebpm.cache.layout import Layout
from ebpm.cache.marks import reach
from ebpm.errors import BlobNotFound, IntegrityError, InvalidManifest
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.manifest import Index
from ebpm.oci.store import fetch_manifest


@dataclass(slots=True)
class Findings:
    """What is wrong with a store."""

    checked: int = 0  # blobs
    damaged: list[str] = field(default_factory=list)  # digests
    missing: list[str] = field(default_factory=list)  # digests that a name needs
    names: dict[str, list[str]] = field(default_factory=dict)  # digests that are wrong, by name

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.damaged and not self.missing


def verify(store: Layout) -> Findings:
    """Hash every blob, and look whether each name has all that it needs."""
    found = Findings()
    sizes: dict[str, int] = {}
    for algorithm in ("sha256", "sha512"):
        for name, status in scan(f"{store.root}/blobs/{algorithm}"):
            digest = f"{algorithm}:{name}"
            if not blobs.is_digest(digest):
                continue
            found.checked += 1
            sizes[digest] = status.st_size
            if blobs.is_sound(store.root, digest, status.st_size):
                continue
            if os.path.lexists(blobs.blob_path(store.root, digest)):
                found.damaged.append(digest)
            else:
                del sizes[digest]  # another process has removed it
    bad = set(found.damaged)
    missing: set[str] = set()
    for one in store.entries():
        wrong = set()
        absent = absent_platforms(store, one)
        for digest, size in reach(store, one, {}, strict=False).items():
            if digest in absent:
                continue
            if digest in bad:
                wrong.add(digest)
            elif sizes.get(digest) != size:
                wrong.add(digest)
                missing.add(digest)
        if wrong:
            found.names[one.ref_name or f"@{one.digest}"] = sorted(wrong)
    found.missing = sorted(missing)
    return found


def absent_platforms(store: Layout, root: Descriptor) -> set[str]:
    """Tell which manifests of an index are not here, where at least one is: that is no damage.

    Who imports a bundle for one platform has the index as it was signed, and no other object.
    """
    try:
        found = fetch_manifest(store, root) if root.is_manifest else None
    except (BlobNotFound, IntegrityError, InvalidManifest):
        return set()
    if not isinstance(found, Index):
        return set()
    absent = {
        str(one.digest)
        for one in found.manifests
        if not os.path.lexists(blobs.blob_path(store.root, str(one.digest)))
    }
    return absent if len(absent) < len({str(one.digest) for one in found.manifests}) else set()


def quarantine_damaged(store: Layout, root: Descriptor) -> None:
    """Quarantine what a manifest reaches and whose bytes are not its own."""
    for digest, size in reach(store, root, {}, strict=False).items():
        there = os.path.lexists(blobs.blob_path(store.root, digest))
        if there and not blobs.is_sound(store.root, digest, size):
            quarantine(store.root, digest)


def quarantine(root: str, digest: str) -> None:
    """Move a damaged blob out of the way, where it can still be looked at."""
    path = blobs.blob_path(root, digest)
    folder = f"{root}/{blobs.QUARANTINE}"
    try:
        os.makedirs(folder, exist_ok=True)
        os.rename(path, f"{folder}/{os.path.basename(path)}.{int(time.time())}")
    except FileNotFoundError:
        return  # another process did so
    except OSError as error:
        raise blobs.unusable(root, error) from None


@dataclass(slots=True)
class Name:
    """A name, and the bytes that it needs: in all, and those that no other name needs."""

    reference: str
    size: int
    own: int
    pinned: bool
    used: float  # seconds since 1970


@dataclass(slots=True)
class Usage:
    """Where the bytes of a store are."""

    names: list[Name]
    blobs: int  # bytes of all blobs
    unused: int  # of those that nothing needs
    parts: int  # of downloads that are not complete, and other temporary files
    quarantine: int


def usage(store: Layout) -> Usage:
    """Measure a store; content is neither read nor hashed, but for manifests."""
    needed: dict[str, dict[str, int]] = {}
    for one in store.entries():
        name = one.ref_name or f"@{one.digest}"
        needed[name] = reach(store, one, {}, strict=False)
    count: dict[str, int] = {}
    for sizes in needed.values():
        for digest in sizes:
            count[digest] = count.get(digest, 0) + 1
    total = {
        f"{algorithm}:{name}": status.st_size
        for algorithm in ("sha256", "sha512")
        for name, status in scan(f"{store.root}/blobs/{algorithm}")
    }
    return Usage(
        names=[_name(store, name, sizes, count) for name, sizes in sorted(needed.items())],
        blobs=sum(total.values()),
        unused=sum(size for digest, size in total.items() if digest not in count),
        parts=_size(f"{store.root}/ingest"),
        quarantine=_size(f"{store.root}/{blobs.QUARANTINE}"),
    )


def _name(store: Layout, name: str, sizes: dict[str, int], count: dict[str, int]) -> Name:
    return Name(
        reference=name,
        size=sum(sizes.values()),
        own=sum(size for digest, size in sizes.items() if count[digest] == 1),
        pinned=refs.is_pinned(store.root, name),
        used=refs.last_use(store.root, name),
    )


def _size(folder: str) -> int:
    return sum(status.st_size for _, status in scan(folder))
