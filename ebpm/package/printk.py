"""What a program prints with bpf_printk: the format strings, followed through its code.

The kernel does not say whose line a line is; that it fits one of the program's own formats is all
there is to tell it by.
"""

from __future__ import annotations

import struct
from typing import Literal, TypeAlias

from ebpm.btf.elf import SHF_EXECINSTR, ElfObject, Section
from ebpm.package.describe import ObjectFacts

_TRACE_PRINTK, _TRACE_VPRINTK = 6, 177  # helper ids; r1 is the format, r2 its size, in both
_FRAME = 10  # r10 points to the end of the stack

Value: TypeAlias = tuple[str, int, int] | int
"""What a register holds: a number, ("data", section, offset), or ("stack", 0, offset)."""


def printed_formats(facts: ObjectFacts) -> list[str] | None:
    """List the format strings that the code prints by; None where one of them cannot be told.

    Formats lie in a data section, as bpf_printk puts them, or are put together on the stack, as
    ``char fmt[] = "…"`` does. The code is read from top to bottom, without following jumps.

    Returns:
        the formats without a line end, in the order of the code; empty: nothing is printed.
    """
    found: dict[str, None] = {}
    for section in facts.elf.sections:
        if section.flags & SHF_EXECINSTR:
            for text in _Reader(facts.elf, section).formats():
                if text is None:
                    return None
                found[text] = None
    return list(found)


class _Reader:
    """Follows constants, pointers and the stack's bytes through one section of code."""

    def __init__(self, elf: ElfObject, section: Section) -> None:
        self.elf = elf
        self.order: Literal["little", "big"] = "little" if elf.order == "<" else "big"
        self.code = section.data
        self.symbols = {one.offset: one.symbol for one in elf.relocations(section)}
        self.known: dict[int, Value] = {_FRAME: ("stack", 0, 0)}
        self.stack: dict[int, int] = {}

    def formats(self) -> list[str | None]:
        """List the formats of the calls; None for one that is not known."""
        found: list[str | None] = []
        form = struct.Struct(self.elf.order + "BBhi")
        for at in range(0, len(self.code) - 7, 8):
            code, registers, offset, immediate = form.unpack_from(self.code, at)
            target, source = registers & 15, registers >> 4
            if self.elf.order == ">":
                target, source = source, target
            if code == 0x85:  # call
                if source == 0 and immediate in (_TRACE_PRINTK, _TRACE_VPRINTK):
                    found.append(self._text(self.known.get(1), self.known.get(2)))
                for register in range(6):
                    self.known.pop(register, None)
            else:
                self._step(at, code, target, source, offset, immediate)
        return found

    def _step(
        self, at: int, code: int, target: int, source: int, offset: int, immediate: int
    ) -> None:
        kind = code & 7
        if code == 0x18:  # a 64-bit constant, or the address of something
            self._set(target, self._constant(at, immediate))
        elif code in (0xB7, 0xB4):  # a number, signed or of 32 bits
            self._set(target, immediate if code == 0xB7 else immediate & 0xFFFFFFFF)
        elif code == 0xBF:
            self._set(target, self.known.get(source))
        elif code == 0x07:
            self._set(target, _moved(self.known.get(target), immediate))
        elif kind == 1 and code & 0xE0 == 0x60:
            self._set(target, self._load(self.known.get(source), offset, _width(code)))
        elif kind == 2 and code & 0xE0 == 0x60:
            self._store(self.known.get(target), offset, _width(code), immediate)
        elif kind == 3 and code & 0xE0 == 0x60:
            self._store(self.known.get(target), offset, _width(code), self.known.get(source))
        elif kind in (0, 1, 4, 7):
            self._set(target, None)

    def _set(self, register: int, value: Value | None) -> None:
        if value is None:
            self.known.pop(register, None)
        else:
            self.known[register] = value

    def _constant(self, at: int, low: int) -> Value | None:
        index = self.symbols.get(at)
        if index is not None:
            if index >= len(self.elf.symbols):
                return None
            symbol = self.elf.symbols[index]
            return "data", symbol.section, symbol.value + low
        if at + 16 > len(self.code):
            return None
        high: int = struct.unpack_from(self.elf.order + "I", self.code, at + 12)[0]
        return (low & 0xFFFFFFFF) | high << 32

    def _load(self, place: Value | None, offset: int, width: int) -> Value | None:
        data = self._bytes(_moved(place, offset), width)
        return int.from_bytes(data, self.order) if data is not None else None

    def _store(self, place: Value | None, offset: int, width: int, value: Value | None) -> None:
        place = _moved(place, offset)
        if not isinstance(place, tuple) or place[0] != "stack":
            return
        data = None
        if isinstance(value, int):
            data = (value & ((1 << 8 * width) - 1)).to_bytes(width, self.order)
        for at in range(width):
            if data is None:
                self.stack.pop(place[2] + at, None)
            else:
                self.stack[place[2] + at] = data[at]

    def _bytes(self, place: Value | None, size: int) -> bytes | None:
        if not isinstance(place, tuple):
            return None
        kind, index, at = place
        if kind == "stack":
            found = [self.stack.get(at + one) for one in range(size)]
            return None if None in found else bytes(one for one in found if one is not None)
        if not 0 < index < len(self.elf.sections) or at < 0:
            return None
        data = self.elf.sections[index].data[at : at + size]
        return data if len(data) == size else None

    def _text(self, place: Value | None, size: Value | None) -> str | None:
        if not isinstance(size, int) or not 0 < size < 4096:
            return None
        data = self._bytes(place, size)
        if data is None:
            return None
        return data.split(b"\0", 1)[0].decode("utf-8", "replace").removesuffix("\n")


def _width(code: int) -> int:
    return {0x00: 4, 0x08: 2, 0x10: 1, 0x18: 8}[code & 0x18]


def _moved(place: Value | None, offset: int) -> Value | None:
    if isinstance(place, tuple):
        return place[0], place[1], place[2] + offset
    return place + offset if place is not None else None
