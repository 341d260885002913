"""Blobs that arrive in parts: one download for all processes, taken up where it was broken off."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from ebpm.cache.blobs import (
    Hashed,
    blob_path,
    discard,
    ingest,
    is_sound,
    keep,
    read_chunks,
    unusable,
)
from ebpm.cache.lock import try_lock
from ebpm.errors import IntegrityError
from ebpm.oci.content import Content
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.store import CHUNK

_STEP = 0.02  # seconds between looks at what another process does
_PATIENCE = 20.0  # seconds without a byte, after which a download of our own is begun


def receive(root: str, content: Content, descriptor: Descriptor, *, lasting: bool = True) -> None:
    """Write a blob; what an interrupted download left of it is hashed again and used.

    Args:
        root: the layout.
        content: the blob.
        descriptor: what it is.
        lasting: it is to outlast a power cut.

    Raises:
        SizeMismatch, DigestMismatch: the content is not the blob; nothing is kept of it.
        StoreUnusable: the disk is full, or the folder is not writable.
    """
    digest, size = str(descriptor.digest), descriptor.size
    path = blob_path(root, digest)
    part = f"{root}/ingest/{os.path.basename(path)}.part"
    try:
        os.makedirs(os.path.dirname(part), exist_ok=True)
        with _held(part) as file:
            if file is None:
                ingest(root, content, digest, size, lasting=lasting)
            elif is_sound(root, digest, size):
                discard(part)  # the process that we waited for has brought it
            else:
                _complete(file, content, digest, size, part)
                keep(file, part, path, lasting=lasting)
    except OSError as error:
        raise unusable(root, error) from None


@contextmanager
def _held(part: str) -> Iterator[BinaryIO | None]:
    """Open a part that no other process writes to; None if another does, and makes no progress."""
    seen, since = -1, time.monotonic()
    while True:
        try:
            fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except PermissionError:
            # Finished, and read-only already on the way to its name; root would not be refused.
            writable = os.access(os.path.dirname(part), os.W_OK | os.X_OK, effective_ids=True)
            if not writable or time.monotonic() - since > _PATIENCE:
                raise
            time.sleep(_STEP)
            continue
        with os.fdopen(fd, "r+b") as file:
            if try_lock(fd, part):
                if _is_at(part, fd):
                    yield file
                    return
                continue  # it was finished or given up between the two calls
            size = os.fstat(fd).st_size
        if size != seen:
            seen, since = size, time.monotonic()
        elif time.monotonic() - since > _PATIENCE:
            yield None
            return
        time.sleep(_STEP)


def _is_at(path: str, fd: int) -> bool:
    try:
        there = os.lstat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(fd))


def _complete(file: BinaryIO, content: Content, digest: str, size: int, part: str) -> None:
    """Fill a part up; one whose beginning turns out to be wrong is begun once more."""
    begun = os.fstat(file.fileno()).st_size
    try:
        try:
            _fill(file, content, digest, size)
        except IntegrityError:
            if not begun:
                raise
            file.truncate(0)
            _fill(file, content, digest, size)
        file.flush()
    except (IntegrityError, OSError):
        discard(part)  # not what was promised, or a full disk: nothing to go on with
        raise
    except BaseException:
        if not file.tell():
            discard(part)
        raise


def _fill(file: BinaryIO, content: Content, digest: str, size: int) -> None:
    hashed = Hashed(digest, size)
    file.seek(0)
    for chunk in read_chunks(file, CHUNK):
        hashed.update(chunk)
    if hashed.size < size or not size:
        for chunk in content.since(hashed.size):
            hashed.update(chunk)
            file.write(chunk)
    hashed.check()
