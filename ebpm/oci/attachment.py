"""Making something that refers to an artifact: files under a manifest with a subject."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ebpm.errors import TargetNotFound, UsageError
from ebpm.oci.descriptor import MANIFEST, Descriptor
from ebpm.oci.digest import Digest
from ebpm.oci.manifest import write_manifest
from ebpm.oci.store import CHUNK, MemoryStore

EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
EMPTY = b"{}"
"""The content of what must be there and says nothing (image-spec v1.1, "Guidance for an Empty
Descriptor"): registries that refuse blobs without bytes take it."""

FILE_TYPE = "application/octet-stream"
_TITLE = "org.opencontainers.image.title"


@dataclass(frozen=True, slots=True)
class File:
    """A file to attach, and what it is."""

    path: str
    media_type: str = FILE_TYPE


class FileStore(MemoryStore):
    """A store whose large blobs are files that are read when they are wanted."""

    def __init__(self) -> None:
        super().__init__()
        self._paths: dict[str, str] = {}

    def add_file(self, file: File) -> Descriptor:
        """Describe a file; its bytes stay where they are.

        Raises:
            TargetNotFound: it cannot be read.
        """
        seen, size = hashlib.sha256(), 0
        with _reading(file.path, 0) as chunks:
            for chunk in chunks:
                seen.update(chunk)
                size += len(chunk)
        digest = Digest("sha256", seen.hexdigest())
        self._paths[str(digest)] = file.path
        title = {_TITLE: Path(file.path).name}
        return Descriptor(media_type=file.media_type, digest=digest, size=size, annotations=title)

    def open(
        self, descriptor: Descriptor, start: int = 0
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Open a file, or bytes."""
        path = self._paths.get(str(descriptor.digest))
        return _reading(path, start) if path else super().open(descriptor, start)


@contextmanager
def _reading(path: str, start: int) -> Iterator[Iterator[bytes]]:
    try:
        with Path(path).open("rb") as file:
            file.seek(start)
            yield iter(lambda: file.read(CHUNK), b"")
    except OSError as error:
        raise TargetNotFound(
            f"cannot read {path}: {error.strerror}", hint="check the path"
        ) from None


def make_attachment(
    subject: Descriptor,
    kind: str,
    files: Sequence[File],
    annotations: Mapping[str, str] | None = None,
) -> tuple[FileStore, Descriptor]:
    """Make a manifest about another one; the same files give the same digest.

    Args:
        subject: what it is about; only its type, digest and size are taken.
        kind: its artifactType.
        files: its layers; without any, the annotations are all that it says.
        annotations: of the manifest.

    Raises:
        UsageError: two files have one name.
        TargetNotFound: a file cannot be read.
    """
    names = [Path(one.path).name for one in files]
    if len(set(names)) < len(names):
        raise UsageError("two files of one name cannot be told apart by who pulls them")
    store = FileStore()
    empty = store.add(EMPTY, Descriptor.of(EMPTY, EMPTY_TYPE))
    layers = [store.add_file(one) for one in files] or [empty]
    about = Descriptor(media_type=subject.media_type, digest=subject.digest, size=subject.size)
    raw = write_manifest(empty, layers, artifact_type=kind, subject=about, annotations=annotations)
    return store, store.add(raw, Descriptor.of(raw, MANIFEST))
