"""A layout in one file: an uncompressed tar, what skopeo calls ``oci-archive:`` and oras reads too.

It is read where it lies, nothing is unpacked; and written as a whole, the same content always as
the same bytes: names sorted, owner and times zero.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from types import TracebackType
from typing import BinaryIO, Self

from ebpm.cache.blobs import open_regular, sync_folder
from ebpm.cache.layout import Layout
from ebpm.cache.notes import LARGEST_NOTES, NOTES, Notes
from ebpm.cache.referrers import Referrers
from ebpm.errors import (
    BlobNotFound,
    EbpmError,
    InvalidManifest,
    ManifestNotFound,
    OutputFailed,
    TargetNotFound,
)
from ebpm.oci.descriptor import INDEX, Descriptor
from ebpm.oci.digest import Digest
from ebpm.oci.layout import (
    LARGEST_INDEX,
    VERSION_FILE,
    describe_manifest,
    find_entry,
    parse_index,
)
from ebpm.oci.manifest import LARGEST, write_json
from ebpm.oci.store import CHUNK, fetch, verified

_MEMBERS = 1_000_000
_GZIP = b"\x1f\x8b"


class Archive:
    """A layout in a tar, for reading; from several threads, until it is closed.

    Args:
        path: the tar.

    Raises:
        TargetNotFound: it is not there.
        InvalidManifest: it is no tar, or holds no layout.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._file = open_regular(path)
        except OSError as error:
            raise TargetNotFound(f"{path}: {error.strerror}") from None
        try:
            self._members = self._list()
            raw = self.read("index.json", LARGEST_INDEX + 1)
            if raw is None or self.read("oci-layout", CHUNK) is None:
                raise InvalidManifest(f"{path} holds no OCI layout")
            self._entries, self.fields = parse_index(raw)
        except BaseException as error:
            self.close()
            if isinstance(error, ValueError):
                raise InvalidManifest(f"{path}: index.json is damaged: {error}") from None
            raise

    def _list(self) -> dict[str, tuple[int, int]]:
        """Find where the regular files of the tar lie; other members are as if not there."""
        members: dict[str, tuple[int, int]] = {}
        length = os.fstat(self._file.fileno()).st_size
        try:
            with tarfile.open(fileobj=self._file, mode="r:") as tar:
                for member in tar:
                    name = member.name.removeprefix("./")
                    if not member.isreg() or member.sparse is not None:
                        continue
                    if member.offset_data + member.size > length or len(members) > _MEMBERS:
                        raise InvalidManifest(f"{self.path} is cut off, or has too many members")
                    if name in members:
                        raise InvalidManifest(f"{self.path} has two members {name[:200]!r}")
                    members[name] = (member.offset_data, member.size)
        except OSError as error:
            raise InvalidManifest(f"cannot read {self.path}: {error.strerror}") from None
        except (tarfile.TarError, ValueError, OverflowError, EOFError) as error:
            packed = os.pread(self._file.fileno(), 2, 0) == _GZIP
            hint = f"it is packed: gunzip {self.path}" if packed else None
            raise InvalidManifest(f"{self.path} is no tar: {error}", hint=hint) from None
        return members

    def read(self, name: str, limit: int) -> bytes | None:
        """Read a small member, ``limit`` bytes of it at most; None where there is none."""
        if name not in self._members:
            return None
        offset, size = self._members[name]
        return b"".join(self._chunks(offset, min(size, limit)))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @cached_property
    def notes(self) -> Notes:
        """What ebpm wrote of it when it made it."""
        return Notes.read(self.read(NOTES, LARGEST_NOTES), self.path)

    @property
    def left_out(self) -> Collection[str]:
        """Tell which digests it lacks on purpose."""
        return self.notes.left_out

    # --- a source --------------------------------------------------------------------------------

    def entries(self) -> list[Descriptor]:
        """List what the index names, in its order."""
        return self._entries

    def find(self, name: str) -> Descriptor:
        """Find an entry by its name or digest, with the name that it has in the index."""
        try:
            return find_entry(self._entries, name, self.path)
        except ManifestNotFound:
            if "@" not in name:
                raise
        digest = Digest.parse(name.partition("@")[2])
        offset, size = self._where(digest)
        return describe_manifest(
            b"".join(self._chunks(offset, min(size, LARGEST + 1))), digest, name
        )

    def resolve(self, name: str) -> Descriptor:
        """Find what a name or digest means; the only manifest needs no name ("")."""
        return self.find(name).named(None)

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the content is there in full length; its bytes are checked when it is read."""
        try:
            return self._where(descriptor.digest)[1] == descriptor.size
        except BlobNotFound:
            return False

    def open(
        self, descriptor: Descriptor, start: int = 0
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Open a blob or manifest as chunks, which nobody has checked."""
        offset, size = self._where(descriptor.digest)
        return nullcontext(self._chunks(offset + start, max(0, size - start)))

    def referrers(self, descriptor: Descriptor) -> list[Descriptor]:
        """List the manifests whose subject is this one."""
        return self._referrers.of(descriptor)

    def signature_tags(self, descriptor: Descriptor) -> dict[str, Descriptor]:
        """Find the tags in which cosign before version 3 kept what belongs to a manifest."""
        return self._referrers.signature_tags(descriptor)

    @cached_property
    def _referrers(self) -> Referrers:
        return Referrers(self._entries, lambda one: fetch(self, one, LARGEST))

    def blob_size(self, digest: Digest) -> int:
        """Tell how long a blob is; raise BlobNotFound if it is not there."""
        return self._where(digest)[1]

    def blobs(self) -> list[tuple[str, int]]:
        """List all blobs: their digests and sizes."""
        found = []
        for name, (_, size) in self._members.items():
            folder, _, rest = name.partition("/")
            algorithm, _, digits = rest.partition("/")
            try:
                Digest.parse(f"{algorithm}:{digits}")
            except EbpmError:
                continue
            if folder == "blobs":
                found.append((f"{algorithm}:{digits}", size))
        return sorted(found)

    def _where(self, digest: Digest) -> tuple[int, int]:
        name = f"blobs/{digest.algorithm}/{digest.hex}"
        if name not in self._members:
            raise BlobNotFound(f"blob {digest} is not in {self.path}")
        return self._members[name]

    def _chunks(self, offset: int, size: int) -> Iterator[bytes]:
        while size:
            chunk = os.pread(self._file.fileno(), min(size, CHUNK), offset)
            if not chunk:
                return  # cut off since it was opened: whoever checks the bytes will see
            yield chunk
            offset, size = offset + len(chunk), size - len(chunk)


class ArchiveWriter(Layout):
    """A layout that becomes a tar when its ``with`` block ends without an error.

    What is put in lies in a folder beside the tar until then; the tar appears as a whole.

    Args:
        path: the tar; a file that is there is replaced.
        base: an archive whose content becomes part of it: the same file, to add to it.
        known: an archive whose blobs are left out: whoever reads this one has them.
    """

    def __init__(
        self, path: str, base: Archive | None = None, *, known: Archive | None = None
    ) -> None:
        self.path = path
        self._base = base
        self._known = known
        self._extras: dict[str, bytes] = {}
        if os.path.exists(path) and not os.path.isfile(path):
            raise OutputFailed(f"cannot write {path}: it is there, and is no file")
        folder = f"{path}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
        super().__init__(folder)
        Layout.create(folder)

    @classmethod
    def adding_to(cls, path: str) -> Self:
        """Write a tar with what one of that name holds already, if there is one."""
        return cls(path, Archive(path) if os.path.lexists(path) else None)

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the content is in it already."""
        others = (one for one in (self._base, self._known) if one)
        return super().has(descriptor) or any(one.has(descriptor) for one in others)

    def attach_file(self, name: str, data: bytes) -> None:
        """Put a file beside those of the layout, which readers of layouts leave alone."""
        self._extras[name] = data

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._pack()
        finally:
            shutil.rmtree(self.root, ignore_errors=True)
            if self._base:
                self._base.close()

    def _pack(self) -> None:
        temporary = f"{self.root}/whole.tar"
        try:
            with open(temporary, "xb") as file:
                self._fill(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
            sync_folder(os.path.dirname(self.path) or ".")
        except OSError as error:
            raise OutputFailed(f"cannot write {self.path}: {error.strerror}") from None

    def _fill(self, file: BinaryIO) -> None:
        """Write the members; the format is pax only where a name or size needs it."""
        small = {**self._extras, "oci-layout": VERSION_FILE, "index.json": self._index()}
        sizes = {name: len(data) for name, data in small.items()}
        sizes |= {_member(digest): size for digest, size in self._blobs.items()}
        for name in sorted(sizes):
            header = tarfile.TarInfo(name)
            header.size = sizes[name]
            file.write(header.tobuf(tarfile.PAX_FORMAT))
            file.writelines([small[name]] if name in small else self._content(name))
            file.write(bytes(-sizes[name] % tarfile.BLOCKSIZE))
        file.write(bytes(2 * tarfile.BLOCKSIZE))
        file.write(bytes(-file.tell() % tarfile.RECORDSIZE))

    def _index(self) -> bytes:
        own = self.entries()
        names = {one.ref_name for one in own if one.ref_name}
        old = self._base.entries() if self._base else []
        kept = [one for one in old if one.ref_name not in names and one not in own]
        items = sorted((one.to_json() for one in (*kept, *own)), key=write_json)
        fields = self._base.fields if self._base else {}
        return write_json({"schemaVersion": 2, "mediaType": INDEX, **fields, "manifests": items})

    @cached_property
    def _blobs(self) -> dict[str, int]:
        """All that goes into the tar: digests and sizes."""
        found = dict(self._base.blobs()) if self._base else {}
        for algorithm in os.listdir(f"{self.root}/blobs"):
            for digits in os.listdir(f"{self.root}/blobs/{algorithm}"):
                status = os.lstat(f"{self.root}/blobs/{algorithm}/{digits}")
                found[f"{algorithm}:{digits}"] = status.st_size
        return found

    def _content(self, member: str) -> Iterator[bytes]:
        digest = Digest.parse(member.removeprefix("blobs/").replace("/", ":"))
        one = Descriptor(media_type="", digest=digest, size=self._blobs[str(digest)])
        own = super().has(one)
        with super().open(one) if own or not self._base else self._base.open(one) as chunks:
            yield from verified(chunks, one)


def _member(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")
