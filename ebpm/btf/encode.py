"""Values to bytes, by layout: what parameters and map entries are written with."""

from __future__ import annotations

import struct
import sys

from ebpm.btf import layout as kinds
from ebpm.btf.decode import V4_PREFIX

_SHOWN = 80
_FLOATS = {2: ("e", 65504.0), 4: ("f", 3.4028235e38), 8: ("d", 1.7976931348623157e308)}  # IEEE 754

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ebpm.btf.layout import Layout, Member
    from ebpm.plainjson import Json


def encode(layout: Layout, value: Json, before: bytes | None = None) -> bytes:
    """Write a JSON value as a value of a layout, in native byte order.

    Args:
        layout: the type of the variable or map entry.
        value: integers, booleans, floats; enumerators, system calls, signals and errors by name
            or number; text for char arrays (UTF-8, with its NUL) and IP addresses; lists for
            arrays; mappings for structs.
        before: what stands there now: bytes that the value does not mention (the rest of a
            string, members not named) stay as they are. Zero bytes if None.

    Returns:
        ``layout.size`` bytes.

    Raises:
        ValueError: the value does not fit the type; the text says what would.
    """
    old = before if before is not None and len(before) == layout.size else bytes(layout.size)
    if layout.kind in (*kinds.INTEGERS, kinds.BOOL, kinds.ENUM, kinds.POINTER, kinds.CGROUP):
        return _integer(layout, value, layout.size * 8)
    if layout.kind == kinds.FLOAT:
        return _float(layout, value)
    if layout.kind == kinds.STRING:
        return _string(layout, value, old)
    if layout.kind == kinds.ADDRESS:
        return _address(value)
    if layout.kind == kinds.ARRAY:
        return _array(layout, value, old)
    if layout.kind in (kinds.STRUCT, kinds.UNION):
        return _struct(layout, value, old)
    raise ValueError(f"a value of type {layout.name or layout.kind} cannot be given")


def _shown(value: Json) -> str:
    """Write a value for an error, and not all of a long one."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def integer_range(layout: Layout, bits: int) -> tuple[int, int]:
    """Tell the smallest and the largest integer of a layout, ``bits`` wide."""
    if layout.kind == kinds.BOOL:
        return 0, 1
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if layout.signed else (0, (1 << bits) - 1)


def _number(layout: Layout, value: Json) -> int:
    if layout.kind == kinds.ENUM and isinstance(value, str):
        for number, name in layout.values.items():
            if name == value:
                return number
        known = ", ".join(layout.values.values())
        raise ValueError(f"{_shown(value)} is not one of {known}")
    if layout.kind in kinds.NAMED and isinstance(value, str):
        from ebpm.btf.numbers import number_of

        return number_of(layout.kind, value)
    if isinstance(value, int):
        return int(value)
    raise ValueError(
        f"{_shown(value)} is not {'true or false' if layout.kind == kinds.BOOL else 'an integer'}"
    )


def _integer(layout: Layout, value: Json, bits: int) -> bytes:
    number = _number(layout, value)
    low, high = integer_range(layout, bits)
    if not low <= number <= high:
        name = layout.name or layout.kind
        raise ValueError(f"{number} is out of range for {name}, which holds {low} to {high}")
    return number.to_bytes(layout.size, sys.byteorder, signed=number < 0)


def _float(layout: Layout, value: Json) -> bytes:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{_shown(value)} is not a number")
    if layout.size not in _FLOATS:
        raise ValueError(f"a value of type {layout.name} cannot be given")
    code, most = _FLOATS[layout.size]
    try:
        return struct.pack(f"={code}", value)
    except (OverflowError, struct.error):
        raise ValueError(
            f"{_shown(value)} is out of range for {layout.name}, which holds {-most} to {most}"
        ) from None


def _string(layout: Layout, value: Json, old: bytes) -> bytes:
    if not isinstance(value, str):
        raise ValueError(f"{_shown(value)} is not text")
    data = value.encode("utf-8", "surrogateescape") + b"\0"
    if len(data) > layout.size:
        raise ValueError(
            f"the text takes {len(data)} bytes with its NUL, and char[{layout.size}] holds fewer"
        )
    return data + old[len(data) :]


def _address(value: Json) -> bytes:
    from _socket import AF_INET, AF_INET6, inet_pton

    text = str(value)
    try:
        return inet_pton(AF_INET6, text) if ":" in text else V4_PREFIX + inet_pton(AF_INET, text)
    except (OSError, ValueError):
        raise ValueError(f"{_shown(value)} is not an IP address") from None


def _array(layout: Layout, value: Json, old: bytes) -> bytes:
    element = layout.element
    assert element is not None
    if isinstance(value, str) and element.kind == kinds.INT and element.size == 1:
        return _string(layout, value, old)
    if not isinstance(value, list):
        raise ValueError(f"{_shown(value)} is not a list")
    if len(value) > layout.count:
        raise ValueError(f"{len(value)} values are too many: the array holds {layout.count}")
    step = element.size
    parts = [
        encode(element, item, old[at * step : (at + 1) * step]) for at, item in enumerate(value)
    ]
    return b"".join(parts) + old[len(value) * step :]


def _struct(layout: Layout, value: Json, old: bytes) -> bytes:
    if not isinstance(value, dict):
        raise ValueError(f"{_shown(value)} is not a mapping of member names to values")
    out = bytearray(old)
    members = dict(_named(layout, 0))
    for name, item in value.items():
        if name not in members:
            raise ValueError(f"no member {name!r}; there are {', '.join(members) or 'none'}")
        base, member = members[name]
        if member.bits:
            _put_bits(out, base + member.bit_offset, member, item)
            continue
        at = (base + member.bit_offset) // 8
        end = at + member.layout.size
        try:
            out[at:end] = encode(member.layout, item, bytes(out[at:end]))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return bytes(out)


def _named(layout: Layout, base: int) -> list[tuple[str, tuple[int, Member]]]:
    """List the members by name, those of anonymous members among them, with their bit bases."""
    found: list[tuple[str, tuple[int, Member]]] = []
    for member in layout.members:
        if member.name:
            found.append((member.name, (base, member)))
        else:
            found += _named(member.layout, base + member.bit_offset)
    return found


def _put_bits(out: bytearray, bit: int, member: Member, value: Json) -> None:
    number = _number(member.layout, value)
    low, high = integer_range(member.layout, member.bits)
    if not low <= number <= high:
        raise ValueError(
            f"{member.name}: {number} is out of range for {member.bits} bits, {low} to {high}"
        )
    first, last = bit // 8, (bit + member.bits + 7) // 8
    shift = bit - first * 8 if sys.byteorder == "little" else last * 8 - bit - member.bits
    mask = (1 << member.bits) - 1
    word = int.from_bytes(out[first:last], sys.byteorder)
    word = word & ~(mask << shift) | (number & mask) << shift
    out[first:last] = word.to_bytes(last - first, sys.byteorder)
