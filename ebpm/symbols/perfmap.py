"""What JIT compilers say of their code: ``/tmp/perf-PID.map``, as perf(1) reads it.

Each line is a start, a size, both in hex, and a name that may contain spaces. The file lies in the
process's own mount namespace, and is named by the pid that the process has in its own.
"""

from __future__ import annotations

import os
import stat

from ebpm.symbols.names import Names

_LIMIT = 64 << 20  # bytes


class PerfMap:
    """The perf map of a process, read again when it has grown.

    Args:
        path: of the file, seen from here.
        owner: the user who runs the process: a file of anybody else but root is not believed.
    """

    def __init__(self, path: str, owner: int) -> None:
        self.path = path
        self._owner = owner
        self._state: tuple[int, int] | None = None  # size and time of what was read
        self._names = Names([])

    def find(self, address: int) -> tuple[str, int] | None:
        """Give the name at an address, and where that begins."""
        self._refresh()
        return self._names.find(address)

    def _refresh(self) -> None:
        try:
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(self.path, flags)
        except OSError:
            return  # gone with the process: what was read stays
        with os.fdopen(fd, "rb") as file:
            status = os.fstat(fd)
            state = (status.st_size, status.st_mtime_ns)
            if state == self._state or not stat.S_ISREG(status.st_mode):
                return
            if status.st_uid not in (0, self._owner):
                return
            self._state = state
            self._names = Names(_entries(file.read(_LIMIT)))


def _entries(data: bytes) -> list[tuple[int, int, str]]:
    """Read the lines, last first: where code was replaced, the later name is the right one."""
    entries = []
    for line in reversed(data.split(b"\n")):
        start, _, rest = line.partition(b" ")
        size, _, name = rest.partition(b" ")
        try:
            entry = (int(start, 16), int(size, 16), name.decode("utf-8", "replace").strip())
        except ValueError:
            continue
        if entry[2] and entry[1] > 0:
            entries.append(entry)
    return entries
