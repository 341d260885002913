"""Merged types as one BTF: ids, layout, enumerators, bytes.

Layout follows libbpf's ``btf_dump``, which prints the result: what it would take for packed is
laid out as packed, and so on, so that the C it prints has the sizes and offsets found here.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ebpm.btf import types as t
from ebpm.btf.parse import HEADER_SIZE, MAGIC

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from btfmerge import Field, Merger, Place, Record, Slot

    from ebpm.btf.parse import Btf

_FOREIGN = ("__Poly", "__mfp")  # what GCC calls the elements of Arm's vectors; clang has no such
_UNSIGNED = {
    1: "unsigned char",
    2: "short unsigned int",
    4: "unsigned int",
    8: "long unsigned int",
    16: "__int128 unsigned",
}
_INDEX = t.Int("unsigned int", 4, 0, 0, 32)  # of every array


class Types:
    """The types of a header, with ids of their own: slot n of the merger is type n + 1."""

    def __init__(self, merger: Merger) -> None:
        self.merger = merger
        self.types: list[t.Type] = [t.Void()] * (len(merger.slots) + 1)
        self._ids: dict[t.Type, int] = {}
        self._aligns: dict[int, int] = {}
        self._signless = {at for at, one in enumerate(merger.kernels) if _signless(one.btf)}
        self._owners = self._enumerator_owners()
        self._written: set[str] = set()
        for slot in range(len(merger.slots)):
            self._define(slot)
        self._leftover_enumerators()

    # --- types of kernels to types of the header -------------------------------------------------

    def _define(self, slot: int) -> None:
        """Make the type of a slot, and first those that lie inside it."""
        if not isinstance(self.types[slot + 1], t.Void):
            return
        named = self.merger.slots[slot]
        found = self.merger.type(named.parts[0])
        if isinstance(found, t.Modifier):
            target = self._typedef_target(slot, named, (named.parts[0][0], found.target))
            self.types[slot + 1] = t.Modifier(t.KIND_TYPEDEF, named.name, target)
        elif named.record:
            self.types[slot + 1] = self._struct(named.record).replaced(name=named.name)
        elif isinstance(found, t.Enum):
            self.types[slot + 1] = self._enum(named.name, named.parts, slot)
        else:
            assert isinstance(found, t.Forward)
            self.types[slot + 1] = found

    def _typedef_target(self, slot: int, named: Slot, target: Place) -> int:
        if named.record:
            return self._id(self._struct(named.record))
        found = self.merger.type(target)
        if isinstance(found, t.Enum) and not found.name:
            behind = (self.merger.behind_typedef(part) for part in named.parts)
            parts = [part for part in behind if isinstance(self.merger.type(part), t.Enum)]
            return self._id(self._enum("", parts, slot))
        return self.reference(target)

    def _id(self, made: t.Type) -> int:
        """Give a type without a name its number; equal ones are one type."""
        if made not in self._ids:
            self._ids[made] = len(self.types)
            self.types.append(made)
        return self._ids[made]

    def reference(self, place: Place) -> int:
        """Find or make the type that stands for a kernel's type."""
        kernel = place[0]
        if place in self.merger.slot_of:
            return self.merger.slot_of[place] + 1
        found = self.merger.type(place)
        if isinstance(found, t.Int):
            foreign = found.name.startswith(_FOREIGN)
            name = _UNSIGNED[found.size] if foreign else found.name
            return self._id(found.replaced(name=name))
        if isinstance(found, t.Pointer):
            return self._id(t.Pointer(self.reference((kernel, found.target))))
        if isinstance(found, t.Array):
            element = self.reference((kernel, found.element))
            return self._id(t.Array(element, self._id(_INDEX), found.count))
        if isinstance(found, t.FunctionType):
            parameters = tuple(("", self.reference((kernel, of))) for _, of in found.parameters)
            return self._id(t.FunctionType(self.reference((kernel, found.returns)), parameters))
        if isinstance(found, t.Modifier):
            target = self.reference((kernel, found.target))
            tag = found.kind == t.KIND_TYPE_TAG
            return target if tag else self._id(t.Modifier(found.kind, "", target))
        if record := self.merger.record(place):
            return self._id(self._struct(record))
        if isinstance(found, t.Enum):
            return self._id(self._enum("", [place], place))
        return 0 if isinstance(found, t.Void) else self._id(found)

    # --- layout ----------------------------------------------------------------------------------

    def _struct(self, record: Record) -> t.Struct:
        """Lay out a struct: as its kernel does, as long as what lies inside has kept its size.

        What older kernels add lies beside the members, in a union, so that the size stays as well.
        """
        typed = [(one, self._field_type(one)) for one in record.fields]
        own = [(one, of) for one, of in typed if not one.added]
        added = [(one, of) for one, of in typed if one.added]
        moved = [at for at, (one, of) in enumerate(own) if not one.bits and not self._fits(one, of)]
        stays = (0 if record.union else moved[0]) if moved else len(own)
        members = [t.Member(one.name, of, one.bit_offset, one.bits) for one, of in own[:stays]]
        size = own[stays][0].bit_offset // 8 if moved else record.size
        made = self._append(t.Struct("", size, tuple(members), record.union), own[stays:])
        if not added or record.union:
            return self._append(made, added)
        whole = t.Struct("", made.size, (t.Member("", self._id(made), 0, 0),), union=True)
        union = self._append(whole, added)
        return t.Struct("", union.size, (t.Member("", self._id(union), 0, 0),), union=False)

    def _fits(self, one: Field, type_id: int) -> bool:
        """Whether a member can stand where its kernel has it."""
        aligned = self._align(type_id) < 16 or one.bit_offset % 128 == 0  # what libbpf overlooks
        return aligned and self.size(type_id) == self.merger.size(one.place)

    def _field_type(self, one: Field) -> int:
        if one.record:
            return self._id(self._struct(one.record))
        kernel, type_id = one.place
        while isinstance(found := self.merger.type((kernel, type_id)), t.Modifier):
            if found.kind != t.KIND_CONST:  # programs read into variables of a member's type
                break
            type_id = found.target
        return self.reference((kernel, type_id))

    def _append(self, made: t.Struct, fields: list[tuple[Field, int]]) -> t.Struct:
        """Add members behind those that are there (or beside them, in a union), as C does."""
        if not fields:
            return made
        packed = self._packed(made)
        members, size = list(made.members), made.size * 8
        for one, of in fields:
            unit, start = self.size(of) * 8, 0 if made.union else size
            crosses = start // (unit or 1) != (start + one.bits - 1) // (unit or 1)
            if not one.bits or crosses:
                start = _round_up(start, 8 if packed else self._align(of) * 8)
            members.append(t.Member(one.name, of, start, one.bits))
            size = max(size, start + (one.bits or unit))
        align = 1 if packed else max(self._align(member.type) for member in members)
        return t.Struct("", _round_up(size, align * 8) // 8, tuple(members), made.union)

    def size(self, type_id: int) -> int:
        """Tell the bytes that a value takes."""
        found = self._sized(type_id)
        if isinstance(found, t.Pointer):
            return 8
        if isinstance(found, t.Array):
            return found.count * self.size(found.element)
        return found.size if isinstance(found, t.Int | t.Float | t.Struct | t.Enum) else 0

    def _sized(self, type_id: int) -> t.Type:
        if 0 < type_id <= len(self.merger.slots):
            self._define(type_id - 1)
        found = self.types[type_id]
        return self._sized(found.target) if isinstance(found, t.Modifier) else found

    def _align(self, type_id: int) -> int:
        """Tell a type's alignment as libbpf's ``btf__align_of`` does, but for ``__int128``."""
        if type_id not in self._aligns:
            found = self._sized(type_id)
            if isinstance(found, t.Array):
                align = self._align(found.element)
            elif isinstance(found, t.Struct):
                inner = (self._align(member.type) for member in found.members)
                align = 1 if self._packed(found) else max(inner, default=1)
            else:
                align = min(16, self.size(type_id)) or 1
            self._aligns[type_id] = align
        return self._aligns[type_id]

    def _packed(self, found: t.Struct) -> bool:
        """Whether a struct does not lie as C would place it without ``packed``."""
        aligns = [(member, self._align(member.type)) for member in found.members]
        if any(not m.bits and m.bit_offset % (align * 8) for m, align in aligns):
            return True
        return found.size % max((align for _, align in aligns), default=1) != 0

    # --- enumerators -----------------------------------------------------------------------------

    def _enumerator_owners(self) -> dict[str, Place | int]:
        """Tell which enum writes an enumerator: the newest that has it, by slot or by place."""
        merger = self.merger
        owners: dict[str, Place | int] = {
            slot.name: at
            for at, slot in enumerate(merger.slots)
            if isinstance(merger.type(slot.parts[0]), t.Modifier)
        }
        homes: dict[Place, int] = {}
        for at, slot in enumerate(merger.slots):
            parts = [merger.behind_typedef(part) for part in slot.parts]
            if isinstance(merger.type(parts[0]), t.Enum):
                homes.update(dict.fromkeys(parts, at))
        for kernel, its in enumerate(merger.kernels):
            enums = [((kernel, at), enum) for at, enum in its.btf.of_kind(t.Enum)]
            for place, enum in sorted(enums, key=lambda pair: not pair[1].name):
                for name, _ in enum.values:
                    owners.setdefault(name, homes.get(place, place))
        return owners

    def _enum(self, name: str, parts: Iterable[Place], owner: Place | int) -> t.Enum:
        """Make an enum with the enumerators that it owns.

        Those of others are written with a flavour, and in an enum without a name only if it would
        be empty otherwise.
        """
        owned: dict[str, int] = {}
        others: dict[str, tuple[int, str]] = {}
        size = 0
        for part in parts:
            found = self.merger.type(part)
            assert isinstance(found, t.Enum)
            size = size or found.size
            for own, value in self._values(part, found):
                if self._owners[own] == owner:
                    owned.setdefault(own, value)
                else:
                    flavour = self.merger.kernels[part[0]].version
                    others.setdefault(own, (value, flavour))
        self._written.update(owned)
        values = owned
        if name or not owned:
            values |= {f"{own}___v{of}": value for own, (value, of) in others.items()}
        while any(value >> (size * 8) not in (0, -1) for value in values.values()):
            size *= 2
        signed = min(values.values(), default=0) < 0
        if signed and max(values.values()) >= 1 << (size * 8 - 1):
            signed, values = False, {own: v & (1 << size * 8) - 1 for own, v in values.items()}
        return t.Enum(name, size, signed, tuple(values.items()))

    def _values(self, place: Place, enum: t.Enum) -> list[tuple[str, int]]:
        """Read enumerators; old BTF has 32 bits for them and does not tell which are negative."""
        if place[0] not in self._signless:
            return list(enum.values)
        if enum.size > 4:
            return []
        return [(name, value - (value >> 31 << 32)) for name, value in enum.values]

    def _leftover_enumerators(self) -> None:
        """Write the enums without a name that no struct and no typedef has."""
        for kernel, its in enumerate(self.merger.kernels):
            for type_id, enum in its.btf.of_kind(t.Enum):
                place = kernel, type_id
                missing = (name for name, _ in enum.values if name not in self._written)
                if any(self._owners[name] == place for name in missing):
                    self._id(self._enum("", [place], place))


def _signless(btf: Btf) -> bool:
    """Whether BTF was made before enums had signs and 64 bits (Linux 6.0)."""
    enums = btf.of_kind(t.Enum)
    return not any(enum.signed or btf.kind(at) == t.KIND_ENUM64 for at, enum in enums)


def _round_up(number: int, unit: int) -> int:
    return -(-number // unit) * unit


def useless(types: list[t.Type], known: set[str] | None) -> set[int]:
    """Find types that no program needs: the offsets that trace macros keep to themselves.

    Given enumerators that are known, also enums that have none of them and that no type refers to.
    """
    used: set[int] = set()
    for found in types:
        if isinstance(found, t.Pointer | t.Modifier):
            used.add(found.target)
        elif isinstance(found, t.Array):
            used.add(found.element)
        elif isinstance(found, t.Struct):
            used.update(member.type for member in found.members)
        elif isinstance(found, t.FunctionType):
            used.update((found.returns, *(of for _, of in found.parameters)))
    return {
        at
        for at, found in enumerate(types)
        if (isinstance(found, t.Struct) and found.name.startswith("trace_event_data_offsets_"))
        or (
            isinstance(found, t.Enum)
            and known is not None
            and at not in used
            and known.isdisjoint(name for name, _ in found.values)
        )
    }


def encode(types: list[t.Type]) -> bytes:
    """Write types as BTF; the list's index is the id."""
    strings, places = bytearray(1), {"": 0}

    def text(name: str) -> int:
        if name not in places:
            places[name] = len(strings)
            strings.extend(name.encode() + b"\0")
        return places[name]

    out = bytearray()
    for found in types[1:]:
        kind, entries, flag, word, tail = _record(found, text)
        name = text(getattr(found, "name", ""))
        out += struct.pack("=III", name, flag << 31 | kind << 24 | entries, word)
        out += struct.pack(f"={len(tail)}I", *(number & 0xFFFFFFFF for number in tail))
    sizes = 0, len(out), len(out), len(strings)
    return struct.pack("=HBBIIIII", MAGIC, 1, 0, HEADER_SIZE, *sizes) + out + strings


def _record(found: t.Type, text: Callable[[str], int]) -> tuple[int, int, bool, int, list[int]]:
    """Take a type apart: its kind, how many entries, the flag, size or type, and its tail."""
    if isinstance(found, t.Int):
        return t.KIND_INT, 0, False, found.size, [found.encoding << 24 | found.bits]
    if isinstance(found, t.Float):
        return t.KIND_FLOAT, 0, False, found.size, []
    if isinstance(found, t.Pointer):
        return t.KIND_PTR, 0, False, found.target, []
    if isinstance(found, t.Array):
        return t.KIND_ARRAY, 0, False, 0, [found.element, found.index, found.count]
    if isinstance(found, t.Modifier):
        return found.kind, 0, False, found.target, []
    if isinstance(found, t.Forward):
        return t.KIND_FWD, 0, found.union, 0, []
    if isinstance(found, t.FunctionType):
        tail = [number for _, of in found.parameters for number in (0, of)]
        return t.KIND_FUNC_PROTO, len(found.parameters), False, found.returns, tail
    if isinstance(found, t.Enum):
        wide = found.size == 8
        tail = [n for own, v in found.values for n in (text(own), v, v >> 32)[: 3 if wide else 2]]
        kind = t.KIND_ENUM64 if wide else t.KIND_ENUM
        return kind, len(found.values), found.signed, found.size, tail
    if isinstance(found, t.Struct):
        flag = any(member.bits for member in found.members)
        tail = [
            number
            for m in found.members
            for number in (text(m.name), m.type, m.bits << 24 | m.bit_offset)
        ]
        kind = t.KIND_UNION if found.union else t.KIND_STRUCT
        return kind, len(found.members), flag, found.size, tail
    raise TypeError(f"{found} has no place in a header")
