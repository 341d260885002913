"""Layouts out of BTF."""

from __future__ import annotations

from ebpm.btf import layout as kinds
from ebpm.btf import types as t
from ebpm.btf.layout import Layout, Member
from ebpm.btf.parse import Btf
from ebpm.errors import InvalidBtf

_DEPTH_LIMIT = 32
_MEANINGS = {  # of our headers: structs whose name says what their bytes mean, with their sizes
    "ebpm_ip": (kinds.ADDRESS, 16),
    "ebpm_cgroup": (kinds.CGROUP, 8),
}
_NAMED = {  # typedefs of integers of our header <ebpm/number.h>, which say what the numbers mean
    "ebpm_syscall": kinds.SYSCALL,
    "ebpm_signal": kinds.SIGNAL,
    "ebpm_errno": kinds.ERRNO,
    "ebpm_result": kinds.RESULT,
}
_PARTS_LIMIT = 20_000  # a type of a few lines may name more parts than memory holds


def layout_of(btf: Btf, type_id: int) -> Layout:
    """Lay out a type. Functions, ``void`` and forward declarations come out as OPAQUE.

    Raises:
        InvalidBtf: the type contains itself, has more parts than anybody would print, or has a
            member that lies outside of it.
    """
    return _Builder(btf).build(type_id, "", _DEPTH_LIMIT)


class _Builder:
    def __init__(self, btf: Btf) -> None:
        self.btf = btf
        self.parts = 0

    def build(self, type_id: int, alias: str, depth: int) -> Layout:
        """Lay out a type that a typedef may have named ``alias``."""
        self.parts += 1
        if not depth or self.parts > _PARTS_LIMIT:
            raise InvalidBtf(f"BTF type {type_id} is nested too deeply")
        found = self.btf[type_id]
        if isinstance(found, t.Modifier):
            named = found.name if found.kind == t.KIND_TYPEDEF else ""
            return self.build(found.target, alias or named, depth - 1)
        if isinstance(found, t.Int):
            if found.boolean:
                return Layout(kinds.BOOL, alias or found.name, found.size)
            kind = _NAMED.get(alias, kinds.INT)
            return Layout(kind, alias or found.name, found.size, signed=found.signed)
        if isinstance(found, t.Float):
            return Layout(kinds.FLOAT, alias or found.name, found.size)
        if isinstance(found, t.Pointer):
            return Layout(kinds.POINTER, alias, 8)
        if isinstance(found, t.Enum):
            return _enum(found, alias)
        if isinstance(found, t.Array):
            return self._array(found, alias, depth)
        if isinstance(found, t.Struct):
            meaning, size = _MEANINGS.get(found.name, ("", 0))
            if meaning and found.size == size:
                return Layout(meaning, found.name, size)
            members = tuple(self._member(found, member, depth) for member in found.members)
            kind = kinds.UNION if found.union else kinds.STRUCT
            return Layout(kind, found.name or alias, found.size, members=members)
        return Layout(kinds.OPAQUE, alias, self.btf.size(type_id))

    def _array(self, found: t.Array, alias: str, depth: int) -> Layout:
        element = self.build(found.element, "", depth - 1)
        size = found.count * element.size
        if element.kind == kinds.INT and element.name == "char":
            return Layout(kinds.STRING, alias, size)
        return Layout(kinds.ARRAY, alias, size, count=found.count, element=element)

    def _member(self, around: t.Struct, member: t.Member, depth: int) -> Member:
        bit_offset, bits = member.bit_offset, member.bits
        inner = self.btf[self.btf.strip(member.type)]
        if not bits and isinstance(inner, t.Int) and inner.bits != inner.size * 8:
            # how bitfields were written before the kind flag (Linux < 4.20)
            bit_offset, bits = bit_offset + inner.bit_offset, inner.bits
        layout = self.build(member.type, "", depth - 1)
        if bit_offset + (bits or layout.size * 8) > around.size * 8:
            name = f"{around.name or '{...}'}.{member.name}"
            raise InvalidBtf(f"member {name} reaches beyond its {around.size} bytes")
        return Member(member.name, bit_offset, bits, layout)


def _enum(found: t.Enum, alias: str) -> Layout:
    names: dict[int, str] = {}
    for label, value in found.values:
        names.setdefault(value, label)
    return Layout(kinds.ENUM, found.name or alias, found.size, signed=found.signed, values=names)
