"""Objects and BTF written by hand: right ones, and wrong in whatever way a test needs.

:class:`Types` writes a .BTF section, :func:`elf` a BPF object, :func:`code` instructions. Nothing
here checks anything: ids may dangle, sizes may lie.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ebpm.btf import types as t
from ebpm.btf.parse import Btf

PROGBITS, SYMTAB, STRTAB, NOBITS, REL = 1, 2, 3, 8, 9
ALLOC, WRITE, EXEC = 2, 1, 4
SIGNED, CHAR, BOOL = 1, 2, 4


class Types:
    """A .BTF section in the making; each method adds a type and tells its id."""

    def __init__(self, order: str = "<") -> None:
        self.order = order
        self.body = bytearray()
        self.strings = bytearray(b"\0")
        self.count = 0

    def name(self, text: str | bytes | int) -> int:
        """Put a name into the table; a number stands for a place in it, right or wrong."""
        if isinstance(text, int):
            return text
        data = text.encode() if isinstance(text, str) else text
        if not data:
            return 0
        at = len(self.strings)
        self.strings += data + b"\0"
        return at

    def add(
        self,
        kind: int,
        name: str | bytes | int = "",
        word: int = 0,
        *tail: int,
        vlen: int = 0,
        flag: bool = False,
    ) -> int:
        """Add any record at all."""
        info = flag << 31 | kind << 24 | vlen
        words = [word & 0xFFFFFFFF for word in (self.name(name), info, word, *tail)]
        self.body += struct.pack(f"{self.order}{len(words)}I", *words)
        self.count += 1
        return self.count

    def integer(
        self,
        name: str = "int",
        size: int = 4,
        encoding: int = SIGNED,
        *,
        bits: int = 0,
        offset: int = 0,
    ) -> int:
        bits = bits or min(size * 8, 255)
        return self.add(t.KIND_INT, name, size, encoding << 24 | offset << 16 | bits)

    def char(self) -> int:
        return self.integer("char", 1)

    def pointer(self, target: int = 0) -> int:
        return self.add(t.KIND_PTR, "", target)

    def const(self, target: int) -> int:
        return self.add(t.KIND_CONST, "", target)

    def typedef(self, name: str, target: int) -> int:
        return self.add(t.KIND_TYPEDEF, name, target)

    def array(self, element: int, count: int) -> int:
        return self.add(t.KIND_ARRAY, "", 0, element, element, count)

    def struct(
        self, name: str | int, size: int, *members: Sequence[str | int], union: bool = False
    ) -> int:
        """Add a struct; a member is (name, type, bit offset) or (name, type, bit offset, bits)."""
        flag = any(len(member) > 3 for member in members)
        tail: list[int] = []
        for member in members:
            at, of, place, bits = (*member, 0)[:4]
            assert isinstance(of, int)
            assert isinstance(place, int)
            assert isinstance(bits, int)
            tail += [self.name(at), of, bits << 24 | place]
        kind = t.KIND_UNION if union else t.KIND_STRUCT
        return self.add(kind, name, size, *tail, vlen=len(members), flag=flag)

    def enum(
        self, name: str, values: dict[str, int], *, size: int = 4, signed: bool = False
    ) -> int:
        tail = [word for label, value in values.items() for word in (self.name(label), value)]
        return self.add(t.KIND_ENUM, name, size, *tail, vlen=len(values), flag=signed)

    def enum64(self, name: str, values: dict[str, int], *, signed: bool = False) -> int:
        tail: list[int] = []
        for label, value in values.items():
            tail += [self.name(label), value & 0xFFFFFFFF, value >> 32 & 0xFFFFFFFF]
        return self.add(t.KIND_ENUM64, name, 8, *tail, vlen=len(values), flag=signed)

    def function_type(self, returns: int, *parameters: tuple[str, int]) -> int:
        tail = [word for name, of in parameters for word in (self.name(name), of)]
        return self.add(t.KIND_FUNC_PROTO, "", returns, *tail, vlen=len(parameters))

    def function(self, name: str, of: int, linkage: int = 1) -> int:
        return self.add(t.KIND_FUNC, name, of, vlen=linkage)

    def variable(self, name: str, of: int, linkage: int = 1) -> int:
        return self.add(t.KIND_VAR, name, of, linkage)

    def section(self, name: str, size: int, *entries: tuple[int, int, int]) -> int:
        """Add a DATASEC; an entry is (variable, offset, size)."""
        tail = [word for entry in entries for word in entry]
        return self.add(t.KIND_DATASEC, name, size, *tail, vlen=len(entries))

    def map(self, name: str, kind: int, *, key: int = 0, value: int = 0, entries: int = 0) -> int:
        """Add a variable that defines a map, as libbpf's macros write it."""
        number = self.integer("int", 4)
        members: list[tuple[str, int]] = [("type", self.pointer(self.array(number, kind)))]
        if entries:
            members.append(("max_entries", self.pointer(self.array(number, entries))))
        members += [(word, self.pointer(of)) for word, of in (("key", key), ("value", value)) if of]
        fields = [(word, of, 64 * at) for at, (word, of) in enumerate(members)]
        return self.variable(name, self.struct("", 8 * len(fields), *fields))

    def raw(self) -> bytes:
        """Write the section."""
        sizes = (0, len(self.body), len(self.body), len(self.strings))
        header = struct.pack(self.order + "HBBIIIII", 0xEB9F, 1, 0, 24, *sizes)
        return header + bytes(self.body) + bytes(self.strings)

    def btf(self) -> Btf:
        """Read what was written."""
        return Btf(self.raw())


@dataclass
class Sec:
    """A section of an object; ``size`` is that of its data unless it lies."""

    name: str
    data: bytes = b""
    type: int = PROGBITS
    flags: int = ALLOC
    link: int = 0
    info: int = 0
    entry: int = 0
    align: int = 1
    size: int | None = None


@dataclass
class Sym:
    """A symbol; ``section`` is a section's name, or a number as it stands."""

    name: str
    section: str | int = 0
    value: int = 0
    size: int = 0
    type: int = 1
    binding: int = 1


@dataclass
class Rel:
    """A relocation of the section of that name: (offset, symbol's name, type)."""

    section: str
    entries: list[tuple[int, str, int]] = field(default_factory=list)


def elf(
    sections: Iterable[Sec] = (),
    symbols: Iterable[Sym] = (),
    relocations: Iterable[Rel] = (),
    *,
    order: str = "<",
    machine: int = 247,
) -> bytes:
    """Write a relocatable object; section 1 is the string table, 2 the symbol table."""
    strings = bytearray(b"\0")

    def name(text: str) -> int:
        strings.extend(text.encode() + b"\0")
        return len(strings) - len(text.encode()) - 1

    user, rels, syms = list(sections), list(relocations), [Sym(""), *symbols]
    numbers = {section.name: at for at, section in enumerate(user, 3)}
    table = b"".join(
        struct.pack(
            order + "IBBHQQ",
            name(sym.name) if sym.name else 0,
            sym.binding << 4 | sym.type if sym.name else 0,
            0,
            sym.section if isinstance(sym.section, int) else numbers[sym.section],
            sym.value,
            sym.size,
        )
        for sym in syms
    )
    places = {sym.name: at for at, sym in enumerate(syms)}
    for rel in rels:
        data = b"".join(
            struct.pack(order + "QQ", at, places[of] << 32 | kind) for at, of, kind in rel.entries
        )
        link = {"link": 2, "info": numbers[rel.section], "entry": 16}
        user.append(Sec(f".rel{rel.section}", data, REL, 0, align=8, **link))
    # Names first: the table of them must be whole before it is written.
    all_sections = [Sec("", type=0), Sec(".strtab", type=STRTAB, flags=0)]
    all_sections += [Sec(".symtab", table, SYMTAB, 0, link=1, info=1, entry=24, align=8), *user]
    at_names = [name(section.name) if section.name else 0 for section in all_sections]
    all_sections[1].data = bytes(strings)
    out, headers = bytearray(64), bytearray()
    for section, at_name in zip(all_sections, at_names, strict=True):
        out += bytes(-len(out) % section.align)
        size = len(section.data) if section.size is None else section.size
        headers += struct.pack(
            order + "IIQQQQIIQQ",
            *(at_name, section.type, section.flags, 0, len(out) if section.type else 0, size),
            *(section.link, section.info, section.align, section.entry),
        )
        out += section.data
    out += bytes(-len(out) % 8)
    ident = b"\x7fELF" + bytes([2, 1 if order == "<" else 2, 1]) + bytes(9)
    rest = (1, machine, 1, 0, 0, len(out), 0, 64, 0, 0, 64, len(all_sections), 1)
    out[:64] = ident + struct.pack(order + "HHIQQQIHHHHHH", *rest)
    return bytes(out + headers)


def instruction(code: int, dst: int = 0, src: int = 0, offset: int = 0, value: int = 0) -> bytes:
    """Write one little-endian instruction; a wide one is two."""
    first = struct.pack("<BBhi", code, src << 4 | dst, offset, value)
    return first + bytes(8) if code == 0x18 else first
