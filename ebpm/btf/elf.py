"""The ELF file around BTF: sections, symbols and relocations of a 64-bit BPF object.

A relocatable object is three tables of records. They are read here and not with pyelftools, which
believes what a file says of itself: objects come from strangers, and a few kilobytes can claim
gigabytes of names. Whatever is read is bounded by the size of the file.
"""

from __future__ import annotations

import struct

from ebpm.btf.value import Value
from ebpm.errors import InvalidObject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

EM_BPF, ET_REL = 247, 1
SHT_NULL, SHT_SYMTAB, SHT_RELA, SHT_NOBITS, SHT_REL = 0, 2, 4, 8, 9
SHF_EXECINSTR = 4
SHN_LORESERVE = 0xFF00
STT_OBJECT, STT_FUNC, STT_SECTION = 1, 2, 3
STB_LOCAL, STB_GLOBAL, STB_WEAK = 0, 1, 2
_HEADER_SIZE, _SECTION_SIZE, _SYMBOL_SIZE = 64, 64, 24
_NAMES_SLACK = 1 << 16  # names may share their ends, which compilers make little use of


class Section(Value):
    """One section with the fields of its header; ``data`` is empty for NOBITS."""

    __slots__ = (
        "align",
        "data",
        "entry_size",
        "flags",
        "index",
        "info",
        "link",
        "name",
        "size",
        "type",
    )

    def __init__(
        self,
        index: int,
        name: str,
        kind: int,
        flags: int,
        size: int,
        link: int,
        info: int,
        align: int,
        entry_size: int,
        data: bytes,
    ) -> None:
        self.index = index
        self.name = name
        self.type = kind
        self.flags = flags
        self.size = size
        self.link = link
        self.info = info
        self.align = align
        self.entry_size = entry_size
        self.data = data


class Symbol(Value):
    """One symbol; ``section`` is an index, 0 where the symbol is not defined here."""

    __slots__ = ("binding", "name", "other", "section", "size", "type", "value")

    def __init__(
        self,
        name: str,
        kind: int,
        binding: int,
        section: int,
        value: int,
        size: int,
        other: int = 0,
    ) -> None:
        self.name = name
        self.type = kind
        self.binding = binding
        self.section = section
        self.value = value
        self.size = size
        self.other = other


class Relocation(Value):
    """A place in a section, in bytes, that refers to the symbol of that index."""

    __slots__ = ("offset", "symbol", "type")

    def __init__(self, offset: int, symbol: int, kind: int) -> None:
        self.offset = offset
        self.symbol = symbol
        self.type = kind


class ElfObject(Value):
    """A BPF object file. ``order`` is "<" or ">", as :mod:`struct` writes it."""

    __slots__ = ("header", "order", "sections", "symbols")

    def __init__(
        self, order: str, header: bytes, sections: tuple[Section, ...], symbols: tuple[Symbol, ...]
    ) -> None:
        self.order = order
        self.header = header  # the 64 bytes at the start of the file
        self.sections = sections
        self.symbols = symbols

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
    order = _check_header(data)
    (table,) = struct.unpack_from(order + "Q", data, 40)
    count, names = struct.unpack_from(order + "HH", data, 60)
    headers = list(
        struct.iter_unpack(order + "IIQQQQIIQQ", data[table : table + count * _SECTION_SIZE])
    )
    contents = _contents(data, headers)
    strings = _Names(contents[names], "a section")
    sections = tuple(
        Section(
            index=index,
            name=strings.at(header[0]),
            kind=header[1],
            flags=header[2],
            size=header[5],
            link=header[6],
            info=header[7],
            align=header[8],
            entry_size=header[9],
            data=content,
        )
        for index, (header, content) in enumerate(zip(headers, contents, strict=True))
    )
    return ElfObject(order, data[:_HEADER_SIZE], sections, tuple(_symbols(order, sections)))


def _check_header(data: bytes) -> str:
    """Check the file's header; tell the byte order."""
    if data[:4] != b"\x7fELF":
        raise InvalidObject("not an ELF file")
    if len(data) < _HEADER_SIZE:
        raise InvalidObject("the ELF file is cut off inside its header")
    if data[4] != 2 or data[5] not in (1, 2):
        raise InvalidObject("not a 64-bit ELF file")
    order = "<" if data[5] == 1 else ">"
    kind, machine = struct.unpack_from(order + "HH", data, 16)
    if machine != EM_BPF:
        raise InvalidObject(f"an ELF file for machine {machine}, not for BPF ({EM_BPF})")
    if kind != ET_REL:
        raise InvalidObject(f"an ELF file of type {kind}, not a relocatable object ({ET_REL})")
    (at,) = struct.unpack_from(order + "Q", data, 40)
    entry, count, names = struct.unpack_from(order + "HHH", data, 58)
    if entry != _SECTION_SIZE or not count or names >= count or at + entry * count > len(data):
        raise InvalidObject("the ELF file is cut off, or its section table is damaged")
    return order


def _contents(data: bytes, headers: list[tuple[int, ...]]) -> list[bytes]:
    """Cut the sections out of the file; empty where a section has no bytes in it."""
    contents = []
    total = 0
    for index, header in enumerate(headers):
        kind, at, size = header[1], header[4], header[5]
        if kind in (SHT_NULL, SHT_NOBITS):
            contents.append(b"")
            continue
        total += size
        if at + size > len(data):
            raise InvalidObject(f"section {index} reaches beyond the file")
        if total > len(data):
            raise InvalidObject("the sections overlap: together they are larger than the file")
        contents.append(data[at : at + size])
    return contents


class _Names:
    """A string table, read with care: names may share bytes, and thus be longer than the table."""

    def __init__(self, data: bytes, whose: str) -> None:
        self._data = data
        self._whose = whose
        self._known: dict[int, str] = {}
        self._left = 2 * len(data) + _NAMES_SLACK

    def at(self, offset: int) -> str:
        """Read the name that begins at an offset."""
        if offset not in self._known:
            end = self._data.find(b"\0", offset)
            if end < 0:
                raise InvalidObject(f"the name of {self._whose} points outside the string table")
            self._left -= end - offset
            if self._left < 0:
                raise InvalidObject("the names are longer than their string table")
            self._known[offset] = self._data[offset:end].decode("utf-8", "replace")
        return self._known[offset]


def _symbols(order: str, sections: tuple[Section, ...]) -> Iterator[Symbol]:
    for section in sections:
        if section.type != SHT_SYMTAB:
            continue
        if section.link >= len(sections) or len(section.data) % _SYMBOL_SIZE:
            raise InvalidObject("the symbol table is damaged")
        names = _Names(sections[section.link].data, "a symbol")
        for at, info, other, where, value, size in struct.iter_unpack(
            order + "IBBHQQ", section.data
        ):
            yield Symbol(names.at(at), info & 15, info >> 4, where, value, size, other)
