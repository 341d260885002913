"""A BPF object without its DWARF: what ``llvm-strip -g`` writes, without llvm-strip.

The sections that the kernel and libbpf read (.BTF and .BTF.ext among them) stay; debug sections,
the address-significance table and the relocations of what is gone go.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping

from ebpm.btf.elf import (
    SHN_LORESERVE,
    SHT_NOBITS,
    SHT_REL,
    SHT_RELA,
    SHT_SYMTAB,
    STB_LOCAL,
    ElfObject,
    Section,
    Symbol,
)
from ebpm.errors import InvalidObject

_LARGEST_ALIGNMENT = 1 << 16
_NEEDLESS = frozenset((".llvm_addrsig", ".comment", ".eh_frame"))


def strip(
    elf: ElfObject, *, drop: Collection[str] = (), contents: Mapping[str, bytes] | None = None
) -> bytes:
    """Write an object again without debug information.

    Args:
        elf: the object as read.
        drop: names of further sections to leave out.
        contents: new bytes for sections, by name.

    Raises:
        InvalidObject: a relocation that stays refers to a symbol that goes.
    """
    contents = contents or {}
    kept = [section for section in elf.sections if not _debug(section, elf, drop)]
    numbers = {section.index: number for number, section in enumerate(kept)}
    for section in kept:
        _check(section, numbers)
    names = _Strings()
    symbols, symbol_numbers = _symbols(elf, numbers)
    bodies = {
        section.index: contents.get(section.name, section.data) for section in kept if section.type
    }
    table = next((section for section in kept if section.type == SHT_SYMTAB), None)
    if table is None:
        raise InvalidObject("the object has no symbol table")
    bodies[table.index] = b"".join(_pack_symbol(elf.order, one, names) for one in symbols)
    section_names = [names.add(section.name) for section in kept]
    for section in kept:
        if section.type == SHT_REL:
            bodies[section.index] = _relocations(elf.order, section, symbol_numbers)
    (string_table,) = struct.unpack_from(elf.order + "H", elf.header, 62)
    for index in {table.link, string_table}:
        bodies[index] = bytes(names.data)
    local = sum(symbol.binding == STB_LOCAL for symbol in symbols)
    infos = {table.index: local}
    return _assemble(elf, kept, numbers, bodies, section_names, infos)


def _debug(section: Section, elf: ElfObject, drop: Collection[str]) -> bool:
    if section.type in (SHT_REL, SHT_RELA) and section.info < len(elf.sections):
        return _debug(elf.sections[section.info], elf, drop) or section.name in drop
    name = section.name
    return name.startswith(".debug_") or name in _NEEDLESS or name in drop


def _check(section: Section, numbers: Mapping[int, int]) -> None:
    if section.align > _LARGEST_ALIGNMENT:
        raise InvalidObject(f"section {section.name} has an alignment of {section.align}")
    if section.type == SHT_REL and section.info not in numbers:
        raise InvalidObject(f"{section.name} applies to a section that is not there")
    if section.type == SHT_REL and len(section.data) % 16:
        raise InvalidObject(f"{section.name}: the relocation table is damaged")


class _Strings:
    """A string table that holds each string once."""

    def __init__(self) -> None:
        self.data = bytearray(b"\0")
        self._places = {"": 0}

    def add(self, text: str) -> int:
        if text not in self._places:
            self._places[text] = len(self.data)
            self.data += text.encode() + b"\0"
        return self._places[text]


def _symbols(elf: ElfObject, numbers: Mapping[int, int]) -> tuple[list[Symbol], dict[int, int]]:
    """Keep the symbols whose section stays; also tell each one's new number."""
    kept: list[Symbol] = []
    places: dict[int, int] = {}
    for old, symbol in enumerate(elf.symbols):
        section = symbol.section
        if 0 < section < SHN_LORESERVE:
            if section not in numbers:
                continue
            section = numbers[section]
        places[old] = len(kept)
        kept.append(symbol.replaced(section=section))
    return kept, places


def _pack_symbol(order: str, symbol: Symbol, names: _Strings) -> bytes:
    info = symbol.binding << 4 | symbol.type
    fields = (names.add(symbol.name), info, symbol.other, symbol.section)
    return struct.pack(order + "IBBHQQ", *fields, symbol.value, symbol.size)


def _relocations(order: str, section: Section, places: Mapping[int, int]) -> bytes:
    out = bytearray()
    for offset, info in struct.iter_unpack(order + "QQ", section.data):
        if info >> 32 not in places:
            raise InvalidObject(f"{section.name}: a relocation refers to a symbol that is gone")
        out += struct.pack(order + "QQ", offset, places[info >> 32] << 32 | info & 0xFFFFFFFF)
    return bytes(out)


def _assemble(
    elf: ElfObject,
    kept: list[Section],
    numbers: Mapping[int, int],
    bodies: Mapping[int, bytes],
    names: list[int],
    infos: Mapping[int, int],
) -> bytes:
    out = bytearray(64)
    headers = bytearray()
    for section, name in zip(kept, names, strict=True):
        if not section.type:
            headers += bytes(64)
            continue
        out += bytes(-len(out) % max(1, section.align))
        body = bodies[section.index]
        size = section.size if section.type == SHT_NOBITS else len(body)
        info = infos.get(section.index, section.info)
        if section.type == SHT_REL:
            info = numbers[section.info]
        headers += struct.pack(
            elf.order + "IIQQQQIIQQ",
            *(name, section.type, section.flags, 0, len(out), size),
            *(numbers.get(section.link, 0), info, section.align, section.entry_size),
        )
        out += body
    out += bytes(-len(out) % 8)
    (string_table,) = struct.unpack_from(elf.order + "H", elf.header, 62)
    header = bytearray(elf.header)
    struct.pack_into(elf.order + "Q", header, 40, len(out))
    struct.pack_into(elf.order + "HH", header, 60, len(kept), numbers[string_table])
    out[:64] = header
    return bytes(out + headers)
