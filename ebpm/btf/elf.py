"""The ELF file around BTF: sections, symbols and relocations of a 64-bit BPF object.

pyelftools reads the headers; sizes and offsets are checked here, since objects come from strangers.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ebpm.errors import InvalidObject

EM_BPF = 247
SHT_SYMTAB, SHT_RELA, SHT_NOBITS, SHT_REL = 2, 4, 8, 9
SHF_EXECINSTR = 4
SHN_LORESERVE = 0xFF00
STT_OBJECT, STT_FUNC, STT_SECTION = 1, 2, 3
STB_LOCAL, STB_GLOBAL, STB_WEAK = 0, 1, 2
_HEADER_SIZE, _SECTION_SIZE, _SYMBOL_SIZE = 64, 64, 24


@dataclass(frozen=True, slots=True)
class Section:
    """One section with the fields of its header; ``data`` is empty for NOBITS."""

    index: int
    name: str
    type: int
    flags: int
    size: int
    link: int
    info: int
    align: int
    entry_size: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Symbol:
    """One symbol; ``section`` is an index, 0 where the symbol is not defined here."""

    name: str
    type: int
    binding: int
    section: int
    value: int
    size: int
    other: int = 0


@dataclass(frozen=True, slots=True)
class Relocation:
    """A place in a section, in bytes, that refers to the symbol of that index."""

    offset: int
    symbol: int
    type: int


@dataclass(frozen=True, slots=True)
class ElfObject:
    """A BPF object file. ``order`` is "<" or ">", as :mod:`struct` writes it."""

    order: str
    header: bytes  # the 64 bytes at the start of the file
    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]

    def section(self, name: str) -> Section | None:
        """Find a section by name."""
        return next((section for section in self.sections if section.name == name), None)

    def relocations(self, section: Section) -> Iterator[Relocation]:
        """Walk the relocations (REL) that apply to a section."""
        for table in self.sections:
            if table.type == SHT_REL and table.info == section.index:
                whole = len(table.data) - len(table.data) % 16
                for offset, info in struct.iter_unpack(self.order + "QQ", table.data[:whole]):
                    yield Relocation(offset, info >> 32, info & 0xFFFFFFFF)


def read_elf(data: bytes) -> ElfObject:
    """Read a BPF object.

    Raises:
        InvalidObject: not ELF64 for BPF, or its tables point outside the file.
    """
    from elftools.elf.elffile import ELFFile

    _check_header(data)
    try:
        elf = ELFFile(io.BytesIO(data))
        order = "<" if elf.little_endian else ">"
        sections = tuple(_section(data, at, one) for at, one in enumerate(elf.iter_sections()))
    except InvalidObject:
        raise
    except Exception as error:  # noqa: BLE001  # pyelftools fails in many ways on foreign bytes
        raise InvalidObject(f"the ELF file is damaged: {error or type(error).__name__}") from None
    return ElfObject(order, data[:_HEADER_SIZE], sections, tuple(_symbols(order, sections)))


def _check_header(data: bytes) -> None:
    if data[:4] != b"\x7fELF":
        raise InvalidObject("not an ELF file")
    if len(data) < _HEADER_SIZE:
        raise InvalidObject("the ELF file is cut off inside its header")
    if data[4] != 2 or data[5] not in (1, 2):
        raise InvalidObject("not a 64-bit ELF file")
    order = "<" if data[5] == 1 else ">"
    (machine,) = struct.unpack_from(order + "H", data, 18)
    if machine != EM_BPF:
        raise InvalidObject(f"an ELF file for machine {machine}, not for BPF ({EM_BPF})")
    (at,) = struct.unpack_from(order + "Q", data, 40)
    entry, count, names = struct.unpack_from(order + "HHH", data, 58)
    if entry != _SECTION_SIZE or not count or names >= count or at + entry * count > len(data):
        raise InvalidObject("the ELF file is cut off, or its section table is damaged")


def _section(data: bytes, index: int, section: object) -> Section:
    header = section.header  # type: ignore[attr-defined]
    at, size = header.sh_offset, header.sh_size
    (number,) = struct.unpack_from("<I" if data[5] == 1 else ">I", data, _type_at(data, index))
    if number not in (0, SHT_NOBITS) and at + size > len(data):
        raise InvalidObject(f"section {section.name!r} reaches beyond the file")  # type: ignore[attr-defined]
    return Section(
        index=index,
        name=section.name,  # type: ignore[attr-defined]
        type=number,
        flags=header.sh_flags,
        size=size,
        link=header.sh_link,
        info=header.sh_info,
        align=header.sh_addralign,
        entry_size=header.sh_entsize,
        data=b"" if number in (0, SHT_NOBITS) else data[at : at + size],
    )


def _type_at(data: bytes, index: int) -> int:
    """Locate a section's type: pyelftools turns it into names, and unknown ones into numbers."""
    (table,) = struct.unpack_from("<Q" if data[5] == 1 else ">Q", data, 40)
    return int(table) + index * _SECTION_SIZE + 4


def _symbols(order: str, sections: tuple[Section, ...]) -> Iterator[Symbol]:
    for section in sections:
        if section.type != SHT_SYMTAB:
            continue
        if section.link >= len(sections) or len(section.data) % _SYMBOL_SIZE:
            raise InvalidObject("the symbol table is damaged")
        names = sections[section.link].data
        for at, info, other, where, value, size in struct.iter_unpack(
            order + "IBBHQQ", section.data
        ):
            end = names.find(b"\0", at)
            if end < 0:
                raise InvalidObject("a symbol's name points outside the string table")
            name = names[at:end].decode("utf-8", "replace")
            yield Symbol(name, info & 15, info >> 4, where, value, size, other)
