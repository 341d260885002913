"""Code of processes: what is mapped where, and which file that is, seen from here.

A process may have other mounts than we do, may have replaced the file since, and may be gone by the
time that its stack is read. Files are opened through /proc/PID/root, or /proc/PID/map_files where
what lies at the path is not what was mapped. What was once learnt of a process is kept for its last
stacks.
"""

from __future__ import annotations

import io
import os
import time
from bisect import bisect_right

from ebpm.symbols.elf import ElfSymbols, debug_files, open_regular
from ebpm.symbols.frame import Frame
from ebpm.symbols.perfmap import PerfMap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO, TypeAlias

    FileKey: TypeAlias = tuple[int, int, int, int]

VDSO = "[vdso]"
_PROCESSES, _FILES = 1024, 64  # kept
_FRAMES = 4096  # kept of each process
_REREAD, _OLD = 0.1, 10.0  # seconds: mappings are read again at most so often, at least so often
_MAPPING_LIMIT = 1 << 20  # bytes of a vdso


class Mapping:
    """A range of addresses that holds code."""

    __slots__ = ("end", "inode", "offset", "path", "start")

    def __init__(self, start: int, end: int, offset: int, inode: int, path: str) -> None:
        self.start = start
        self.end = end
        self.offset = offset  # in the file
        self.inode = inode
        self.path = path  # "" for memory without a file

    @property
    def file(self) -> bool:
        """Whether a file of the file system lies there."""
        memory = ("/memfd:", "/dev/zero", "/SYSV", "/anon_hugepage", "//anon")
        return self.path.startswith("/") and not self.path.startswith(memory)


def read_mappings(text: str) -> list[Mapping]:
    """Read the executable ranges of /proc/PID/maps."""
    found = []
    for line in text.splitlines():
        fields = line.split(None, 5)
        if len(fields) < 5 or "x" not in fields[1]:
            continue
        start, _, end = fields[0].partition("-")
        path = fields[5] if len(fields) > 5 else ""
        found.append(
            Mapping(int(start, 16), int(end, 16), int(fields[2], 16), int(fields[4]), path)
        )
    return found


class Process:
    """One process, from its /proc folder."""

    def __init__(self, pid: int, identity: tuple[int, ...]) -> None:
        self.pid = pid
        self.identity = identity
        self.mappings: list[Mapping] = []  # in the order of their addresses
        self.frames: dict[tuple[int, bool], Frame] = {}  # of files, which stay as they are
        self.files: dict[tuple[str, int], FileKey | None] = {}  # by path and inode
        self.vdso: ElfSymbols | None = None
        self._read_at = -_REREAD
        self._known_since = time.monotonic()
        self._starts: list[int] = []
        own, user = _status(pid)
        self.perf_map = PerfMap(f"/proc/{pid}/root/tmp/perf-{own}.map", user)
        self.refresh()

    def refresh(self) -> bool:
        """Read the mappings again, if that was not done just now; tell whether it was done."""
        now = time.monotonic()
        if now - self._read_at < _REREAD:
            return False
        return self._refresh(now)

    def grow(self) -> None:
        """Read the mappings again if the process is twice as old by now: it loads its libraries."""
        now = time.monotonic()
        if now - self._read_at > self._read_at - self._known_since:
            self._refresh(now)

    def _refresh(self, now: float) -> bool:
        self._read_at = now
        try:
            with open(f"/proc/{self.pid}/maps", encoding="utf-8", errors="replace") as file:
                mappings = read_mappings(file.read())
        except OSError:
            return False
        if mappings:  # a process that is ending has none
            self.mappings = mappings
            self._starts = [one.start for one in mappings]
            self.frames = {}
        return True

    @property
    def old(self) -> bool:
        """Whether its mappings were read long ago."""
        return time.monotonic() - self._read_at > _OLD

    def mapping(self, address: int) -> Mapping | None:
        """Find what is mapped at an address, looking again if it is new."""
        found = self._mapping(address)
        if found is None and self.refresh():
            found = self._mapping(address)
        return found

    def _mapping(self, address: int) -> Mapping | None:
        at = bisect_right(self._starts, address) - 1
        found = self.mappings[at] if at >= 0 else None
        return found if found is not None and address < found.end else None

    def open(self, mapping: Mapping) -> BinaryIO | None:
        """Open the file of a mapping: the one that was mapped, if that can still be had."""
        path = mapping.path.removesuffix(" (deleted)")
        root = f"/proc/{self.pid}/root{path}"
        exact = f"/proc/{self.pid}/map_files/{mapping.start:x}-{mapping.end:x}"
        if path == mapping.path and _inode(root) == mapping.inode:
            return open_regular(root)
        if (file := open_regular(exact)) is not None:
            return file
        if _inode(path) == mapping.inode:  # the process is gone
            return open_regular(path)
        # Some file systems show other inodes in maps than stat(2) does; that is the same file.
        return open_regular(root) if path == mapping.path else None

    def read_memory(self, mapping: Mapping) -> bytes:
        """Read a mapping out of the process's memory; nothing if that is forbidden."""
        size = min(mapping.end - mapping.start, _MAPPING_LIMIT)
        try:
            with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as file:
                file.seek(mapping.start)
                return file.read(size) or b""
        except (OSError, ValueError):
            return b""


class Processes:
    """Processes and their files, as far as stacks asked for them; both bounded."""

    def __init__(self) -> None:
        self._processes: dict[int, Process] = {}
        self._files: dict[FileKey, ElfSymbols | None] = {}

    def frames(self, pid: int, addresses: Sequence[int]) -> list[Frame]:
        """Name a stack of a process, whose addresses but the first are those calls return to."""
        process = self.process(pid)
        return [self.frame(process, one, returns=at > 0) for at, one in enumerate(addresses)]

    def learn(self, pid: int) -> None:
        """Read the mappings of a process, for stacks that are read when it may have ended."""
        process = self.process(pid)
        if process is not None:
            process.grow()

    def frame(self, process: Process | None, address: int, *, returns: bool) -> Frame:
        """Name an address of a process; ``returns`` says that the code before it made a call."""
        if process is None:
            return Frame(address)
        mapping = process.mapping(address - returns)  # which may find that the process has changed
        if mapping is None:
            return Frame(address)
        known = process.frames.get((address, returns))
        if known is None:
            known = self._frame(process, mapping, address, returns=returns)
            if mapping.path == VDSO or mapping.file:
                if len(process.frames) >= _FRAMES:
                    process.frames.clear()
                process.frames[address, returns] = known
        return known

    def _frame(self, process: Process, mapping: Mapping, address: int, *, returns: bool) -> Frame:
        if mapping.path == VDSO:
            symbols = self._vdso(process, mapping)
            return _in_file(address, mapping, symbols, returns=returns)
        if mapping.file:
            symbols = self._symbols(process, mapping)
            return _in_file(address, mapping, symbols, returns=returns)
        found = process.perf_map.find(address - returns)
        if found is not None:
            name, start = found
            return Frame(address, name, address - start, process.perf_map.path)
        return Frame(address, module=mapping.path or None)

    def process(self, pid: int) -> Process | None:
        """Get at a process: what is known of it, anew if another has its pid by now."""
        known = self._processes.pop(pid, None)
        identity = _identity(pid)
        if identity is None:
            if known is not None:
                self._processes[pid] = known
            return known
        if known is None or known.identity != identity:
            known = Process(pid, identity)
        elif known.old:
            known.refresh()
        self._processes[pid] = known  # the last one used is the last to go
        if len(self._processes) > _PROCESSES:
            del self._processes[next(iter(self._processes))]
        return known

    def _symbols(self, process: Process, mapping: Mapping) -> ElfSymbols | None:
        """Get the symbols of a mapped file; None if it cannot be had, which is not tried again."""
        place = (mapping.path, mapping.inode)
        if place in process.files:
            key = process.files[place]
            if key is None:
                return None
            if key in self._files:
                self._files[key] = self._files.pop(key)  # the last one used is the last to go
                return self._files[key]
        process.files[place] = None
        file = process.open(mapping)
        if file is None:
            return None
        with file:
            status = os.fstat(file.fileno())
            key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            process.files[place] = key
            if key not in self._files:
                if len(self._files) >= _FILES:
                    del self._files[next(iter(self._files))]
                self._files[key] = _read(file, process.pid)
            return self._files[key]

    def _vdso(self, process: Process, mapping: Mapping) -> ElfSymbols | None:
        if process.vdso is None:
            image = process.read_memory(mapping)
            try:
                process.vdso = ElfSymbols(io.BytesIO(image))
            except ValueError:
                return None
        return process.vdso


def _read(file: BinaryIO, pid: int) -> ElfSymbols | None:
    """Read a file's symbols; those of its debug file, where it was stripped and that is there."""
    try:
        symbols = ElfSymbols(file)
    except ValueError:
        return None
    if symbols.stripped and symbols.build_id:
        for root in (f"/proc/{pid}/root", ""):
            for path in debug_files(symbols.build_id, root):
                debug = open_regular(path)
                if debug is None:
                    continue
                with debug:
                    try:
                        other = ElfSymbols(debug)
                    except ValueError:
                        continue
                if other.build_id == symbols.build_id and not other.stripped:
                    symbols.add_debug(other)
                    return symbols
    return symbols


def _in_file(address: int, mapping: Mapping, symbols: ElfSymbols | None, *, returns: bool) -> Frame:
    offset = address - mapping.start + mapping.offset
    path = mapping.path.removesuffix(" (deleted)")
    if symbols is None:
        return Frame(address, module=path, module_offset=offset)
    name, into = symbols.find(offset, int(returns)) or (None, None)
    return Frame(address, name, into, path, offset, symbols.build_id)


def _identity(pid: int) -> tuple[int, ...] | None:
    """Tell processes of one pid apart, and the programs that one process has been."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            started = int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
    try:
        program = os.stat(f"/proc/{pid}/exe")
    except OSError:  # a kernel thread, or a process that has ended and was not waited for yet
        return None
    return started, program.st_dev, program.st_ino


def _status(pid: int) -> tuple[int, int]:
    """Read the pid that a process has in its own namespace, and whose it is."""
    own, user = pid, 0
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            for line in file:
                key, _, value = line.partition(":")
                if key == "NSpid":
                    own = int(value.split()[-1])
                elif key == "Uid":
                    user = int(value.split()[1])
    except (OSError, ValueError, IndexError):
        pass
    return own, user


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return -1
