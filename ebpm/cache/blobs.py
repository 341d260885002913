"""Content-addressed files below ``blobs/`` of a layout: written once, checked on every way.

On the path of ``ebpm run`` for reading; what writing needs is imported when it writes.
"""

from __future__ import annotations

import errno
import os
import stat

from ebpm.errors import BlobNotFound, DigestMismatch, SizeMismatch, StoreUnusable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO

_HEX = frozenset("0123456789abcdef")
_LENGTHS = {"sha256": 64, "sha512": 128}


def blob_path(root: str, digest: str) -> str:
    """Tell where a blob lies; the digest's grammar is checked before any path is made of it."""
    algorithm, _, digits = digest.partition(":")
    if len(digits) != _LENGTHS.get(algorithm) or not _HEX.issuperset(digits):
        raise DigestMismatch(f"{digest[:200]!r} is not a digest")
    return f"{root}/blobs/{algorithm}/{digits}"


def open_blob(root: str, digest: str) -> BinaryIO:
    """Open a blob; its bytes are not checked yet.

    Raises:
        BlobNotFound: it is not there, or is not a regular file.
    """
    path = blob_path(root, digest)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise BlobNotFound(f"blob {digest} is not in {root}") from None
        raise StoreUnusable(f"cannot read {path}: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise BlobNotFound(f"blob {digest} in {root} is not a file")
    return os.fdopen(fd, "rb")


def read_blob(root: str, digest: str, size: int) -> bytes:
    """Read a whole blob; the bytes are the ones that the digest names.

    Raises:
        BlobNotFound: it is not there.
        SizeMismatch, DigestMismatch: the file is damaged.
    """
    with open_blob(root, digest) as file:
        data = file.read(size + 1)
    check_bytes(data, digest, size, f"blob {digest} in {root}")
    return data


def check_bytes(data: bytes, digest: str, size: int, what: str) -> None:
    """Compare bytes with a descriptor."""
    import hashlib

    if len(data) != size:
        raise SizeMismatch(f"{what} has not the {size} bytes that were promised")
    algorithm, _, digits = digest.partition(":")
    if hashlib.new(algorithm, data).hexdigest() != digits:
        raise DigestMismatch(f"{what} does not hash to its name: it is damaged")


def has_blob(root: str, digest: str, size: int) -> bool:
    """Whether a blob is there in full length."""
    try:
        status = os.lstat(blob_path(root, digest))
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == size


def ingest(root: str, chunks: Iterable[bytes], digest: str, size: int) -> None:
    """Write a blob: to a temporary file, hashed on the way, renamed when it is right.

    Raises:
        SizeMismatch, DigestMismatch: the chunks are not the blob; nothing is kept of them.
        StoreUnusable: the disk is full, or the folder is not writable.
    """
    import hashlib

    path = blob_path(root, digest)
    algorithm, _, digits = digest.partition(":")
    seen = hashlib.new(algorithm)
    temporary = f"{root}/ingest/{digits[:16]}.{os.getpid()}.{os.urandom(6).hex()}"
    written = 0
    try:
        with open(temporary, "xb") as file:
            for chunk in chunks:
                written += len(chunk)
                if written > size:
                    break
                seen.update(chunk)
                file.write(chunk)
            if written != size:
                more = "more" if written > size else "fewer"
                raise SizeMismatch(f"blob {digest} has {more} than its {size} bytes")
            if seen.hexdigest() != digits:
                raise DigestMismatch(f"the bytes do not hash to {digest}")
            file.flush()
            os.fchmod(file.fileno(), 0o444)
            os.fsync(file.fileno())
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.rename(temporary, path)
        sync_folder(os.path.dirname(path))
    except OSError as error:
        raise StoreUnusable(f"cannot write to the store {root}: {error.strerror}") from None
    finally:
        try:
            os.unlink(temporary)
        except FileNotFoundError:
            pass


def sync_folder(folder: str) -> None:
    """Make a rename in a folder last through a power cut."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def replace_file(path: str, data: bytes, temporary_folder: str, mode: int = 0o644) -> None:
    """Replace a file as a whole: readers see the old one or the new one."""
    temporary = f"{temporary_folder}/{os.path.basename(path)}.{os.getpid()}.{os.urandom(6).hex()}"
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(os.path.dirname(path))
    except OSError as error:
        raise StoreUnusable(f"cannot write {path}: {error.strerror}") from None
    finally:
        try:
            os.unlink(temporary)
        except FileNotFoundError:
            pass
