"""Locks between processes: flock(2) on the folder that they protect. The only user of fcntl."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ebpm.errors import StoreLocked, StoreUnusable

_PATIENCE = 60.0  # seconds
_STEP = 0.02


@contextmanager
def locked(folder: str, *, shared: bool = False, patience: float = _PATIENCE) -> Iterator[None]:
    """Hold the lock of a folder.

    Args:
        folder: must exist; no file is made in it.
        shared: with other sharers, against an exclusive holder.
        patience: seconds to wait.

    Raises:
        StoreLocked: another process holds it all that time; the message names it.
        StoreUnusable: the folder cannot be opened, or its file system has no locks.
    """
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StoreUnusable(f"cannot open {folder}: {error.strerror}") from None
    try:
        _acquire(fd, folder, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, patience)
        yield
    finally:
        os.close(fd)


def _acquire(fd: int, folder: str, mode: int, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(fd, mode | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise StoreUnusable(f"cannot lock {folder}: {error.strerror}") from None
            if time.monotonic() > deadline:
                raise StoreLocked(f"{folder} is in use by {_holder(fd)}") from None
            time.sleep(_STEP)
        else:
            return


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
