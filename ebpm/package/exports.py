"""The structs that a tool reports: found in the object, and laid out."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from ebpm.btf import types as t
from ebpm.btf.canonical import Extension
from ebpm.btf.elf import SHF_EXECINSTR, ElfObject, Section
from ebpm.btf.layout import STRUCT, Layout, Member
from ebpm.btf.layouts import layout_of
from ebpm.btf.parse import Btf
from ebpm.btf.records import read_records
from ebpm.btf.text import type_text
from ebpm.errors import InvalidObject, InvalidPackage
from ebpm.package.describe import ObjectFacts
from ebpm.package.described import described
from ebpm.package.model import ExportMember, ExportType, Package

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
_MOV_REGISTER = 0xBF
_WRITING = (0, 1, 4, 7)  # classes of instructions that write a register: LD, LDX, ALU, ALU64
_DEPTH_LIMIT = 32
_WIDEST = 256  # characters of a column


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
    alias = btf[type_id]
    return ExportType(
        name=name or found.name or (alias.name if isinstance(alias, t.Modifier) else ""),
        members=members,
        size=found.size,
        type_id=btf.strip(type_id),
    )


def with_buffers(package: Package, carried: Mapping[str, int | None]) -> Package:
    """Say of each buffer what it carries, where they do not all carry the same.

    Args:
        package: with these types among its exports.
        carried: BTF ids by map name.
    """
    if len(set(carried.values())) < 2:
        return package
    maps = [
        replace(one, export={"btf_type_id": carried[one.name]}) if one.name in carried else one
        for one in package.maps
    ]
    return replace(package, maps=tuple(maps), multiple_exports=True)


def with_samples(package: Package) -> Package:
    """Say of each sampled map that it reports, where every map must say so."""
    if not package.multiple_exports:
        return package
    maps = [
        replace(one, export="default") if one.sample and one.export is None else one
        for one in package.maps
    ]
    return replace(package, maps=tuple(maps))


def export_layout(facts: ObjectFacts, export: ExportType) -> Layout | None:
    """Lay out an export type: the members it names, in its order; None where BTF lacks it.

    An export type may bring along BTF of its own (:mod:`ebpm.package.described`).

    A name that the struct does not have is left out, which is how people hide a column. Members of
    anonymous structs go by their own names, or all together where the export names the struct.

    Raises:
        InvalidPackage: the width of a column is no number of characters.
    """
    brought = described(export)
    type_id = _find(facts, export)
    if brought is None and type_id is None:
        return None
    whole = layout_of(*brought) if brought else facts.layout(type_id or 0)
    named = dict(_named(whole.members, 0))
    anonymous = iter([member for member in whole.members if not member.name])
    chosen = [named.get(one.name) if one.name else next(anonymous, None) for one in export.members]
    members = tuple(
        _wide(member, one) if one.name else member
        for member, one in zip(chosen, export.members, strict=True)
        if member is not None
    )
    return Layout(STRUCT, export.name, whole.size, members=members or whole.members)


def with_widths(layout: Layout, exports: Iterable[ExportType]) -> Layout:
    """Give a struct's columns the widths that the export type of its name has for them."""
    known = {
        one.name: one
        for export in exports
        if export.name and export.name == layout.name
        for one in export.members
    }
    members = tuple(
        _wide(one, known[one.name]) if one.name in known else one for one in layout.members
    )
    return Layout(layout.kind, layout.name, layout.size, members=members)


def _wide(member: Member, column: ExportMember) -> Member:
    width = column.extra.get("width", 0)
    if not isinstance(width, int) or isinstance(width, bool) or not 0 <= width <= _WIDEST:
        raise InvalidPackage(
            f"column {column.name!r} is to be {width!r} wide",
            hint=f"@width takes a number of characters, {_WIDEST} at most",
        )
    return Member(member.name, member.bit_offset, member.bits, member.layout, width)


def _named(members: Iterable[Member], base: int) -> Iterator[tuple[str, Member]]:
    """Walk the members that have a name, those of anonymous ones among them."""
    for one in members:
        if one.name:
            yield one.name, Member(one.name, base + one.bit_offset, one.bits, one.layout)
        else:
            yield from _named(one.layout.members, base + one.bit_offset)


def _find(facts: ObjectFacts, export: ExportType) -> int | None:
    """Find an export type: by its id, if that is the struct of its name, else by its name.

    The objects of a package may number their types differently, and the ids are the first one's.
    """
    btf = facts.btf
    if btf is None:
        return None
    named = None
    if export.type_id is not None and 0 < export.type_id < len(btf):
        named = btf[btf.strip(export.type_id)]
        if isinstance(named, t.Struct) and named.name == export.name:
            return export.type_id
    for kind in (t.KIND_STRUCT, t.KIND_TYPEDEF):
        by_name = btf.find(kind, export.name)
        if by_name is not None and isinstance(btf[btf.strip(by_name)], t.Struct):
            return by_name
    return export.type_id if isinstance(named, t.Struct) and not named.name else None


def inferred_types(facts: ObjectFacts) -> dict[str, list[int]]:
    """Guess what each buffer carries: the one struct that is as long as what is submitted to it.

    Returns:
        BTF ids by map name; a map whose records fit no struct, or several, is absent.
    """
    if facts.btf is None:
        return {}
    buffers = {fact.name for fact in facts.maps if fact.type in BUFFERS}
    by_size: dict[int, list[int]] = {}
    for type_id in _spoken_of(facts, facts.btf):
        found = facts.btf[facts.btf.strip(type_id)]
        if isinstance(found, t.Struct) and not found.union and found.members:
            by_size.setdefault(found.size, []).append(type_id)
    guessed: dict[str, list[int]] = {}
    for name, sizes in _submitted(facts.elf).items():
        fits = [by_size.get(size, []) for size in sizes]
        if name in buffers and fits and all(len(one) == 1 for one in fits):
            guessed[name] = [one[0] for one in fits]
    return guessed


def guessed_type(facts: ObjectFacts, name: str) -> tuple[int | None, str]:
    """Guess what a buffer carries that no metadata speaks of.

    By the size that is submitted; where the code does not tell it, by a struct that is called like
    the map (``events``: ``event``, ``event_t``), or simply ``event``; else the only one there is.

    Args:
        facts: of the object.
        name: of the map.

    Returns:
        a BTF id, and ""; or None, and why.
    """
    if facts.btf is None:
        return None, "the object has no BTF"
    types = inferred_types(facts).get(name, [])
    if len(types) == 1:
        return types[0], ""
    if types:
        return None, f"it carries {len(types)} different structs"
    sizes = _submitted(facts.elf).get(name, [])
    named: dict[str, int] = {}
    for type_id in _spoken_of(facts, facts.btf):
        found = facts.btf[facts.btf.strip(type_id)]
        if isinstance(found, t.Struct) and not found.union and found.members:
            own = facts.btf[type_id]
            named[found.name or (own.name if isinstance(own, t.Modifier) else "")] = type_id
    if sizes:
        lengths = " and ".join(str(size) for size in sizes)
        return None, f"its records have {lengths} bytes, and no struct or several are that long"
    one = name.removesuffix("s")
    for wanted in (one, f"{one}_t", name, f"{name}_t", f"{one}_event", "event", "event_t"):
        if wanted in named:
            return named[wanted], ""
    entries = {fact.key_type for fact in facts.maps} | {fact.value_type for fact in facts.maps}
    rest = [type_id for type_id in named.values() if type_id not in entries]
    if len(rest) == 1:
        return rest[0], ""
    return None, "the code does not tell its records' size, and no struct is called like it"


def _spoken_of(facts: ObjectFacts, btf: Btf) -> list[int]:
    """List the named structs of variables, map entries and the parameters of functions.

    Also those that nothing refers to, which is how ``ebpm build`` adds an event that only the code
    mentions. The other structs are the kernel's: what a program's context is, and what is in it.
    """
    programs = {fact.name for fact in facts.programs}
    roots = [type_id for fact in facts.maps for type_id in (fact.key_type, fact.value_type)]
    roots += [fact.type_id for fact in facts.variables]
    for _, function in btf.of_kind(t.Function):
        prototype = btf[function.type]
        if function.name not in programs and isinstance(prototype, t.FunctionType):
            roots += [of for _, of in prototype.parameters]
    roots += _alone(facts.elf, btf)
    found: dict[int, None] = {}
    for root in roots:
        type_id = root or 0
        for _ in range(_DEPTH_LIMIT):
            one = btf[type_id]
            if (isinstance(one, t.Struct) and one.name) or _names_struct(btf, one):
                found[type_id] = None
                break
            if isinstance(one, t.Modifier | t.Pointer):
                type_id = one.target
            elif isinstance(one, t.Array):
                type_id = one.element
            else:
                break
    return list(found)


def _alone(elf: ElfObject, btf: Btf) -> list[int]:
    """List the structs and typedefs that neither a type nor the code refers to."""
    records = read_records(btf)
    used = {
        target
        for record in records
        if record.kind != t.KIND_DECL_TAG
        for target in record.targets()
    }
    if (section := elf.section(".BTF.ext")) is not None:
        extension = Extension(btf.order, section.data)
        used |= {extension.word(at) for at in extension.types}
    kinds = (t.KIND_STRUCT, t.KIND_TYPEDEF)
    return [at for at, record in enumerate(records) if record.kind in kinds and at not in used]


def _names_struct(btf: Btf, one: t.Type) -> bool:
    """Whether a typedef is the only name of a struct."""
    if not isinstance(one, t.Modifier) or one.kind != t.KIND_TYPEDEF:
        return False
    target = btf[btf.strip(one.target)]
    return isinstance(target, t.Struct) and not target.name


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
    """Follow maps and constants through the registers, from one call to the next."""
    symbols = {one.offset: one.symbol for one in elf.relocations(section)}
    known: dict[int, str | int] = {}  # by register: a map's name, or a number
    for at in range(0, len(section.data) - 7, 8):
        code, registers, _, value = struct.unpack_from(elf.order + "BBhi", section.data, at)
        target, source = registers & 15, registers >> 4
        if elf.order == ">":
            target, source = source, target
        if code == _CALL:
            places = _CALLS.get(value, ()) if source == 0 else ()  # else it is no helper
            name, size = (known.get(register) for register in places or (0, 0))
            if isinstance(name, str) and isinstance(size, int):
                yield name, size
            for register in range(6):  # a call overwrites r0 to r5
                known.pop(register, None)
            continue
        if code & 7 not in _WRITING:
            continue
        moved = known.get(source)
        known.pop(target, None)
        if code == _MOV_REGISTER and moved is not None:
            known[target] = moved
        elif code in _MOV_IMMEDIATE:
            known[target] = value
        elif code == _LOAD_64 and symbols.get(at, len(elf.symbols)) < len(elf.symbols):
            known[target] = elf.symbols[symbols[at]].name
