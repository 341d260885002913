"""All that belongs to an artifact: what it refers to, and, if wanted, what refers to it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from ebpm.errors import InvalidManifest, NotFound
from ebpm.oci.crew import Crew
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.manifest import LARGEST, parse_manifest
from ebpm.oci.store import Source, fetch

_DEPTH_LIMIT = 8  # of indexes in indexes, and of referrers of referrers
_COUNT_LIMIT = 10_000  # manifests and blobs of one artifact
_BYTES_LIMIT = 64 << 20  # of all its manifests, which are held in memory


@dataclass(frozen=True, slots=True)
class Found:
    """A manifest that was met: its bytes, what it is about, and the tag that cosign gave it."""

    descriptor: Descriptor
    raw: bytes
    subject: Descriptor | None = None
    tag: str | None = None


class Walk:
    """All manifests, children before their parents and the root last, and all blobs, each once.

    Args:
        source: where the artifact is.
        root: its manifest or index.
        referrers: take manifests along whose subject is one of these, and the tags in which cosign
            keeps signatures, recursively.
        skip: digests that are left out with all that they refer to.

    Raises:
        InvalidManifest: it is malformed, or refers to more than anybody would pack.
        NotFound: a manifest is not there.
    """

    def __init__(
        self,
        source: Source,
        root: Descriptor,
        *,
        referrers: bool = False,
        skip: Collection[str] = (),
    ) -> None:
        self.manifests: list[Found] = []
        self.blobs: list[Descriptor] = []
        self._source = source
        self._root = root
        self._skip = skip
        self._sizes: dict[str, int] = {}  # by digest
        self._met: set[tuple[str, bool]] = set()  # a manifest may be a blob as well
        self._bytes = 0
        self._is_new(root)
        self._visit(root, 0)
        if referrers:
            self._visit_referrers()

    def _visit(self, descriptor: Descriptor, depth: int) -> None:
        raw = fetch(self._source, descriptor, LARGEST)
        self._bytes += len(raw)
        if depth > _DEPTH_LIMIT or self._bytes > _BYTES_LIMIT:
            raise self._too_much()
        manifest = parse_manifest(raw, descriptor.media_type)
        for child in manifest.children:
            if str(child.digest) in self._skip or not self._is_new(child):
                continue
            if child.is_manifest:
                self._visit(child, depth + 1)
            else:
                self.blobs.append(child)
        self.manifests.append(Found(descriptor, raw, manifest.subject))

    def _visit_referrers(self) -> None:
        """Go on from what was met last to what refers to that, until nothing does."""
        core, self.manifests = self.manifests, []
        fresh = core
        for _ in range(_DEPTH_LIMIT):
            before = len(self.manifests)
            described = [one.descriptor for one in fresh]
            for subject, referrers in zip(
                described, Crew(self._source.referrers).run(described), strict=True
            ):
                for one in sorted(referrers, key=lambda one: str(one.digest)):
                    self._visit_referrer(one, subject)
            for tags in Crew(self._source.signature_tags).run(described):
                for tag, one in sorted(tags.items()):
                    self._visit_tagged(one, tag)
            fresh = self.manifests[before:]
            if not fresh:
                self.manifests += core
                return
        raise self._too_much()

    def _visit_referrer(self, descriptor: Descriptor, subject: Descriptor) -> None:
        plain = Descriptor(
            media_type=descriptor.media_type, digest=descriptor.digest, size=descriptor.size
        )
        if not plain.is_manifest or not self._is_new(plain):
            return
        before = len(self.manifests), len(self.blobs)
        try:
            self._visit(plain, 0)
        except NotFound:  # a list that is older than what it lists
            self._forget(*before)
            return
        met = self.manifests[-1].subject
        if met is None or met.digest != subject.digest:  # whoever made the list was wrong
            self._forget(*before)

    def _forget(self, manifests: int, blobs: int) -> None:
        gone = [*(one.descriptor for one in self.manifests[manifests:]), *self.blobs[blobs:]]
        self._met -= {(str(one.digest), one.is_manifest) for one in gone}
        del self.manifests[manifests:], self.blobs[blobs:]

    def _visit_tagged(self, descriptor: Descriptor, tag: str) -> None:
        if self._is_new(descriptor):
            self._visit(descriptor, 0)
        for number, one in enumerate(self.manifests):
            if one.descriptor.digest == descriptor.digest:
                self.manifests[number] = replace(one, tag=tag)

    def _is_new(self, descriptor: Descriptor) -> bool:
        digest = str(descriptor.digest)
        if self._sizes.setdefault(digest, descriptor.size) != descriptor.size:
            raise InvalidManifest(f"{self._root.digest} gives {digest} two sizes")
        key = (digest, descriptor.is_manifest)
        if key in self._met:
            return False
        self._met.add(key)
        if len(self._met) > _COUNT_LIMIT:
            raise self._too_much()
        return True

    def _too_much(self) -> InvalidManifest:
        return InvalidManifest(f"{self._root.digest} refers to more than anybody would pack")
