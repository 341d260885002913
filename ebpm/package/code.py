"""The instructions of an object: its functions, and what each call and address in them refers to.

Source: Documentation/bpf/standardization/instruction-set.rst; libbpf's ``bpf_object__relocate``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ebpm.btf.elf import SHF_EXECINSTR, SHN_LORESERVE, STT_FUNC, ElfObject, Section, Symbol

LD, LDX, ST, STX, ALU, JMP, JMP32, ALU64 = range(8)
"""The classes of instructions: the low three bits of the opcode."""

CALL, EXIT, JA, JA32, LOAD_64 = 0x85, 0x95, 0x05, 0x06, 0x18
_PSEUDO_CALL = 1
_STEPS = 1_000_000  # for all programs of an object together; some seconds

Place = tuple[int, int]
"""A section's index, and an instruction in it."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction; a 64-bit immediate has a second one behind it, which is no instruction."""

    opcode: int
    dst: int
    src: int
    offset: int
    immediate: int

    @property
    def kind(self) -> int:
        """Its class."""
        return self.opcode & 7


@dataclass(frozen=True, slots=True)
class Function:
    """A function of an object: where it begins, and how many instructions it has."""

    name: str
    place: Place
    count: int


@dataclass(frozen=True, slots=True)
class Call:
    """What a call goes to: a helper by number, a function of the kernel by name, or one of ours."""

    helper: int | None = None
    kernel: str | None = None
    place: Place | None = None


class Code:
    """All instructions of an object.

    ``steps`` is how many of them may still be followed: an object made to take long does not.
    """

    def __init__(self, elf: ElfObject) -> None:
        self.steps = _STEPS
        self._elf = elf
        self._sections: dict[int, list[Instruction]] = {}
        self._symbols: dict[Place, Symbol] = {}
        for section in elf.sections:
            if section.flags & SHF_EXECINSTR and section.data:
                self._read(section)
        self.functions = {one.place: one for one in self._functions()}

    def _read(self, section: Section) -> None:
        little = self._elf.order == "<"
        whole = len(section.data) - len(section.data) % 8
        found = []
        for opcode, registers, offset, immediate in struct.iter_unpack(
            f"{self._elf.order}BBhi", section.data[:whole]
        ):
            low, high = registers & 15, registers >> 4
            dst, src = (low, high) if little else (high, low)
            found.append(Instruction(opcode, dst, src, offset, immediate))
        self._sections[section.index] = found
        for one in self._elf.relocations(section):
            if one.symbol < len(self._elf.symbols):
                self._symbols[section.index, one.offset // 8] = self._elf.symbols[one.symbol]

    def _functions(self) -> list[Function]:
        found = []
        for symbol in self._elf.symbols:
            code = self._sections.get(symbol.section)
            start, count = symbol.value // 8, symbol.size // 8
            if symbol.type == STT_FUNC and code and start + count <= len(code):
                found.append(Function(symbol.name, (symbol.section, start), count))
        return found

    def body(self, function: Function) -> list[Instruction]:
        """List the instructions of a function."""
        section, start = function.place
        return self._sections[section][start : start + function.count]

    def call(self, place: Place) -> Call:
        """Tell what the call at a place goes to; nothing known where it is malformed."""
        section, at = place
        one = self._sections[section][at]
        symbol = self._symbols.get(place)
        if symbol is not None and not 0 < symbol.section < SHN_LORESERVE:
            return Call(kernel=symbol.name)
        if symbol is not None:
            return Call(place=(symbol.section, symbol.value // 8 + one.immediate + 1))
        if one.src == _PSEUDO_CALL:
            return Call(place=(section, at + one.immediate + 1))
        return Call(helper=one.immediate)

    def function_at(self, place: Place) -> Place | None:
        """Tell which function a 64-bit immediate is the address of, if it is one of ours."""
        section, at = place
        symbol = self._symbols.get(place)
        if symbol is None or symbol.section not in self._sections:
            return None
        return symbol.section, (symbol.value + self._sections[section][at].immediate) // 8

    def is_constant(self, place: Place) -> bool:
        """Whether a 64-bit immediate is a number, and no address that libbpf fills in."""
        section, at = place
        return place not in self._symbols and not self._sections[section][at].src
