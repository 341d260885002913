"""Files that can be made again: plans, downloads by URL. Deleting them changes nothing.

They lie in a folder that only the running user can write, since what is in it is believed. On the
path of ``ebpm run``.
"""

from __future__ import annotations

import os
import stat

from ebpm.cache.blobs import discard, open_regular


class Derived:
    """The cache folder of the running user.

    Args:
        root: made when something is first written.
    """

    __slots__ = ("_root",)

    def __init__(self, root: str) -> None:
        self._root = root

    def read(self, kind: str, key: str) -> bytes | None:
        """Read a file; None where there is none, or somebody else could have written it."""
        try:
            if not self._private(kind):
                return None
            with open_regular(f"{self._root}/{kind}/{key}") as file:
                return file.read() if self._ours(os.fstat(file.fileno())) else None
        except OSError:
            return None

    def write(self, kind: str, key: str, data: bytes) -> bool:
        """Keep a file; False where that is not possible, which is nobody's error."""
        folder = self.folder(kind)
        if folder is None:
            return False
        temporary = f"{folder}/.{key[:80]}.{os.getpid()}.{os.urandom(4).hex()}"
        try:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(data)
            os.replace(temporary, f"{folder}/{key}")
        except OSError:
            discard(temporary)
            return False
        return True

    def folder(self, kind: str) -> str | None:
        """Give a folder for files that others make and read; None where that is not possible."""
        folder = f"{self._root}/{kind}"
        try:
            os.makedirs(self._root, mode=0o700, exist_ok=True)
            os.makedirs(folder, mode=0o700, exist_ok=True)
            return folder if self._private(kind) else None
        except OSError:
            return None

    def _private(self, kind: str) -> bool:
        return self._ours(os.lstat(self._root)) and self._ours(os.lstat(f"{self._root}/{kind}"))

    @staticmethod
    def _ours(status: os.stat_result) -> bool:
        others = stat.S_IWGRP | stat.S_IWOTH
        return status.st_uid == os.geteuid() and not status.st_mode & others
