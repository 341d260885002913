"""What the files of an image layout say, wherever they lie (image-spec v1.1, image-layout.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ebpm.errors import DigestMismatch, InvalidManifest, ManifestNotFound
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.digest import Digest
from ebpm.oci.manifest import media_type_of, parse_manifest
from ebpm.plainjson import loads

VERSION_FILE = b'{"imageLayoutVersion":"1.0.0"}'
"""The file ``oci-layout``."""

LARGEST_INDEX = 64 << 20
"""Bytes that an index.json may have: some 200,000 names."""


def parse_index(raw: bytes) -> tuple[list[Descriptor], dict[str, Any]]:
    """Read an index.json: its entries in their order, and what else it says.

    Raises:
        ValueError, InvalidManifest: it is none.
    """
    data = loads(raw)
    if len(raw) > LARGEST_INDEX or not isinstance(data, dict):
        raise ValueError("it is no object, or larger than any")
    items = data.pop("manifests", None)
    if not isinstance(items, list):
        raise ValueError("it has no list of manifests")
    return [Descriptor.from_json(item) for item in items], data


def may_be(name: str, descriptor: Descriptor) -> bool:
    """Whether a name fits: one that ends in a digest is good for that digest alone."""
    _, pinned, digest = name.partition("@")
    return not pinned or digest == str(descriptor.digest)


def find_entry(entries: Sequence[Descriptor], name: str, place: str) -> Descriptor:
    """Find what a name or digest means among a layout's entries; the last of equals counts.

    The only entry needs no name ("").

    Raises:
        ManifestNotFound: nothing has that name in ``place``; the hint lists what there is.
    """
    named = [one for one in entries if name in (one.ref_name, str(one.digest))]
    named = [one for one in named if may_be(name, one)]
    if not named and not name:  # what refers to it may have an entry as well
        candidates = [one for one in entries if _is_main(one)] or list(entries)
        named = candidates if len(candidates) == 1 else []
    if not named:
        known = ", ".join(one.ref_name for one in entries if one.ref_name) or "nothing"
        raise ManifestNotFound(f"{name or 'no name'}: not in {place}", hint=f"it has {known[:500]}")
    return named[-1]


def _is_main(entry: Descriptor) -> bool:
    """Whether an entry is there for itself: it has a name, and not that of a signature."""
    tag = (entry.ref_name or "").partition("@")[0].rpartition("/")[2].rpartition(":")[2]
    return bool(entry.ref_name) and not tag.startswith(("sha256-", "sha512-"))


def describe_manifest(raw: bytes, digest: Digest, name: str) -> Descriptor:
    """Describe a manifest of which only the digest was known.

    Raises:
        ManifestNotFound: the bytes are no manifest.
        DigestMismatch: they are not the ones of the digest.
    """
    try:
        media_type = media_type_of(raw)
        parse_manifest(raw, media_type)
    except InvalidManifest:
        raise ManifestNotFound(f"{name} is not a manifest") from None
    if Digest.of(raw, digest.algorithm) != digest:
        raise DigestMismatch(f"manifest {digest} does not hash to its name: it is damaged")
    return Descriptor(media_type=media_type, digest=digest, size=len(raw))
