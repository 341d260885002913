"""The one loop that moves artifacts. Pull, push and mirror are this function between two stores."""

from __future__ import annotations

from ebpm.errors import InvalidManifest
from ebpm.oci.content import Content, Progress
from ebpm.oci.crew import Crew
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.manifest import LARGEST, parse_manifest
from ebpm.oci.store import Source, Target, fetch

_DEPTH_LIMIT = 8  # of indexes in indexes
_COUNT_LIMIT = 10_000  # manifests and blobs of one artifact
_BYTES_LIMIT = 64 << 20  # of all its manifests, which are held in memory


def copy(
    source: Source,
    descriptor: Descriptor,
    target: Target,
    name: str | None,
    *,
    progress: Progress | None = None,
) -> Descriptor:
    """Copy an artifact with all that it refers to.

    Children go before their parents and the name comes last, so that an interrupted copy leaves
    nothing that looks whole. What the target has already is not sent again.

    Args:
        source: where it is.
        descriptor: what ``source.resolve`` gave: the name is resolved once, by the caller.
        target: where it goes.
        name: its tag there; None leaves it without one.
        progress: told of bytes.

    Raises:
        EbpmError: whatever reading, checking or writing raises.
    """
    with target.session():
        found = _Walk(source, descriptor)
        here = Crew(target.has).run(found.blobs)
        missing = [blob for blob, has in zip(found.blobs, here, strict=True) if not has]
        if progress:
            progress.start(sum(blob.size for blob in missing))
        _copy_blobs(source, missing, target, progress)
        *children, (_, root) = found.manifests
        for child, raw in children:
            if not target.has(child):
                target.put(child, [raw])
        if name is not None:
            target.tag(descriptor, name, root)
        elif not target.has(descriptor):
            target.put(descriptor, [root])
    return descriptor


class _Walk:
    """All that an artifact refers to: manifests, children first, and blobs, each once."""

    def __init__(self, source: Source, root: Descriptor) -> None:
        self.manifests: list[tuple[Descriptor, bytes]] = []
        self.blobs: list[Descriptor] = []
        self._source = source
        self._root = root
        self._sizes: dict[str, int] = {}  # by digest
        self._met: set[tuple[str, bool]] = set()  # a manifest may be a blob as well
        self._bytes = 0
        self._visit(root, 0)

    def _visit(self, descriptor: Descriptor, depth: int) -> None:
        raw = fetch(self._source, descriptor, LARGEST)
        self._bytes += len(raw)
        if depth > _DEPTH_LIMIT or self._bytes > _BYTES_LIMIT:
            raise self._too_much()
        for child in parse_manifest(raw, descriptor.media_type).children:
            if not self._is_new(child):
                continue
            if child.is_manifest:
                self._visit(child, depth + 1)
            else:
                self.blobs.append(child)
        self.manifests.append((descriptor, raw))

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


def _copy_blobs(
    source: Source, blobs: list[Descriptor], target: Target, progress: Progress | None
) -> None:
    def copy_one(blob: Descriptor) -> None:
        with Content(source, blob, check=crew.check, progress=progress) as content:
            target.put(blob, content)

    crew = Crew(copy_one)
    crew.run(blobs)
