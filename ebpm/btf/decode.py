"""Bytes to values, by layout: the reference that every faster printer must agree with.

========  ==========================================================================
layout    value
========  ==========================================================================
int       int                                 bool     bool (any bit set)
float     float                               pointer  int
enum      EnumValue, an int that has a name   string   str, up to the first NUL
array     list                                struct, union  dict, members by name
opaque    bytes                               address  str, as inet_ntop(3) writes it
syscall, signal, errno, result  int
========  ==========================================================================

A member that lies beyond the end of the data is None: programs may submit less than the whole
struct. Text that is not UTF-8 has its bad bytes replaced. Anonymous members are lifted into the
struct around them, as C does.
"""

from __future__ import annotations

import struct
import sys

from ebpm.btf import layout as kinds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from ebpm.btf.layout import Layout, Member

    Buffer: TypeAlias = bytes | bytearray | memoryview
    Reader: TypeAlias = Callable[[Buffer, int], Any]

V4_PREFIX = bytes(10) + b"\xff\xff"
"""What stands before an IPv4 address in the place of an IPv6 one (RFC 4291 section 2.5.5.2)."""
_FORMATS = {1: "b", 2: "h", 4: "i", 8: "q"}
_FLOATS = {2: "e", 4: "f", 8: "d"}


class EnumValue(int):
    """An enumerator: the number, and ``name``, which is None for a number that has none."""

    name: str | None

    def __new__(cls, number: int, name: str | None) -> EnumValue:
        """Make one from its number and its name."""
        value = super().__new__(cls, number)
        value.name = name
        return value

    def __str__(self) -> str:
        """Write it as eunomia-bpf does: ``NAME(1)``, or ``<UNKNOWN_VARIANT>(7)``."""
        return f"{self.name or '<UNKNOWN_VARIANT>'}({int(self)})"


def reader(layout: Layout) -> Reader:
    """Make a function (buffer, offset) -> value for values of one layout in native byte order.

    The function never fails and never reads outside the buffer, whatever the bytes are.
    """
    if layout.kind == kinds.ENUM:
        return _enum_reader(layout)
    if layout.kind == kinds.BOOL:
        return _bool_reader(layout.size)
    if layout.kind == kinds.STRING:
        return _string_reader(layout.size)
    if layout.kind == kinds.ADDRESS:
        return _address_reader()
    if layout.kind == kinds.ARRAY:
        return _array_reader(layout)
    if layout.kind in (kinds.STRUCT, kinds.UNION):
        return _struct_reader(layout)
    return _scalar_reader(layout)


def _guard(size: int, read: Reader) -> Reader:
    """Turn a value that the data does not reach into None."""
    return lambda data, at: read(data, at) if at + size <= len(data) else None


def _scalar_reader(layout: Layout) -> Reader:
    size, signed = layout.size, layout.signed
    code = None
    if layout.kind == kinds.FLOAT:
        code = _FLOATS.get(size)
    elif layout.kind in (*kinds.INTEGERS, kinds.POINTER, kinds.CGROUP) and size in _FORMATS:
        code = _FORMATS[size] if signed else _FORMATS[size].upper()
    if code:
        unpack = struct.Struct(f"={code}").unpack_from
        return _guard(size, lambda data, at: unpack(data, at)[0])
    if layout.kind in kinds.INTEGERS:  # 128 bits and stranger
        order = sys.byteorder
        return _guard(
            size, lambda data, at: int.from_bytes(data[at : at + size], order, signed=signed)
        )
    return _guard(size, lambda data, at: bytes(data[at : at + size]))


def _bool_reader(size: int) -> Reader:
    return _guard(size, lambda data, at: any(data[at : at + size]))


def _enum_reader(layout: Layout) -> Reader:
    size, signed, order = layout.size, layout.signed, sys.byteorder
    known = {number: EnumValue(number, name) for number, name in layout.values.items()}

    def read(data: Buffer, at: int) -> EnumValue:
        number = int.from_bytes(data[at : at + size], order, signed=signed)
        return known[number] if number in known else EnumValue(number, None)

    return _guard(size, read)


def _string_reader(size: int) -> Reader:
    def read(data: Buffer, at: int) -> str:
        return bytes(data[at : at + size]).split(b"\0", 1)[0].decode("utf-8", "replace")

    return _guard(size, read)


def _address_reader() -> Reader:
    from _socket import AF_INET, AF_INET6, inet_ntop

    def read(data: Buffer, at: int) -> str:
        raw = bytes(data[at : at + 16])
        return (
            inet_ntop(AF_INET, raw[12:]) if raw.startswith(V4_PREFIX) else inet_ntop(AF_INET6, raw)
        )

    return _guard(16, read)


def _array_reader(layout: Layout) -> Reader:
    element = layout.element
    assert element is not None
    read_one, step = reader(element), element.size

    def read(data: Buffer, at: int) -> list[Any]:
        if not step:
            return []
        return [read_one(data, place) for place in range(at, at + layout.size, step)]

    return _guard(layout.size, read)


def _struct_reader(layout: Layout) -> Reader:
    readers = [(member.name, _member_reader(member)) for member in layout.members]

    def read(data: Buffer, at: int) -> dict[str, Any]:
        value: dict[str, Any] = {}
        for name, read_member in readers:
            got = read_member(data, at)
            if name:
                value[name] = got
            elif isinstance(got, dict):
                value.update(got)
        return value

    return read


def _member_reader(member: Member) -> Reader:
    if member.bits:
        return _bitfield_reader(member)
    read, offset = reader(member.layout), member.bit_offset // 8
    return lambda data, at: read(data, at + offset)


def _bitfield_reader(member: Member) -> Reader:
    first, last = member.bit_offset // 8, (member.bit_offset + member.bits + 7) // 8
    shift = member.bit_offset - first * 8
    if sys.byteorder == "big":  # offsets count from the most significant bit there
        shift = last * 8 - member.bit_offset - member.bits
    mask, sign = (1 << member.bits) - 1, 1 << (member.bits - 1)
    layout, order = member.layout, sys.byteorder

    def read(data: Buffer, at: int) -> int | bool | None:
        if at + last > len(data):
            return None
        number = int.from_bytes(data[at + first : at + last], order) >> shift & mask
        if layout.signed and number & sign:
            number -= mask + 1
        if layout.kind == kinds.ENUM:
            return EnumValue(number, layout.values.get(number))
        return bool(number) if layout.kind == kinds.BOOL else number

    return read
