"""Locks between processes: flock(2) on a file. The only user of fcntl.

A file and not the folder beside it: where flock is made of byte-range locks, as on NFS, an
exclusive one needs a descriptor that may write, which no folder gives.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ebpm.errors import StoreLocked, StoreUnusable

PATIENCE = 60.0
"""Seconds to wait for a lock."""

_STEP = 0.02


@contextmanager
def locked(path: str, *, shared: bool = False, patience: float | None = None) -> Iterator[None]:
    """Hold the lock of a file, which is made if it is not there, and stays empty.

    Args:
        path: its folder must exist.
        shared: with other sharers, against an exclusive holder.
        patience: seconds to wait; PATIENCE if None.

    Raises:
        StoreLocked: another process holds it all that time; the message names it.
        StoreUnusable: the file cannot be opened, or its file system has no locks.
    """
    try:
        fd = _open(path, shared)
    except OSError as error:
        raise StoreUnusable(f"cannot open {path}: {error.strerror}") from None
    try:
        deadline = time.monotonic() + (PATIENCE if patience is None else patience)
        while not try_lock(fd, path, shared=shared):
            if time.monotonic() > deadline:
                raise StoreLocked(f"{path} is in use by {_holder(fd)}")
            time.sleep(_STEP)
        yield
    finally:
        os.close(fd)


def _open(path: str, shared: bool) -> int:
    flags = os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        return os.open(path, os.O_RDWR | flags, 0o666)
    except OSError as error:
        if not shared or error.errno not in (errno.EACCES, errno.EROFS):
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)


def try_lock(fd: int, path: str, *, shared: bool = False) -> bool:
    """Lock an open file if nobody else has; closing it unlocks it.

    Raises:
        StoreUnusable: its file system has no locks.
    """
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise StoreUnusable(f"cannot lock {path}: {error.strerror}") from None
        return False
    return True


def _holder(fd: int) -> str:
    """Name the process that holds a lock, from /proc/locks."""
    status = os.fstat(fd)
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        with open("/proc/locks", encoding="ascii") as file:
            for line in file:
                fields = line.split()
                if place in fields and "->" not in fields:
                    return f"process {fields[fields.index(place) - 1]}"
    except OSError:
        pass
    return "another process"
