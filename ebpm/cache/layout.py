"""An OCI image layout on disk: our store, or a folder that somebody named with ``oci:``.

Both are valid layouts (image-spec v1.1, image-layout.md), readable by skopeo and oras as they are.
Our store keeps each reference in a file of its own as well, ahead of ``index.json``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Self

from ebpm.cache import blobs, refs
from ebpm.cache.index import Index, change, file_name, is_complete, looks, read_index, write_index
from ebpm.cache.lock import locked
from ebpm.cache.marks import mark, reach
from ebpm.cache.parts import receive
from ebpm.cache.referrers import Referrers
from ebpm.errors import (
    BlobNotFound,
    IntegrityError,
    InvalidManifest,
    InvalidReference,
    ManifestNotFound,
    NotFound,
    StoreUnusable,
)
from ebpm.oci.content import Content
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.digest import Digest
from ebpm.oci.layout import VERSION_FILE, describe_manifest, find_entry, may_be
from ebpm.oci.manifest import LARGEST
from ebpm.oci.store import CHUNK, described_referrer, fetch

_PARTS = {"oci-layout", "index.json", "blobs", "ingest", ".ebpm", "lost+found"}
_STALE = 24 * 3600.0  # seconds after which an abandoned temporary file is nobody's


class Layout:
    """One layout. Reading takes no lock: blobs never change, and the index is replaced as a whole.

    Args:
        root: its folder.
        journal: keep references in files of their own (our store).
        readonly: refuse to write.
    """

    def __init__(self, root: str, *, journal: bool = False, readonly: bool = False) -> None:
        self.root = root
        self.readonly = readonly
        self._journal = journal
        # What is written has to outlast a power cut; a user's folder is as other tools write it.
        self.lasting = journal
        self._subjects: tuple[str, Referrers] | None = None
        # A folder of somebody else's gets no files of ours; only our store has blobs removed while
        # others put artifacts together.
        self._index_lock = f"{root}/.ebpm/index.lock" if journal else f"{root}/oci-layout"
        self._blobs_lock = f"{root}/.ebpm/gc.lock" if journal else None

    @classmethod
    def create(cls, root: str, *, journal: bool = False) -> Self:
        """Open a layout, making what is missing of it.

        Raises:
            StoreUnusable: the folder cannot be written, or holds something else.
        """
        layout = cls(root, journal=journal)
        try:
            # Another process may be just as far as we are, or was killed there.
            if not layout.exists and os.path.isdir(root) and layout._has_foreign_files():
                raise StoreUnusable(
                    f"{root} is not empty and is no OCI layout", hint="name a new or empty folder"
                )
            for folder in ["blobs/sha256", "ingest"] + ([refs.FOLDER] if journal else []):
                os.makedirs(f"{root}/{folder}", exist_ok=True)
            if layout._blobs_lock and not os.path.lexists(layout._blobs_lock):
                for lock in (layout._index_lock, layout._blobs_lock):
                    os.close(os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666))
        except OSError as error:
            raise StoreUnusable(f"cannot create {root}: {error.strerror}") from None
        if not layout.exists:
            blobs.replace_file(f"{root}/oci-layout", VERSION_FILE, f"{root}/ingest", anew=True)
        if not os.path.lexists(f"{root}/index.json"):
            with locked(layout._index_lock):
                if not os.path.lexists(f"{root}/index.json"):
                    write_index(root, read_index(root, journal=journal), journal=journal)
        layout._clean_ingest()
        return layout

    def _has_foreign_files(self) -> bool:
        return not _PARTS.issuperset(os.listdir(self.root))

    @property
    def exists(self) -> bool:
        """Whether the folder holds a layout."""
        return os.path.exists(f"{self.root}/oci-layout")

    @property
    def left_out(self) -> Collection[str]:
        """Tell which digests it lacks on purpose: a layout lacks none."""
        return ()

    # --- reading ---------------------------------------------------------------------------------

    def entries(self) -> list[Descriptor]:
        """List what the index names, in its order.

        Raises:
            InvalidManifest: index.json is damaged, and nothing is there to rebuild it from.
        """
        return read_index(self.root, journal=self._journal).entries

    def resolve(self, name: str) -> Descriptor:
        """Find what a name or digest names; a layout's only manifest needs no name ("")."""
        if self._journal and (data := refs.read_ref(self.root, name)):
            return Descriptor.from_json(data)
        return self.find(name).named(None)

    def lookup(self, name: str) -> Descriptor | None:
        """Do :meth:`resolve`, or give None; in our store that costs the same however many names."""
        here = os.path.lexists(refs.ref_path(self.root, name))
        if self._journal and not here and "@" not in name and is_complete(self.root):
            return None
        try:
            return self.resolve(name)
        except NotFound:
            return None

    def find(self, name: str) -> Descriptor:
        """Find an entry of the index as :meth:`resolve` does, with the name that it has there."""
        try:
            return find_entry(self.entries(), name, self.root)
        except ManifestNotFound:
            if "@" not in name:
                raise
            return self._resolve_digest(name)

    def _resolve_digest(self, name: str) -> Descriptor:
        """Find ``NAME@DIGEST``: a manifest that is here, whatever names it has."""
        digest = Digest.parse(name.partition("@")[2])
        try:
            with blobs.open_blob(self.root, str(digest)) as file:
                raw = file.read(LARGEST + 1)
        except BlobNotFound:
            raise ManifestNotFound(f"{name}: not in {self.root}") from None
        return describe_manifest(raw, digest, name)

    @contextmanager
    def open(self, descriptor: Descriptor, start: int = 0) -> Iterator[Iterator[bytes]]:
        """Open a blob or manifest as chunks."""
        with blobs.open_blob(self.root, str(descriptor.digest)) as file:
            file.seek(start)
            yield blobs.read_chunks(file, CHUNK)

    def referrers(self, descriptor: Descriptor) -> list[Descriptor]:
        """List the manifests whose subject is this one."""
        return self._referrers().of(descriptor)

    def signature_tags(self, descriptor: Descriptor) -> dict[str, Descriptor]:
        """Find the tags in which cosign before version 3 kept what belongs to a manifest."""
        return self._referrers().signature_tags(descriptor)

    def _referrers(self) -> Referrers:
        """Read what refers to what: once, as long as the index stays the same."""
        look = looks(self.root)
        if self._subjects is None or not look or self._subjects[0] != look:
            entries = self.entries()
            self._subjects = look, Referrers(entries, lambda one: fetch(self, one, LARGEST))
        return self._subjects[1]

    def blob_size(self, digest: Digest) -> int:
        """Tell how long a blob is; raise BlobNotFound if it is not there."""
        with blobs.open_blob(self.root, str(digest)) as file:
            return os.fstat(file.fileno()).st_size

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the content is there and undamaged; what is damaged gets written again.

        What is there counts as new for the collection of garbage: whoever asks is about to name it.
        """
        sound = blobs.is_sound(self.root, str(descriptor.digest), descriptor.size)
        if sound and self._journal and not self.readonly:
            blobs.renew(self.root, str(descriptor.digest))
        return sound

    # --- writing ---------------------------------------------------------------------------------

    def session(self) -> AbstractContextManager[object]:
        """Hold off the removal of blobs while an artifact is being put together."""
        return self._held(shared=True)

    def _held(self, *, shared: bool = False) -> AbstractContextManager[None]:
        """Lock what blobs there are."""
        return locked(self._blobs_lock, shared=shared) if self._blobs_lock else nullcontext()

    def put(
        self, descriptor: Descriptor, chunks: Iterable[bytes], *, lasting: bool | None = None
    ) -> None:
        """Write content; it appears under its name when it is whole and right.

        Unless it is to be ``lasting``, the caller sees to it that a power cut does not take it.
        """
        self._writable()
        lasting = self.lasting if lasting is None else lasting
        if isinstance(chunks, Content):
            receive(self.root, chunks, descriptor, lasting=lasting)
        else:
            digest, size = str(descriptor.digest), descriptor.size
            blobs.ingest(self.root, chunks, digest, size, lasting=lasting)

    def attach(self, descriptor: Descriptor, raw: bytes) -> None:
        """Put a manifest that has a subject, and an entry without a name for it."""
        _, entry = described_referrer(descriptor, raw)
        if not self.has(descriptor):
            self.put(descriptor, [raw])
        self._writable()
        with locked(self._index_lock):
            index = read_index(self.root, journal=self._journal)
            if any(one.ref_name is None and one.digest == entry.digest for one in index.entries):
                return
            index.entries.append(entry)
            self._write(index, [entry])

    def tag(self, descriptor: Descriptor, name: str, raw: bytes) -> None:
        """Put a manifest under a name, which leaves whatever had it."""
        if not self.has(descriptor):
            self.put(descriptor, [raw])
        self.tag_all({name: descriptor})

    def tag_all(self, named: dict[str, Descriptor], referrers: Iterable[Descriptor] = ()) -> None:
        """Give many names in one step; a name with a digest can only be given to that.

        Args:
            named: descriptors of manifests that are here, by name.
            referrers: entries without a name for manifests that have a subject.
        """
        self._writable()
        for name, descriptor in named.items():
            if not may_be(name, descriptor):
                raise InvalidReference(f"{name} can be nothing but that, not {descriptor.digest}")
        with locked(self._index_lock):
            index = read_index(self.root, journal=self._journal)
            kept = [one for one in index.entries if one.ref_name not in named]
            fresh = [one.named(name) for name, one in named.items()]
            known = {str(one.digest) for one in kept if one.ref_name is None}
            fresh += [one for one in referrers if str(one.digest) not in known]
            self._write(Index([*kept, *fresh], index.fields), fresh)

    def _write(
        self, index: Index, fresh: Iterable[Descriptor] = (), gone: Iterable[Descriptor] = ()
    ) -> None:
        """Write the index, each new name ahead of it; the caller holds the lock."""
        complete = is_complete(self.root)
        if self.lasting:
            blobs.settle(self.root)
        change(self.root)
        if self._journal:
            for one in gone:
                refs.remove_ref(self.root, file_name(one))
            # What other tools added gets a file of its own as well.
            new = [] if complete else [one for one in index.entries if self._lacks_file(one)]
            files = {file_name(one): one.named(None).to_json() for one in (*new, *fresh)}
            refs.write_refs(self.root, files)
        write_index(self.root, index, journal=self._journal)

    def _lacks_file(self, entry: Descriptor) -> bool:
        name = entry.ref_name
        return name is not None and not os.path.lexists(refs.ref_path(self.root, name))

    def untag(self, name: str) -> Descriptor:
        """Take a name away, and remove the content that nothing else refers to.

        Raises:
            ManifestNotFound: no such name.
        """
        with self.alone() as index:
            gone = [one for one in index.entries if one.ref_name == name]
            if not gone:
                raise ManifestNotFound(f"{name}: not in {self.root}")
            index.entries = [one for one in index.entries if one.ref_name != name]
            self._drop(index, gone)
        return gone[-1].named(None)

    @contextmanager
    def alone(self) -> Iterator[Index]:
        """Keep everybody else from putting blobs together and from naming; give the index."""
        self._writable()
        with self._held(), locked(self._index_lock):
            yield read_index(self.root, journal=self._journal)

    def name(self, index: Index, left: list[Descriptor], gone: Iterable[Descriptor]) -> None:
        """Leave only some entries in the index; the caller is :meth:`alone`."""
        index.entries = left
        self._write(index, gone=gone)

    def pin(self, name: str, *, pinned: bool) -> None:
        """Keep a name from quotas, or no longer.

        Raises:
            ManifestNotFound: no such name.
        """
        self._writable()
        with locked(self._index_lock):
            used = refs.last_use(self.root, name)
            refs.pin(self.root, name, pinned=pinned)
            refs.touch(self.root, name, used)

    def _drop(self, index: Index, gone: list[Descriptor]) -> None:
        """Write an index that lacks some names, and remove what only they needed.

        The caller is :meth:`alone`.
        """
        reached: dict[str, int] = {}
        for one in gone:
            reach(self, one, reached, strict=False)
        try:
            marks = mark(self, index.entries)
        except (IntegrityError, InvalidManifest):
            marks = None  # what a damaged manifest needs is not known: rather keep too much
        dead = marks.dead if marks else []
        index.entries = [one for one in index.entries if one not in dead]
        for one in dead:
            reach(self, one, reached, strict=False)
        self._write(index, gone=(*gone, *dead))
        if marks:
            for digest in reached.keys() - marks.live.keys():
                blobs.discard(blobs.blob_path(self.root, digest))

    def _clean_ingest(self) -> None:
        """Remove temporary files that a killed process left long ago."""
        folder = f"{self.root}/ingest"
        now = time.time()
        for name in os.listdir(folder):
            try:
                if now - os.lstat(f"{folder}/{name}").st_mtime > _STALE:
                    os.unlink(f"{folder}/{name}")
            except OSError:
                continue  # another process was quicker, or it is not ours

    def _writable(self) -> None:
        if self.readonly:
            raise StoreUnusable(f"{self.root} is another user's store: it is only read")
