"""What refers to a manifest of a layout: entries of ``index.json`` without a name, as oras has it.

The specification of layouts says nothing of referrers. Folders that others wrote may have the index
under the tag ``sha256-<hex>`` as well, which registries without a list of referrers have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ebpm.errors import IntegrityError, InvalidManifest, NotFound
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.manifest import Index, parse_manifest
from ebpm.oci.store import described_referrer, signature_tag_names

Read = Callable[[Descriptor], bytes]


class Referrers:
    """What refers to what among a layout's entries.

    Args:
        entries: of its index.
        read: gives a manifest's bytes, checked.
    """

    def __init__(self, entries: Iterable[Descriptor], read: Read) -> None:
        self._read = read
        self._tagged: dict[str, list[Descriptor]] = {}
        self._about: dict[str, dict[str, Descriptor]] = {}  # by the subject, then its own digest
        for one in entries:
            if one.ref_name:
                self._tagged.setdefault(_tag_of(one.ref_name), []).append(one)
            elif one.is_manifest:
                self._note(one)

    def of(self, subject: Descriptor) -> list[Descriptor]:
        """Find the referrers of a manifest."""
        listed = f"{subject.digest.algorithm}-{subject.digest.hex[:64]}"
        for one in self._tagged.get(listed, []):
            try:
                index = parse_manifest(self._read(one), one.media_type)
            except (NotFound, InvalidManifest, IntegrityError):
                continue
            for child in index.manifests if isinstance(index, Index) else ():
                self._note(child)
        return list(self._about.get(str(subject.digest), {}).values())

    def _note(self, one: Descriptor) -> None:
        plain = Descriptor(media_type=one.media_type, digest=one.digest, size=one.size)
        try:
            about, described = described_referrer(plain, self._read(plain))
        except (NotFound, InvalidManifest, IntegrityError):
            return  # gone, or damaged, or about nothing
        self._about.setdefault(str(about.digest), {})[str(one.digest)] = described

    def signature_tags(self, subject: Descriptor) -> dict[str, Descriptor]:
        """Find cosign's tags for a manifest."""
        names = signature_tag_names(subject)
        return {tag: self._tagged[tag][-1].named(None) for tag in names if tag in self._tagged}


def _tag_of(name: str) -> str:
    """Take the tag out of a name, which may be a whole reference or just that."""
    last = name.partition("@")[0].rpartition("/")[2]
    return last.partition(":")[2] or last
