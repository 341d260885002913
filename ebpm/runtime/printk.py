"""The lines that programs print with bpf_printk, those of our own as far as can be told.

They are read from a trace_pipe of our own, that of a tracefs instance in which the event
``bpf_trace:bpf_trace_printk`` (Linux 5.9) is enabled: what is read from the common trace_pipe is
taken away from everybody else. (A perf event on that tracepoint would need no instance, but gets
nothing from programs that themselves run in one: the kernel forbids the recursion.)
"""

from __future__ import annotations

import os
import re
import struct
import time

from ebpm.btf import layout as kinds
from ebpm.btf.layout import Layout, Member
from ebpm.event import LINES, Batch, Source
from ebpm.runtime.hooks import tracefs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_INSTANCE = "ebpm-"  # and the pid, and a number
_EVENT = "events/bpf_trace/bpf_trace_printk/enable"
_LONGEST = 1024  # bytes of a line: the kernel's MAX_BPRINTF_BUF
_CHUNK, _TAKE = 1 << 16, 1 << 20  # bytes of one read, and of what is taken at a time
_LINE = re.compile(r" *(.*)-(\d+) +\[(\d+)\] +(\S+) +([\d.]+): bpf_trace_printk: (.*)")
_LOST = re.compile(r"CPU:\d+ \[LOST (\d+) EVENTS\]")
_SPEC = re.compile(r"%(?:%|[-+ #0]*\d*(?:\.\d+)?(?:hh|h|ll|l|z|t)?([a-zA-Z])([a-zA-Z0-9]*))")
_NUMBER, _HEX = r" *[-+]?\d+ *", r" *(?:0[xX])?[0-9a-fA-F]+ *"


class PrintkReader:
    """Reads the lines that fit a program's formats.

    ``consuming`` says that the common trace_pipe had to be taken. ``lost`` counts lines that the
    kernel had no room for.

    Args:
        formats: of the program; None: all lines.

    Raises:
        OSError: there is no trace_pipe that this process may read.
    """

    def __init__(self, formats: list[str] | None) -> None:
        self.source = Source("trace_pipe", _LAYOUT, LINES)
        self.lost = 0
        self.consuming = False
        self._patterns = None if formats is None else [line_pattern(one) for one in formats]
        self._rest = b""
        folder = tracefs()
        if folder is None:
            raise FileNotFoundError(2, "tracefs is not mounted")
        self._instance: str | None = None
        try:
            self._instance = _make_instance(f"{folder}/instances")
        except OSError:
            self.consuming = True
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            self.fd = os.open(f"{self._instance or folder}/trace_pipe", flags)
        except BaseException:
            self._remove()
            raise

    def read(self) -> Iterator[Batch]:
        """Take the lines that are there now."""
        data = self._rest
        while len(data) < _TAKE:
            try:
                chunk = os.read(self.fd, _CHUNK)
            except OSError:  # EAGAIN: no more; EBUSY: somebody else reads the common one right now
                break
            if not chunk:
                break
            data += chunk
        whole, newline, self._rest = data.rpartition(b"\n")
        if not newline:
            return
        records = [
            _RECORD.pack(int(pid), int(cpu), *(word.encode() for word in words))
            for pid, cpu, *words in self._lines(whole.decode("utf-8", "replace"))
            if self._patterns is None or any(one.fullmatch(words[-1]) for one in self._patterns)
        ]
        if records:
            size = _LAYOUT.size
            yield Batch(self.source, b"".join(records), 0, size, size, len(records))

    def _lines(self, data: str) -> list[tuple[str, ...]]:
        """Cut lines into pid, cpu, comm, flags, seconds and message.

        What begins like no line goes on with the one before.
        """
        found: list[tuple[str, ...]] = []
        for line in data.split("\n"):
            if match := _LINE.fullmatch(line):
                comm, pid, cpu, flags, seconds, text = match.groups()
                found.append((pid, cpu, comm, flags, seconds, text))
            elif match := _LOST.fullmatch(line):
                self.lost += int(match.group(1))
            elif found and line:
                *head, text = found[-1]
                found[-1] = (*head, f"{text}\n{line}")
        return found

    def close(self) -> None:
        """Close it and remove the instance. May be called twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            self._remove()

    def _remove(self) -> None:
        if self._instance is not None:
            try:
                os.rmdir(self._instance)
            except OSError:
                pass
            self._instance = None


def _make_instance(folder: str) -> str:
    """Make a trace buffer of our own, with the lines of all BPF programs in it."""
    for name in os.listdir(folder):  # left by a process that was killed
        pid = name.removeprefix(_INSTANCE).partition("-")[0]
        if name.startswith(_INSTANCE) and pid.isdecimal() and not os.path.exists(f"/proc/{pid}"):
            try:
                os.rmdir(f"{folder}/{name}")
            except OSError:
                continue
    path = f"{folder}/{_INSTANCE}{os.getpid()}-{time.monotonic_ns()}"  # a process may have several
    os.mkdir(path, 0o700)
    try:
        _write(f"{path}/{_EVENT}", "1")
        _write(f"{path}/buffer_percent", "0")  # wake the reader at the first line
    except OSError:
        os.rmdir(path)
        raise
    return path


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def line_pattern(form: str) -> re.Pattern[str]:
    """Make a pattern of the lines that a format of bpf_trace_printk may give."""
    parts, at = [], 0
    for spec in _SPEC.finditer(form):
        parts.append(re.escape(form[at : spec.start()]))
        kind = spec.group(1)
        at = spec.end() if kind == "p" else spec.end() - len(spec.group(2) or "")
        if kind is None:
            parts.append("%")
        elif kind in "diu":
            parts.append(_NUMBER)
        elif kind in "xX":
            parts.append(_HEX)
        else:  # text, a character, or one of the many forms of a pointer
            parts.append(".*?")
    parts.append(re.escape(form[at:]))
    return re.compile("".join(parts), re.DOTALL)


_RECORD = struct.Struct(f"=II16s8s24s{_LONGEST}s")
_LAYOUT = Layout(
    kinds.STRUCT,
    "printk",
    _RECORD.size,
    members=(
        Member("pid", 0, 0, Layout(kinds.INT, "u32", 4)),
        Member("cpu", 8 * 4, 0, Layout(kinds.INT, "u32", 4)),
        Member("comm", 8 * 8, 0, Layout(kinds.STRING, "", 16)),
        Member("flags", 8 * 24, 0, Layout(kinds.STRING, "", 8)),
        Member("seconds", 8 * 32, 0, Layout(kinds.STRING, "", 24)),
        Member("message", 8 * 56, 0, Layout(kinds.STRING, "", _LONGEST)),
    ),
)
