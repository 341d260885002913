"""Objects without their debug information: everything else stays."""

from __future__ import annotations

import random
import struct
from contextlib import closing, suppress

import pytest

from ebpm.btf.elf import SHT_NOBITS, STB_LOCAL, ElfObject, read_elf
from ebpm.build.strip import strip
from ebpm.errors import EbpmError, InvalidObject
from ebpm.package.bare import from_object
from ebpm.package.model import ObjectFile
from tests import sources
from tests.synthetic import ALLOC, EXEC, NOBITS, Rel, Sec, Sym, elf, instruction


def sample(order: str = "<") -> bytes:
    return elf(
        [
            Sec("tp/x", instruction(0x95) * 2, flags=2 | EXEC, align=8),
            Sec(".debug_info", b"debug" * 9, flags=0),
            Sec(".bss", type=NOBITS, size=40, align=8),
            Sec(".llvm_addrsig", b"\x01", type=0x6FFF4C03, flags=0),
            Sec("license", b"GPL\0"),
            Sec(".comment", b"clang", flags=0),
        ],
        [
            Sym("", ".debug_info", type=3, binding=0),
            Sym("local", "tp/x", 8, 8, 2, binding=0),
            Sym("prog", "tp/x", 0, 8, 2),
            Sym("counter", ".bss", 16, 4),
            Sym("absolute", 0xFFF1, 5),
        ],
        [Rel("tp/x", [(8, "counter", 1)]), Rel(".debug_info", [(0, "prog", 2)])],
        order=order,
    )


def known(found: ElfObject) -> dict[str, tuple[object, ...]]:
    """Describe the sections that matter, whatever their numbers."""
    return {
        one.name: (one.type, one.flags, one.size, one.align, one.data, relocations(found, one.name))
        for one in found.sections
        if one.name and (one.flags & ALLOC or one.name.startswith(".BTF"))
    }


def relocations(found: ElfObject, name: str) -> list[tuple[int, str, int]]:
    section = found.section(name)
    assert section is not None
    return [
        (rel.offset, found.symbols[rel.symbol].name, rel.type) for rel in found.relocations(section)
    ]


def symbols(found: ElfObject) -> list[tuple[object, ...]]:
    return [
        (one.name, one.type, one.binding, one.value, one.size, place(found, one.section))
        for one in found.symbols
    ]


def place(found: ElfObject, section: int) -> str | int:
    return found.sections[section].name if section < len(found.sections) else section


@pytest.mark.parametrize("order", "<>")
def test_debug_sections_go_and_the_others_stay(order: str) -> None:
    before = read_elf(sample(order))
    after = read_elf(strip(before))
    names = [one.name for one in after.sections]
    assert names == ["", ".strtab", ".symtab", "tp/x", ".bss", "license", ".reltp/x"]
    assert known(after) == known(before)
    assert relocations(after, "tp/x") == [(8, "counter", 1)]
    gone = [one for one in symbols(before) if one[5] != ".debug_info"]
    assert symbols(after) == gone
    assert after.order == order


def test_the_symbol_table_says_how_many_symbols_are_local() -> None:
    after = read_elf(strip(read_elf(sample())))
    table = after.section(".symtab")
    assert table is not None
    assert table.info == sum(one.binding == STB_LOCAL for one in after.symbols) == 2
    assert after.sections[table.link].name == ".strtab"


def test_stripping_twice_changes_nothing() -> None:
    once = strip(read_elf(sample()))
    assert strip(read_elf(once)) == once


def test_sections_stand_at_their_alignment() -> None:
    data = strip(read_elf(sample()))
    (table,) = struct.unpack_from("<Q", data, 40)
    for index, section in enumerate(read_elf(data).sections):
        (offset,) = struct.unpack_from("<Q", data, table + 64 * index + 24)
        assert offset % max(1, section.align) == 0
    assert table % 8 == 0


def test_other_sections_can_be_dropped_and_changed() -> None:
    after = read_elf(strip(read_elf(sample()), drop=("license",), contents={"tp/x": b"changed!"}))
    assert after.section("license") is None
    section = after.section("tp/x")
    assert section is not None
    assert (section.data, section.size) == (b"changed!", 8)


def test_a_relocation_to_what_is_gone_is_refused() -> None:
    data = elf(
        [Sec("tp/x", bytes(16)), Sec(".debug_str", b"x")],
        [Sym("lost", ".debug_str")],
        [Rel("tp/x", [(0, "lost", 1)])],
    )
    with pytest.raises(InvalidObject, match=r"\.reltp/x: a relocation refers to a symbol"):
        strip(read_elf(data))


def test_an_object_without_symbols_is_refused() -> None:
    whole = bytearray(elf([Sec("x", b"1")]))
    (table,) = struct.unpack_from("<Q", whole, 40)
    struct.pack_into("<I", whole, table + 2 * 64 + 4, 1)  # the symbol table is called data
    with pytest.raises(InvalidObject, match="no symbol table"):
        strip(read_elf(bytes(whole)))


@pytest.mark.parametrize(
    ("field", "form", "value", "says"),
    [
        (44, "<I", 999, "applies to a section that is not there"),
        (44, "<I", 11, "applies to a section that is not there"),  # the number of sections
        (48, "<Q", 1 << 62, "alignment"),
        (32, "<Q", 8, "relocation table is damaged"),
    ],
)
def test_headers_that_lie_are_refused(field: int, form: str, value: int, says: str) -> None:
    data = bytearray(sample())
    found = read_elf(bytes(data))
    index = next(one.index for one in found.sections if one.name == ".reltp/x")
    (table,) = struct.unpack_from("<Q", data, 40)
    struct.pack_into(form, data, table + 64 * index + field, value)
    with pytest.raises(InvalidObject, match=says):
        strip(read_elf(bytes(data)))


def test_any_flipped_bytes_give_an_object_or_an_error() -> None:
    flips = random.Random(11)
    data = sample()
    for _ in range(4000):
        copy = bytearray(data)
        for _ in range(flips.randrange(1, 4)):
            copy[flips.randrange(len(copy))] = flips.randrange(256)
        with suppress(EbpmError):
            strip(read_elf(bytes(copy)))


# --- real objects --------------------------------------------------------------------------------


@pytest.mark.needs("compiler")
def test_a_real_object_loses_its_debug_information_only() -> None:
    data = sources.raw("kinds.bpf.c")
    before, after = read_elf(data), read_elf(strip(read_elf(data)))
    assert any(one.name.startswith(".debug_") for one in before.sections)
    assert not any(one.name.startswith((".debug_", ".rel.debug")) for one in after.sections)
    assert known(after) == known(before)
    assert len(strip(before)) < len(data) // 5
    kept = {one.name for one in after.sections}
    assert {".BTF", ".BTF.ext", ".maps", "license", ".bss", ".rodata", ".text"} <= kept
    named = [one for one in symbols(after) if one[0]]
    assert named == [
        one for one in symbols(before) if one[0] and not str(one[5]).startswith(".debug")
    ]
    assert all(one.data for one in after.sections if one.size and one.type not in (0, SHT_NOBITS))


@pytest.mark.needs("compiler")
def test_any_flipped_byte_of_a_real_object_gives_a_package_or_an_error() -> None:
    flips = random.Random(3)
    data = sources.built("minimal.bpf.c").package.objects[0].data
    for _ in range(400):
        copy = bytearray(data)
        for _ in range(flips.randrange(1, 3)):
            copy[flips.randrange(len(copy))] = flips.randrange(256)
        with suppress(EbpmError):
            from_object(ObjectFile(data=bytes(copy)), "minimal")
        with suppress(EbpmError):
            strip(read_elf(bytes(copy)))


@pytest.mark.needs("compiler")
def test_every_truncation_of_a_real_object_is_refused() -> None:
    data = sources.built("minimal.bpf.c").package.objects[0].data
    for length in range(0, len(data), 3):
        with pytest.raises(InvalidObject):
            from_object(ObjectFile(data=data[:length]), "minimal")


@pytest.mark.needs("compiler", "bpf")
def test_the_kernel_takes_a_stripped_object() -> None:
    from ebpm.runtime.libbpf.binding import BpfObject, Libbpf

    with closing(BpfObject(Libbpf(), strip(read_elf(sources.raw("kinds.bpf.c"))), "kinds")) as one:
        one.load()
