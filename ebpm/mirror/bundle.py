"""Bundles: packages with all that belongs to them in one file, for machines without a network.

A bundle is a layout in a tar (:mod:`ebpm.cache.archive`) with one file more, ``.ebpm/bundle.json``,
which says what was left out of it and why. The same content makes the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ebpm.cache.archive import Archive, ArchiveWriter
from ebpm.cache.batch import Batch
from ebpm.cache.layout import Layout
from ebpm.cache.notes import NOTES, Notes
from ebpm.errors import BlobNotFound, InvalidManifest, ManifestNotFound
from ebpm.oci.content import Progress
from ebpm.oci.copy import copy
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.digest import Digest
from ebpm.oci.layout import LARGEST_INDEX
from ebpm.oci.manifest import Index
from ebpm.oci.overlay import Overlay
from ebpm.oci.platform import Platform
from ebpm.oci.store import Source, fetch_manifest, verified
from ebpm.oci.walk import Walk

_MANY = 32  # names


@dataclass(frozen=True, slots=True)
class Item:
    """An artifact, where it is, and the name under which it travels."""

    name: str
    source: Source
    root: Descriptor
    left_out: Sequence[str] = ()  # digests that the source lacks on purpose


def export(
    items: Iterable[Item],
    path: str,
    *,
    platforms: Sequence[Platform] = (),
    base: str | None = None,
    lock: dict[str, Any] | None = None,
    progress: Progress | None = None,
) -> Notes:
    """Write a bundle with some artifacts and what refers to them.

    Args:
        items: the artifacts.
        path: the tar; what is there is replaced.
        platforms: of indexes only these; all if there are none. An index itself stays as it is, so
            that its digest and its signatures hold.
        base: a bundle that the receiver has; its blobs are left out.
        lock: a lock file that goes along.
        progress: told of bytes.
    """
    notes = Notes(lock=lock)
    known = Archive(base) if base else None
    try:
        if known:
            notes.base = index_digest(known)
        with ArchiveWriter(path, known=known) as target:
            batch = Batch(target)  # the index is written once, and not for each name
            for item in items:
                skip = unwanted(item.source, item.root, platforms) | set(item.left_out)
                notes.left_out |= skip
                copy(
                    *(item.source, item.root, batch, item.name),
                    referrers=True,
                    skip=skip,
                    progress=progress,
                )
            batch.commit()
            target.attach_file(NOTES, notes.write())
    finally:
        if known:
            known.close()
    return notes


def index_digest(archive: Archive) -> str:
    """Tell what a bundle's index.json hashes to: what names the bundle as a base."""
    return str(Digest.of(archive.read("index.json", LARGEST_INDEX) or b""))


def unwanted(source: Source, root: Descriptor, platforms: Sequence[Platform]) -> set[str]:
    """Tell which manifests of an index are for none of some platforms; none are no choice.

    Raises:
        ManifestNotFound: nothing would be left.
    """
    if not platforms:
        return set()
    found = fetch_manifest(source, root)
    if not isinstance(found, Index):
        return set()
    wanted = {str(one.digest) for one in found.manifests if one.platform in (None, *platforms)}
    if not wanted:
        names = ", ".join(sorted({str(one.platform) for one in found.manifests}))
        raise ManifestNotFound(
            f"{root.digest} has nothing for {', '.join(map(str, platforms))}",
            hint=f"it has {names}",
        )
    return {str(one.digest) for one in found.manifests} - wanted


def import_bundle(
    archive: Archive, store: Layout, *, progress: Progress | None = None
) -> dict[str, Descriptor]:
    """Put all that a bundle names into a store; tell the names.

    Every byte is hashed, and it is made sure that nothing lacks, before the store is touched; then
    the content is copied, and all names are given in one step.

    Raises:
        IntegrityError, InvalidManifest: the bundle is damaged.
        BlobNotFound: it lacks something: the bundle that it is based on comes first.
    """
    notes = archive.notes
    entries = [one for one in archive.entries() if one.ref_name]
    if not entries:
        raise InvalidManifest(f"{archive.path} names nothing")
    source = Overlay(archive, [store])
    _check_blobs(archive)
    with store.session():
        for one in _unique(entries):
            _check_complete(archive, source, store, one, notes)
        batch = Batch(store, large=len(entries) > _MANY)
        copied: set[str] = set()
        for one in entries:
            root, name = one.named(None), str(one.ref_name)
            if str(one.digest) in copied:
                batch.name(root, name)
                continue
            copied.add(str(one.digest))
            copy(source, root, batch, name, referrers=True, skip=notes.left_out, progress=progress)
        return batch.commit()


def _unique(entries: Iterable[Descriptor]) -> Iterable[Descriptor]:
    return {str(one.digest): one.named(None) for one in entries}.values()


def _check_blobs(archive: Archive) -> None:
    for digest, size in archive.blobs():
        one = Descriptor(media_type="", digest=Digest.parse(digest), size=size)
        with archive.open(one) as chunks:
            for _ in verified(chunks, one):
                pass


def _check_complete(
    archive: Archive, source: Source, store: Layout, root: Descriptor, notes: Notes
) -> None:
    """Make sure that all that a name needs is in the bundle or in the store."""
    try:
        found = Walk(source, root, referrers=True, skip=notes.left_out)
        for blob in found.blobs:
            if not archive.has(blob) and not store.has(blob):
                raise BlobNotFound(f"blob {blob.digest} is neither in {archive.path} nor here")
    except BlobNotFound as error:
        hint = "import the bundle that it is based on first" if notes.base else None
        raise BlobNotFound(error.message, hint=hint) from None
