"""Lines of a busy source written by our C, rows.c: the fastest way, where there is a bundle.

C writes the plain cases and stops before a record that holds anything else (text that is not
printable ASCII, an enumerator without a name); so it cannot say anything but what decoding that
record says. A layout with a column that it never writes (a float, an array, an inner struct) is not
for it at all. On the path of ``ebpm run``, imported when a tool has become busy.
"""

from __future__ import annotations

import ctypes
import os
from struct import Struct

from ebpm.btf import layout as kinds
from ebpm.output.values import NAME_OF

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ebpm.btf.decode import Buffer
    from ebpm.btf.layout import Layout, Member
    from ebpm.event import Batch
    from ebpm.output.style import Style

LIBRARY = os.path.join(os.path.dirname(__file__), "native", "rows.so")
"""Made by scripts/native: in wheels of a platform, and in a checkout where it was made."""
_CAPACITY = 1 << 16  # bytes of lines from one call: what a pipe holds; stays in a CPU's cache
_MOST_NAMES = 4096  # of an enum
_COLUMN = Struct("=7I4B")  # struct column of rows.c
_NAME = Struct("=QII")  # struct name
_NUMBER, _BOOL, _ENUM, _TEXT, _ADDRESS, _NAMED = range(6)
_KINDS = {
    kinds.INT: _NUMBER,
    kinds.POINTER: _NUMBER,
    kinds.CGROUP: _NUMBER,
    kinds.BOOL: _BOOL,
    kinds.ENUM: _ENUM,
    kinds.STRING: _TEXT,
    kinds.ADDRESS: _ADDRESS,
}
_WHOLE = (kinds.POINTER, kinds.CGROUP)  # never bitfields


class _Job(ctypes.Structure):
    """``struct job`` of rows.c."""

    _fields_ = (
        ("job_size", ctypes.c_uint64),
        *((name, ctypes.c_char_p) for name in ("columns", "names", "texts")),
        *((name, ctypes.c_uint64) for name in ("column_count", "name_count", "texts_size")),
        ("aligned", ctypes.c_uint64),
        *((name, ctypes.c_char_p) for name in ("head", "tail")),
        *((name, ctypes.c_uint64) for name in ("head_size", "tail_size")),
        ("data", ctypes.c_void_p),
        *((name, ctypes.c_uint64) for name in ("data_size", "start", "size", "stride", "count")),
        ("out", ctypes.c_void_p),
        *((name, ctypes.c_uint64) for name in ("capacity", "written")),
    )


class _Buffer(ctypes.Structure):
    """``Py_buffer``, of Python's stable ABI since 3.11."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        *((name, ctypes.c_void_p) for name in ("format", "shape", "strides", "suboffsets")),
        ("internal", ctypes.c_void_p),
    )


class Rows:
    """The writer of one source's lines.

    Args:
        style: of the lines.

    Raises:
        NotWritten: the layout has a column that C does not write, or there is no C.
    """

    def __init__(self, style: Style) -> None:
        self._call, self._take, self._release = load()
        self._out = ctypes.create_string_buffer(_CAPACITY)
        self._view = memoryview(self._out).cast("B")
        self._buffer = _Buffer()
        columns, names, texts = _describe(style)
        aligned = style.places is not None
        self._job = _Job(
            job_size=ctypes.sizeof(_Job),
            columns=columns,
            names=names,
            texts=texts,
            column_count=len(columns) // _COLUMN.size,
            name_count=len(names) // _NAME.size,
            texts_size=len(texts),
            aligned=aligned,
            out=ctypes.addressof(self._out),
            capacity=_CAPACITY,
        )
        self._tail = b"" if aligned else _encode(style.gaps([0] * len(style.members))[-1])

    def lines(self, batch: Batch, start: str, end: str) -> Iterator[memoryview | int]:
        """Write the records of a batch, each between two texts.

        Yields:
            Lines, valid until the next are asked for; or the number of a record that C leaves to
            others, which is next in order.
        """
        job = self._job
        job.head = head = _encode(start)
        job.tail = tail = self._tail + _encode(end)
        job.head_size, job.tail_size = len(head), len(tail)
        job.size, job.stride = batch.size, batch.stride
        done = 0
        while done < batch.count:
            job.start = batch.start + done * batch.stride
            job.count = batch.count - done
            written = self._write(batch.data)
            if written > 0:
                yield self._view[: job.written]
                done += written
            else:
                yield done
                done += 1

    def _write(self, data: Buffer) -> int:
        """Call C; nobody can unmap the data meanwhile."""
        job, taken = self._job, self._buffer
        self._take(data, taken, 0)
        try:
            job.data, job.data_size = taken.buf, taken.len
            return self._call(job)  # type: ignore[no-any-return]
        finally:
            self._release(taken)


class NotWritten(Exception):  # no failure: Python writes the lines then
    """There is no C here, or none for this layout."""


_loaded: list[tuple[Any, Any, Any]] = []


def load() -> tuple[Any, Any, Any]:
    """Give the function of rows.c, and CPython's two that take and release a buffer.

    Raises:
        NotWritten: there is none for this machine, or another version's; or this is no CPython.
    """
    if not _loaded:
        try:
            # A PyDLL's functions keep the interpreter's lock: calls are short.
            write = ctypes.PyDLL(LIBRARY).ebpm_rows_2
            python = ctypes.PyDLL(None)  # not ctypes.pythonapi, whose prototypes are everybody's
            take, release = python.PyObject_GetBuffer, python.PyBuffer_Release
        except (OSError, AttributeError) as error:
            raise NotWritten(str(error)) from None
        job, buffer = ctypes.POINTER(_Job), ctypes.POINTER(_Buffer)
        write.restype, write.argtypes = ctypes.c_int64, [job]
        take.argtypes = [ctypes.py_object, buffer, ctypes.c_int]
        release.restype, release.argtypes = None, [buffer]
        _loaded.append((write, take, release))
    return _loaded[0]


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")  # as streams do


def _describe(style: Style) -> tuple[bytes, bytes, bytes]:
    """Write what rows.c is to know: columns, names of enumerators, and the texts of both."""
    columns, names, texts = bytearray(), bytearray(), bytearray()
    cells = len(style.members)
    places = style.places or [0] * cells
    gaps = [""] * cells if style.places else style.gaps([0] * cells)[:-1]
    for member, place, gap in zip(style.members, places, gaps, strict=True):
        layout = member.layout
        kind, offset, size, shift, bits = _place(member, aligned=style.aligned)
        first, before = len(names) // _NAME.size, len(texts)
        texts += _encode(gap)
        end = len(texts)
        for value, text in sorted(_names(layout, kind)):
            names += _NAME.pack(value, len(texts), len(text))
            texts += text
        count = len(names) // _NAME.size - first
        columns += _COLUMN.pack(
            *(offset, size, place, before, end - before, first, count),
            *(kind, layout.signed, shift, bits),
        )
    return bytes(columns), bytes(names), bytes(texts)


def _place(member: Member, *, aligned: bool) -> tuple[int, int, int, int, int]:
    """Tell the kind of a member's value, its first byte, its bytes, and its bits in them."""
    kind, size = _KINDS.get(member.layout.kind), member.layout.size
    if member.layout.kind in kinds.NAMED:  # as JSON the number is one column and its name another
        kind = _NAMED if aligned or member.layout.name == NAME_OF else _NUMBER
    offset, shift = divmod(member.bit_offset, 8)
    bits = member.bits
    if bits and kind in (_NUMBER, _BOOL, _ENUM, _NAMED) and member.layout.kind not in _WHOLE:
        size = (shift + bits + 7) // 8
    elif bits or shift or kind is None:
        raise NotWritten(member.layout.kind)
    if kind in (_TEXT, _ADDRESS):
        return kind, offset, size, 0, 0
    if not 0 < size <= 8 or (member.layout.kind in _WHOLE and size not in (4, 8)):
        raise NotWritten(f"{member.layout.kind} of {size} bytes")
    return kind, offset, size, shift, bits or 8 * size


def _names(layout: Layout, kind: int) -> list[tuple[int, bytes]]:
    """List the names that a column's numbers have, each after its number as C holds it."""
    texts = {value: f"{name}({value})" for value, name in layout.values.items()}
    if kind == _NAMED:
        from ebpm.btf.numbers import names_of

        texts = names_of(layout.kind)
    for text in texts.values():
        if not (text.isascii() and text.isprintable()) or '"' in text or "\\" in text:
            raise NotWritten(text)
    if len(texts) > _MOST_NAMES:
        raise NotWritten(f"an enum of {len(texts)} names")
    return [(value & (1 << 64) - 1, text.encode()) for value, text in texts.items()]
