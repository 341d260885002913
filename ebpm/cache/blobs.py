"""Content-addressed files below ``blobs/`` of a layout: written once, checked on every way.

On the path of ``ebpm run`` for reading; what writing needs is imported when it writes.
"""

from __future__ import annotations

import errno
import os
import stat

from ebpm.cache.hashes import hex_digest
from ebpm.errors import BlobNotFound, DigestMismatch, InvalidDigest, SizeMismatch, StoreUnusable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

_HEX = frozenset("0123456789abcdef")
_LENGTHS = {"sha256": 64, "sha512": 128}
_CHUNK = 256 << 10


QUARANTINE = ".ebpm/quarantine"
"""Where damaged blobs are moved."""


def is_digest(text: str) -> bool:
    """Whether a text is a digest of an algorithm that is known."""
    algorithm, _, digits = text.partition(":")
    return len(digits) == _LENGTHS.get(algorithm) and _HEX.issuperset(digits)


def blob_path(root: str, digest: str) -> str:
    """Tell where a blob lies; the digest's grammar is checked before any path is made of it."""
    if not is_digest(digest):
        raise InvalidDigest(f"{digest[:200]!r} is not a digest")
    algorithm, _, digits = digest.partition(":")
    return f"{root}/blobs/{algorithm}/{digits}"


def open_regular(path: str) -> BinaryIO:
    """Open a file that somebody else may have put there: no link is followed, nothing waited for.

    Raises:
        OSError: it is not there (ENOENT, ENOTDIR), or is no regular file (ELOOP, ENXIO, EINVAL).
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return os.fdopen(fd, "rb")


def open_blob(root: str, digest: str) -> BinaryIO:
    """Open a blob; its bytes are not checked yet.

    Raises:
        BlobNotFound: it is not there, or is not a regular file.
    """
    path = blob_path(root, digest)
    try:
        return open_regular(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise BlobNotFound(f"blob {digest} is not in {root}") from None
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EINVAL):
            raise BlobNotFound(f"blob {digest} in {root} is not a file") from None
        raise StoreUnusable(f"cannot read {path}: {error.strerror}") from None


def read_chunks(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Read an open blob in pieces of ``size`` bytes."""
    try:
        while chunk := file.read(size):
            yield chunk
    except OSError as error:
        raise StoreUnusable(f"cannot read a blob: {error.strerror}") from None


def read_blob(root: str, digest: str, size: int) -> bytes:
    """Read a whole blob; the bytes are the ones that the digest names.

    Raises:
        BlobNotFound: it is not there.
        SizeMismatch, DigestMismatch: the file is damaged.
    """
    with open_blob(root, digest) as file:
        # The promised size is anybody's word; no more is read than there is.
        wrong = os.fstat(file.fileno()).st_size != size
        data = b"" if wrong else b"".join(read_chunks(file, size + 1))
    check_bytes(data, digest, size, f"blob {digest} in {root}")
    return data


def check_bytes(data: bytes, digest: str, size: int, what: str) -> None:
    """Compare bytes with a descriptor."""
    if len(data) != size:
        raise SizeMismatch(f"{what} has not the {size} bytes that were promised: it is damaged")
    algorithm, _, digits = digest.partition(":")
    if hex_digest(algorithm, data) != digits:
        raise DigestMismatch(f"{what} does not hash to its name: it is damaged")


def has_blob(root: str, digest: str, size: int) -> bool:
    """Whether a blob is there in full length."""
    try:
        status = os.lstat(blob_path(root, digest))
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == size


def is_sound(root: str, digest: str, size: int) -> bool:
    """Whether a blob is there and its bytes are the ones that its digest names."""
    if not has_blob(root, digest, size):
        return False
    import hashlib

    algorithm, _, digits = digest.partition(":")
    seen = hashlib.new(algorithm)
    try:
        with open_blob(root, digest) as file:
            for chunk in read_chunks(file, _CHUNK):
                seen.update(chunk)
    except (BlobNotFound, StoreUnusable):
        return False
    return seen.hexdigest() == digits


def renew(root: str, digest: str) -> None:
    """Make a blob as young as if it had just been written."""
    try:
        os.utime(blob_path(root, digest))
    except OSError:
        return  # another user's: then it is not ours to collect either


def ingest(
    root: str, chunks: Iterable[bytes], digest: str, size: int, *, lasting: bool = True
) -> None:
    """Write a blob: to a temporary file, hashed on the way, renamed when it is right.

    Args:
        root: the layout.
        chunks: the blob.
        digest: what it hashes to.
        size: its bytes.
        lasting: it is to outlast a power cut.

    Raises:
        SizeMismatch, DigestMismatch: the chunks are not the blob; nothing is kept of them.
        StoreUnusable: the disk is full, or the folder is not writable.
    """
    path = blob_path(root, digest)
    folder = f"{root}/ingest"
    temporary = f"{folder}/{os.path.basename(path)[:16]}.{os.getpid()}.{os.urandom(6).hex()}"
    try:
        os.makedirs(folder, exist_ok=True)
        with open(temporary, "xb") as file:
            hashed = Hashed(digest, size)
            for chunk in chunks:
                hashed.update(chunk)
                file.write(chunk)
            hashed.check()
            keep(file, temporary, path, lasting=lasting)
    except OSError as error:
        raise unusable(root, error) from None
    finally:
        discard(temporary)


def keep(file: BinaryIO, temporary: str, path: str, *, lasting: bool = True) -> None:
    """Give a blob that is complete and right its name, which :func:`settle` makes last."""
    file.flush()
    os.fchmod(file.fileno(), 0o444)
    if lasting:
        os.fsync(file.fileno())
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.rename(temporary, path)


def settle(root: str) -> None:
    """Make all blobs that were kept last through a power cut, once, before anything names them."""
    for algorithm in _LENGTHS:
        try:
            sync_folder(f"{root}/blobs/{algorithm}")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise unusable(root, error) from None


class Hashed:
    """Bytes that are counted and hashed as they pass."""

    __slots__ = ("_digest", "_expected", "_seen", "size")

    def __init__(self, digest: str, size: int) -> None:
        import hashlib

        self._digest = digest
        self._expected = size
        self._seen = hashlib.new(digest.partition(":")[0])
        self.size = 0

    def update(self, chunk: bytes) -> None:
        """Take note of a chunk; raise SizeMismatch when there are too many bytes."""
        self.size += len(chunk)
        if self.size > self._expected:
            raise SizeMismatch(f"blob {self._digest} has more than its {self._expected} bytes")
        self._seen.update(chunk)

    def check(self) -> None:
        """Raise SizeMismatch or DigestMismatch if the bytes were not all, or other ones."""
        if self.size != self._expected:
            raise SizeMismatch(
                f"blob {self._digest} has {self.size} bytes instead of {self._expected}"
            )
        if self._seen.hexdigest() != self._digest.partition(":")[2]:
            raise DigestMismatch(f"the bytes do not hash to {self._digest}")


def unusable(root: str, error: OSError) -> StoreUnusable:
    """Say that a store cannot be written."""
    return StoreUnusable(f"cannot write to the store {root}: {_why(error)}")


def _why(error: OSError) -> str:
    return error.strerror or str(error)


def discard(path: str) -> None:
    """Remove a temporary file, if it is there and can be removed."""
    try:
        os.unlink(path)
    except OSError:
        pass


def sync_folder(folder: str) -> None:
    """Make a rename in a folder last through a power cut."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def replace_file(
    path: str, data: bytes, temporary_folder: str, mode: int = 0o644, *, anew: bool = False
) -> os.stat_result:
    """Replace a file as a whole: readers see the old one or the new one; tell its new status.

    With ``anew``, a file that another process has just made stays.
    """
    temporary = f"{temporary_folder}/{os.path.basename(path)}.{os.getpid()}.{os.urandom(6).hex()}"
    try:
        os.makedirs(temporary_folder, exist_ok=True)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            status = os.fstat(file.fileno())
        if anew and _linked(temporary, path):
            return status
        os.replace(temporary, path)
        sync_folder(os.path.dirname(path))
    except OSError as error:
        raise StoreUnusable(f"cannot write {path}: {_why(error)}") from None
    finally:
        discard(temporary)
    return status


def _linked(temporary: str, path: str) -> bool:
    """Give a file a name that nothing has; False where there are no hard links."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return True
    except OSError:
        return False
    return True
