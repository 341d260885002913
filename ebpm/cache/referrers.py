"""What refers to a manifest of a layout: entries of ``index.json`` without a name, as oras has it.

The specification of layouts says nothing of referrers. Folders that others wrote may have the index
under the tag ``sha256-<hex>`` as well, which registries without a list of referrers have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ebpm.errors import IntegrityError, InvalidManifest, NotFound
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.manifest import Index, parse_manifest
from ebpm.oci.store import described_referrer, signature_tag_names

Read = Callable[[Descriptor], bytes]


def find_referrers(
    entries: Iterable[Descriptor], subject: Descriptor, read: Read
) -> list[Descriptor]:
    """Find the referrers of a manifest among a layout's entries.

    Args:
        entries: of its index.
        subject: what they refer to.
        read: gives a manifest's bytes, checked.
    """
    found: dict[str, Descriptor] = {}
    for one in _candidates(entries, subject, read):
        plain = Descriptor(media_type=one.media_type, digest=one.digest, size=one.size)
        try:
            about, described = described_referrer(plain, read(plain))
        except (NotFound, InvalidManifest, IntegrityError):
            continue  # gone, or damaged: nothing is known of it
        if about.digest == subject.digest:
            found[str(one.digest)] = described
    return list(found.values())


def _candidates(
    entries: Iterable[Descriptor], subject: Descriptor, read: Read
) -> Iterator[Descriptor]:
    listed = f"{subject.digest.algorithm}-{subject.digest.hex[:64]}"
    for one in entries:
        if one.ref_name is None:
            if one.is_manifest:
                yield one
        elif _tag_of(one.ref_name) == listed:
            try:
                index = parse_manifest(read(one), one.media_type)
            except (NotFound, InvalidManifest, IntegrityError):
                continue
            if isinstance(index, Index):
                yield from index.manifests


def find_signature_tags(
    entries: Iterable[Descriptor], subject: Descriptor
) -> dict[str, Descriptor]:
    """Find cosign's tags for a manifest among a layout's entries."""
    names = signature_tag_names(subject)
    tagged = ((_tag_of(one.ref_name), one) for one in entries if one.ref_name)
    return {tag: one.named(None) for tag, one in tagged if tag in names}


def _tag_of(name: str) -> str:
    """Take the tag out of a name, which may be a whole reference or just that."""
    last = name.partition("@")[0].rpartition("/")[2]
    return last.partition(":")[2] or last
