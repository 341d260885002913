"""Removing what nobody needs; only when somebody asks for it, never on the way of a pull."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ebpm.cache import blobs, refs
from ebpm.cache.layout import Layout
from ebpm.cache.lock import try_lock
from ebpm.cache.marks import mark, reach
from ebpm.errors import StoreUnusable
from ebpm.oci.descriptor import Descriptor

GRACE = 24 * 3600.0
"""Seconds that what nothing names is kept: another tool may be about to name it."""


@dataclass(slots=True)
class Removal:
    """What a collection removed, or would remove: names, and files with their bytes."""

    names: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    size: int = 0

    def add(self, path: str, size: int) -> None:
        """Count a file."""
        self.files.append(path)
        self.size += size


def collect(
    store: Layout,
    *,
    grace: float = GRACE,
    max_age: float | None = None,
    max_size: int | None = None,
    dry_run: bool = False,
) -> Removal:
    """Remove blobs that no name needs, and what interrupted commands left.

    A pinned name stays whatever the quotas say.

    Args:
        store: ours.
        grace: seconds for which files without a name are kept.
        max_age: names that were neither written nor run for so many seconds go as well.
        max_size: bytes; while the blobs in use are more, the name goes that was used longest ago.
        dry_run: only tell.

    Raises:
        IntegrityError, InvalidManifest: a manifest is damaged, so nobody knows what it needs.
        StoreLocked: somebody pulls, all the time.
    """
    removal = Removal()
    now = time.time()
    with store.alone() as index:
        gone = _over_quota(store, index.entries, now, max_age, max_size)
        left = [one for one in index.entries if one not in gone]
        marks = mark(store, left)
        dead = [*gone, *marks.dead]
        removal.names = sorted(one.ref_name or f"@{one.digest}" for one in dead)
        if dead and not dry_run:
            store.name(index, left=[one for one in left if one not in marks.dead], gone=dead)
        freed: dict[str, int] = {}
        for one in dead:
            reach(store, one, freed, strict=False)
        for digest, status in _blobs(store.root):
            young = now - status.st_mtime < grace and digest not in freed
            if digest not in marks.live and not young:
                _remove(removal, blobs.blob_path(store.root, digest), status.st_size, dry_run)
        for path, status in _leftovers(store.root):
            if now - status.st_mtime >= grace and _is_free(path):
                _remove(removal, path, status.st_size, dry_run)
    return removal


def _over_quota(
    store: Layout,
    entries: Iterable[Descriptor],
    now: float,
    max_age: float | None,
    max_size: int | None,
) -> list[Descriptor]:
    """Choose the names that have to go."""
    named = [one for one in entries if one.ref_name]
    used = {str(one.ref_name): refs.last_use(store.root, str(one.ref_name)) for one in named}
    free = [one for one in named if not refs.is_pinned(store.root, str(one.ref_name))]
    free.sort(key=lambda one: used[str(one.ref_name)])
    gone: list[Descriptor] = []
    if max_age is not None:
        gone = [one for one in free if now - used[str(one.ref_name)] > max_age]
        free = [one for one in free if one not in gone]
    if max_size is not None:
        gone += _oldest(store, [one for one in entries if one not in gone], free, max_size)
    return gone


def _oldest(
    store: Layout, entries: list[Descriptor], free: list[Descriptor], max_size: int
) -> list[Descriptor]:
    """Choose from the front of ``free`` until what the other entries need is small enough."""
    needs = {id(one): reach(store, one, {}, strict=False) for one in entries}
    sizes: dict[str, int] = {}
    count: dict[str, int] = {}
    for need in needs.values():
        sizes |= need
        for digest in need:
            count[digest] = count.get(digest, 0) + 1
    total = sum(sizes.values())
    gone = []
    for one in free:
        if total <= max_size:
            break
        gone.append(one)
        for digest in needs[id(one)]:
            count[digest] -= 1
            total -= 0 if count[digest] else sizes[digest]
    return gone


def _blobs(root: str) -> Iterator[tuple[str, os.stat_result]]:
    for algorithm in ("sha256", "sha512"):
        for name, status in scan(f"{root}/blobs/{algorithm}"):
            if blobs.is_digest(f"{algorithm}:{name}"):
                yield f"{algorithm}:{name}", status


def _leftovers(root: str) -> Iterator[tuple[str, os.stat_result]]:
    for folder in (f"{root}/ingest", f"{root}/{blobs.QUARANTINE}"):
        for name, status in scan(folder):
            yield f"{folder}/{name}", status


def scan(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """Walk the files of a folder by name; the folder may be missing, and files may go meanwhile.

    Raises:
        StoreUnusable: it cannot be read.
    """
    try:
        for name in sorted(os.listdir(folder)):
            try:
                yield name, os.lstat(f"{folder}/{name}")
            except FileNotFoundError:
                continue  # another process has finished it, or removed it
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreUnusable(f"cannot read {folder}: {error.strerror}") from None


def _is_free(path: str) -> bool:
    """Whether no process writes a part of a blob there."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return True
    try:
        return try_lock(fd, path)
    finally:
        os.close(fd)


def _remove(removal: Removal, path: str, size: int, dry_run: bool) -> None:
    if not dry_run:
        blobs.discard(path)
        if os.path.lexists(path):
            raise StoreUnusable(f"cannot remove {path}")
    removal.add(path, size)
