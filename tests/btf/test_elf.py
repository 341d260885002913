"""ELF files from strangers: right ones are read, wrong ones are refused for what is wrong."""

from __future__ import annotations

import random
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpm.btf.elf import STB_WEAK, STT_FUNC, STT_SECTION, read_elf
from ebpm.errors import InvalidObject
from tests.strategies import examples
from tests.synthetic import ALLOC, EXEC, NOBITS, REL, Rel, Sec, Sym, elf, instruction

SMALL = elf(
    [
        Sec("tp/x", instruction(0x95), flags=ALLOC | EXEC, align=8),
        Sec(".bss", type=NOBITS, size=64, align=8),
        Sec("license", b"GPL\0"),
    ],
    [Sym("prog", "tp/x", 0, 8, STT_FUNC), Sym("counter", ".bss", 16, 4)],
    [Rel("tp/x", [(0, "counter", 1)])],
)


def patched(data: bytes, at: int, form: str, *values: int) -> bytes:
    copy = bytearray(data)
    struct.pack_into(form, copy, at, *values)
    return bytes(copy)


def section_header(data: bytes, index: int) -> int:
    return struct.unpack_from("<Q", data, 40)[0] + index * 64


@pytest.mark.parametrize("order", "<>")
def test_sections_symbols_and_relocations_are_read_in_both_byte_orders(order: str) -> None:
    found = read_elf(
        elf(
            [Sec(".data", b"abcd", align=4), Sec(".bss", type=NOBITS, size=1000)],
            [Sym("one", ".data", 1, 2, STT_FUNC, STB_WEAK), Sym("far", 0xFFF1, 7)],
            [Rel(".data", [(4, "far", 2), (8, "one", 10)])],
            order=order,
        )
    )
    assert found.order == order
    assert [section.name for section in found.sections[3:]] == [".data", ".bss", ".rel.data"]
    data, bss = found.section(".data"), found.section(".bss")
    assert data is not None
    assert bss is not None
    assert (data.data, data.align, data.index, data.size) == (b"abcd", 4, 3, 4)
    assert (bss.data, bss.size) == (b"", 1000)
    one, far = found.symbols[1:]
    assert (one.name, one.section, one.value, one.size) == ("one", 3, 1, 2)
    assert (one.type, one.binding) == (STT_FUNC, STB_WEAK)
    assert far.section == 0xFFF1
    places = [(rel.offset, rel.symbol, rel.type) for rel in found.relocations(data)]
    assert places == [(4, 2, 2), (8, 1, 10)]
    assert list(found.relocations(bss)) == []


def test_a_section_that_is_not_there_is_none() -> None:
    assert read_elf(SMALL).section(".BTF") is None


def test_half_a_relocation_at_the_end_is_passed_over() -> None:
    found = read_elf(
        elf([Sec("x", b"12"), Sec(".relx", bytes(16) + b"half", REL, info=3, entry=16)])
    )
    assert [one.offset for one in found.relocations(found.sections[3])] == [0]


def test_an_unknown_section_type_keeps_its_number() -> None:
    found = read_elf(elf([Sec(".llvm_addrsig", b"x", type=0x6FFF4C03)]))
    assert found.sections[3].type == 0x6FFF4C03


def test_section_symbols_have_no_name() -> None:
    found = read_elf(elf([Sec("x", b"1234")], [Sym("", "x", type=STT_SECTION, binding=0)]))
    assert found.symbols[1].name == ""


def test_names_that_are_not_utf8_are_replaced() -> None:
    data = SMALL.replace(b"counter\0", b"count\xffr\0")
    assert "count�r" in {symbol.name for symbol in read_elf(data).symbols}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not an ELF file"),
        (b"\x7fEL", "not an ELF file"),
        (b"#!/bin/sh\n" + bytes(100), "not an ELF file"),
        (SMALL[:40], "cut off inside its header"),
        (patched(SMALL, 4, "B", 1), "not a 64-bit"),
        (patched(SMALL, 5, "B", 3), "not a 64-bit"),
        (patched(SMALL, 18, "<H", 62), "machine 62, not for BPF"),
        (patched(SMALL, 16, "<H", 2), "type 2, not a relocatable object"),
        (patched(SMALL, 40, "<Q", 1 << 40), "section table is damaged"),
        (patched(SMALL, 58, "<H", 40), "section table is damaged"),
        (patched(SMALL, 60, "<H", 0), "section table is damaged"),
        (patched(SMALL, 60, "<H", 65535), "section table is damaged"),
        (patched(SMALL, 62, "<H", 99), "section table is damaged"),
        (SMALL[:-1], "section table is damaged"),
        (patched(SMALL, section_header(SMALL, 3), "<I", 1 << 30), "name of a section"),
        (patched(SMALL, section_header(SMALL, 3) + 24, "<Q", 1 << 40), "reaches beyond the file"),
        (patched(SMALL, section_header(SMALL, 3) + 32, "<Q", 1 << 63), "reaches beyond the file"),
        (patched(SMALL, section_header(SMALL, 2) + 32, "<Q", 25), "symbol table is damaged"),
        (patched(SMALL, section_header(SMALL, 2) + 40, "<I", 77), "symbol table is damaged"),
    ],
)
def test_damage_is_refused_for_what_it_is(data: bytes, says: str) -> None:
    with pytest.raises(InvalidObject, match=says):
        read_elf(data)


def test_a_symbols_name_must_lie_in_the_string_table() -> None:
    symbols = read_elf(SMALL).sections[2]
    at = SMALL.index(symbols.data) + 24
    with pytest.raises(InvalidObject, match="name of a symbol points outside"):
        read_elf(patched(SMALL, at, "<I", 1 << 30))


def test_sections_that_share_their_bytes_are_refused() -> None:
    """Each of many sections could claim the whole file, and the copies fill memory."""
    whole = elf([Sec(f"s{at}", b"x" * 100) for at in range(3)])
    first = struct.unpack_from("<Q", whole, section_header(whole, 3) + 24)[0]
    for index in (3, 4, 5):
        whole = patched(whole, section_header(whole, index) + 24, "<QQ", first, len(whole) - first)
    with pytest.raises(InvalidObject, match="overlap"):
        read_elf(whole)


def test_many_names_that_share_one_long_tail_are_refused() -> None:
    """A megabyte of names, with a symbol for each of its characters, stands for 500 gigabytes."""
    data = elf([], [Sym("x" * 100_000, 0xFFF1), *(Sym("", 0xFFF1) for _ in range(3000))])
    table = read_elf(data).sections[2]
    at = data.index(table.data)
    changed = bytearray(data)
    for number in range(3000):
        struct.pack_into("<I", changed, at + 24 * (number + 2), 1 + number)
    with pytest.raises(InvalidObject, match="names are longer"):
        read_elf(bytes(changed))


def test_every_truncation_is_refused() -> None:
    for length in range(len(SMALL)):
        with pytest.raises(InvalidObject):
            read_elf(SMALL[:length])


def test_every_flipped_byte_gives_an_object_or_an_error() -> None:
    flips = random.Random(7)
    for at in range(len(SMALL)):
        copy = bytearray(SMALL)
        copy[at] ^= 1 << flips.randrange(8)
        with suppress(InvalidObject):
            read_elf(bytes(copy))


@examples(200)
@given(st.binary(max_size=200), st.sampled_from([b"", SMALL[:20], SMALL[:64]]))
def test_any_bytes_give_an_object_or_an_error(data: bytes, head: bytes) -> None:
    with suppress(InvalidObject):
        read_elf(head + data)
