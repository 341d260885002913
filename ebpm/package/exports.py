"""The structs that a tool reports: found in the object, and laid out."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence

from ebpm.btf import types as t
from ebpm.btf.elf import SHF_EXECINSTR, ElfObject, Section
from ebpm.btf.layout import STRUCT, Layout
from ebpm.btf.text import type_text
from ebpm.errors import InvalidObject
from ebpm.package.describe import ObjectFacts
from ebpm.package.model import ExportMember, ExportType

BUFFERS = {27: "ringbuf", 4: "perf_event_array"}
"""The map types that carry events, by ``enum bpf_map_type``."""

_CALLS = {  # helper id: (register of the map, register of the size); include/uapi/linux/bpf.h
    25: (2, 5),  # perf_event_output
    111: (2, 5),  # skb_output
    121: (2, 5),  # xdp_output
    130: (1, 3),  # ringbuf_output
    131: (1, 2),  # ringbuf_reserve
}
_MOV_IMMEDIATE, _LOAD_64, _CALL = (0xB7, 0xB4), 0x18, 0x85  # ALU64 and, since v3, ALU32


def export_type(facts: ObjectFacts, type_id: int, name: str | None = None) -> ExportType:
    """Describe a struct of the object's BTF.

    Raises:
        InvalidObject: the type is not a struct.
    """
    btf = facts.btf
    found = btf[btf.strip(type_id)] if btf else None
    if btf is None or not isinstance(found, t.Struct):
        raise InvalidObject(f"export type {type_id} is not a struct of the object's BTF")
    members = tuple(
        ExportMember(name=member.name, type=type_text(btf, member.type)) for member in found.members
    )
    return ExportType(
        name=name or found.name,
        members=members,
        size=found.size,
        type_id=btf.strip(type_id),
    )


def export_layout(facts: ObjectFacts, export: ExportType) -> Layout | None:
    """Lay out an export type: the members it names, in its order; None where BTF lacks it.

    A name that the struct does not have is left out, which is how people hide a column.
    """
    type_id = _find(facts, export)
    if type_id is None:
        return None
    whole = facts.layout(type_id)
    members = {member.name: member for member in whole.members}
    chosen = [members[one.name] for one in export.members if one.name in members]
    return Layout(STRUCT, export.name, whole.size, members=tuple(chosen or whole.members))


def _find(facts: ObjectFacts, export: ExportType) -> int | None:
    btf = facts.btf
    if btf is None:
        return None
    if export.type_id is not None and 0 < export.type_id < len(btf):
        found = btf[btf.strip(export.type_id)]
        if isinstance(found, t.Struct) and found.name in ("", export.name):
            return export.type_id
    for kind in (t.KIND_STRUCT, t.KIND_TYPEDEF):
        by_name = btf.find(kind, export.name)
        if by_name is not None and isinstance(btf[btf.strip(by_name)], t.Struct):
            return by_name
    return None


def inferred_types(facts: ObjectFacts) -> dict[str, list[int]]:
    """Guess what each buffer carries: the one struct that is as long as what is submitted to it.

    Returns:
        BTF ids by map name; a map whose records fit no struct, or several, is absent.
    """
    if facts.btf is None:
        return {}
    buffers = {fact.name for fact in facts.maps if fact.type in BUFFERS}
    by_size: dict[int, list[int]] = {}
    for type_id, found in facts.btf.of_kind(t.Struct):
        if found.name and not found.union and found.members:
            by_size.setdefault(found.size, []).append(type_id)
    guessed: dict[str, list[int]] = {}
    for name, sizes in _submitted(facts.elf).items():
        fits = [by_size.get(size, []) for size in sizes]
        if name in buffers and fits and all(len(one) == 1 for one in fits):
            guessed[name] = [one[0] for one in fits]
    return guessed


def _submitted(elf: ElfObject) -> Mapping[str, Sequence[int]]:
    """Read the sizes that the code submits to each map, where they are constants."""
    sizes: dict[str, list[int]] = {}
    for section in elf.sections:
        if section.flags & SHF_EXECINSTR:
            for name, size in _calls(elf, section):
                if size not in sizes.setdefault(name, []):
                    sizes[name].append(size)
    return sizes


def _calls(elf: ElfObject, section: Section) -> Iterator[tuple[str, int]]:
    symbols = {one.offset: one.symbol for one in elf.relocations(section)}
    constants: dict[int, int] = {}
    maps: dict[int, str] = {}
    for at in range(0, len(section.data) - 7, 8):
        code, registers, _, value = struct.unpack_from(elf.order + "BBhi", section.data, at)
        target = registers & 15 if elf.order == "<" else registers >> 4
        if code == _CALL:
            map_register, size_register = _CALLS.get(value, (0, 0))
            if map_register in maps and size_register in constants:
                yield maps[map_register], constants[size_register]
            for register in range(6):  # a call overwrites r0 to r5
                maps.pop(register, None)
                constants.pop(register, None)
            continue
        maps.pop(target, None)
        constants.pop(target, None)
        if code in _MOV_IMMEDIATE:
            constants[target] = value
        elif code == _LOAD_64 and symbols.get(at, len(elf.symbols)) < len(elf.symbols):
            maps[target] = elf.symbols[symbols[at]].name
