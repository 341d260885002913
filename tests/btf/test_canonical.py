"""BTF in canonical form: other numbers, the same types."""

from __future__ import annotations

import random
import re
import struct
import subprocess
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpm.btf import types as t
from ebpm.btf.canonical import Extension, canonical
from ebpm.btf.elf import read_elf
from ebpm.btf.parse import Btf, read
from ebpm.btf.records import StringTable, read_records, write_records
from ebpm.build.strip import strip
from ebpm.errors import EbpmError, InvalidBtf
from tests import sources
from tests.btf.test_parse import one_of_each
from tests.strategies import examples
from tests.synthetic import Types


def described(btf: Btf) -> list[object]:
    """Describe all types without their numbers."""
    records = read_records(btf)

    def shape(type_id: int, depth: int) -> object:
        record = records[type_id]
        skip = {*record.refs, *(record.entry_places() if record.names[1:] else ())}
        plain = [word for at, word in enumerate(record.words) if at not in skip]
        inner = [shape(target, depth - 1) for target in record.targets()] if depth else []
        return record.info, record.names, plain, inner

    return sorted((shape(type_id, 3) for type_id in range(len(btf))), key=repr)


def shuffled(btf: Btf, ext: bytes | None, seed: int) -> tuple[bytes, bytes | None]:
    """Number the same types otherwise, and let .BTF.ext follow."""
    records = read_records(btf)
    order = list(range(1, len(records)))
    random.Random(seed).shuffle(order)
    numbers = {0: 0} | {old: new for new, old in enumerate(order, 1)}
    strings = StringTable(btf.strings)
    raw = write_records(btf.order, [records[old].renumbered(numbers) for old in order], strings)
    if ext is None:
        return raw, None
    extension = Extension(btf.order, ext)
    for at in extension.types:
        extension.put(at, numbers[extension.word(at)])
    return raw, bytes(extension.data)


def test_types_are_the_same_before_and_after() -> None:
    before = one_of_each().btf()
    assert described(read(canonical(before, None)[0])) == described(before)


@pytest.mark.parametrize("order", "<>")
def test_any_numbering_of_the_same_types_gives_the_same_bytes(order: str) -> None:
    btf = one_of_each(order).btf()
    forms = {canonical(Btf(shuffled(btf, None, seed)[0]), None)[0] for seed in range(30)}
    assert len(forms) == 1


def test_the_order_of_a_sections_variables_is_that_of_their_places_and_names() -> None:
    forms = set()
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
        types = Types()
        number = types.integer()
        made = [types.variable(name, number) for name in ("z", "b", "a")]
        types.section(".bss", 0, *[(made[at], 4 if at == 2 else 0, 4) for at in order])
        forms.add(canonical(types.btf(), None)[0])
    (form,) = forms
    btf = Btf(form)
    (section,) = [found for _, found in btf.of_kind(t.DataSection)]
    names = [btf[entry.type].name for entry in section.entries]  # type: ignore[union-attr]
    assert names == ["b", "z", "a"]


def test_variables_of_one_name_keep_their_order() -> None:
    types = Types()
    first, second = types.integer("a"), types.integer("b")
    types.section(
        ".bss", 0, (types.variable("x", second), 0, 4), (types.variable("x", first), 0, 4)
    )
    btf = Btf(canonical(types.btf(), None)[0])
    (section,) = [found for _, found in btf.of_kind(t.DataSection)]
    places = [btf[entry.type] for entry in section.entries]
    assert [btf[one.type].name for one in places] == ["b", "a"]  # type: ignore[union-attr]


def test_strings_stand_once_and_in_the_order_of_their_first_use() -> None:
    types = Types()
    for _ in range(3):
        types.add(t.KIND_FWD, "again")
    types.add(t.KIND_FWD, "new")
    btf = Btf(canonical(types.btf(), None)[0])
    assert btf.strings == b"\0again\0new\0"


def extension(*, lines: int = 2, header: int = 32) -> bytes:
    """Write .BTF.ext: a function, lines, a CO-RE relocation; strings and types at 1."""
    functions = struct.pack("<IIIII", 8, 1, 1, 0, 1)
    line = struct.pack("<IIIII", 16, 1, lines, 0, 0)[:12]
    line += b"".join(struct.pack("<IIII", 8 * at, 1, 1, at << 10) for at in range(lines))
    core = struct.pack("<IIIIIII", 16, 1, 1, 0, 1, 1, 0)
    places = [0, len(functions), len(functions), len(line)]
    places += [len(functions) + len(line), len(core)] if header >= 32 else []
    head = struct.pack(f"<HBBI{len(places)}I", 0xEB9F, 1, 0, header, *places)
    return head.ljust(header, b"\0") + functions + line + core


def test_the_extension_follows_the_types_and_the_strings() -> None:
    types = Types()
    types.add(t.KIND_FWD, "last")
    types.function("prog", types.function_type(0))
    moved = bytearray(extension())
    for at in Extension("<", bytes(moved)).types:
        struct.pack_into("<I", moved, at, 3)
    raw, ext = canonical(types.btf(), bytes(moved))
    btf = Btf(raw)
    assert ext is not None
    found = Extension("<", ext)
    assert {found.word(at) for at in found.types} == {btf.find(t.KIND_FUNC, "prog")}
    assert {btf.string(found.word(at)) for at in found.strings} == {"last"}
    assert len(ext) == len(moved)


def test_an_extension_without_co_re_relocations_is_read() -> None:
    types = Types()
    types.function("prog", types.function_type(0))
    _, ext = canonical(types.btf(), extension(header=24))
    assert ext is not None
    assert len(Extension("<", ext).types) == 1


@pytest.mark.parametrize("length", [0, 10, 23, 24, 40, 60, 90])
def test_an_extension_cut_off_is_refused(length: int) -> None:
    with pytest.raises(InvalidBtf, match=r"\.BTF\.ext"):
        Extension("<", extension()[:length])


def test_an_extension_whose_records_have_no_size_is_refused() -> None:
    broken = bytearray(extension())
    struct.pack_into("<I", broken, 32, 0)
    with pytest.raises(InvalidBtf, match="cut off"):
        Extension("<", bytes(broken))


def test_a_type_that_is_not_there_is_refused() -> None:
    for types in (Types(), Types()):
        types.pointer(99)
        with pytest.raises(InvalidBtf, match="refers to a type that is not there"):
            canonical(types.btf(), None)
    types = Types()
    types.integer()
    broken = bytearray(extension())
    at = Extension("<", bytes(broken)).types[0]
    struct.pack_into("<I", broken, at, 99)
    with pytest.raises(InvalidBtf, match="refers to a type that is not there"):
        canonical(types.btf(), bytes(broken))


@examples(200)
@given(st.binary(max_size=120), st.binary(max_size=120))
def test_any_bytes_give_canonical_types_or_an_error(body: bytes, ext: bytes) -> None:
    header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(body), 0, 0)
    strings = (
        struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(body), len(body), 3) + body + b"\0a\0"
    )
    for raw in (header + body, strings, one_of_each().raw()):
        for more in (ext, extension()[:32] + ext, None):
            with suppress(EbpmError):
                once = canonical(Btf(raw), more)
                assert canonical(Btf(once[0]), once[1]) == once


# --- real objects --------------------------------------------------------------------------------


def parts(data: bytes) -> tuple[Btf, bytes]:
    elf = read_elf(data)
    btf, ext = elf.section(".BTF"), elf.section(".BTF.ext")
    assert btf is not None
    assert ext is not None
    return Btf(btf.data), ext.data


def rewritten(data: bytes) -> bytes:
    types, extension = canonical(*parts(data))
    assert extension is not None
    contents = {".BTF": types, ".BTF.ext": extension}
    return strip(read_elf(data), drop=(".rel.BTF", ".rel.BTF.ext"), contents=contents)


def dumped(path: Path) -> list[str]:
    """Ask bpftool for an object's types, and take out the numbers."""
    done = subprocess.run(
        ["bpftool", "btf", "dump", "file", path], capture_output=True, text=True, check=True
    )
    text = re.sub(r"\b(type_id|index_type_id|ret_type_id)=\d+", r"\1", done.stdout)
    text = re.sub(r" offset=\d+ size=\d+ \(VAR", " (VAR", text)
    blocks = [re.sub(r"^\[\d+\] ", "", block) for block in re.split(r"\n(?=\[)", text.strip())]
    return sorted("\n".join(sorted(block.splitlines())) for block in blocks)


@pytest.mark.needs("compiler")
def test_canonical_form_is_reached_in_one_step() -> None:
    once = rewritten(sources.raw("kinds.bpf.c"))
    assert rewritten(once) == once
    assert len(once) * 10 < len(sources.raw("kinds.bpf.c"))


@pytest.mark.needs("compiler")
def test_any_numbering_of_a_real_objects_types_gives_the_same_bytes() -> None:
    btf, ext = parts(sources.raw("kinds.bpf.c"))
    expected = canonical(btf, ext)
    for seed in range(5):
        raw, moved = shuffled(btf, ext, seed)
        assert canonical(Btf(raw), moved) == expected


@pytest.mark.needs("compiler", "bpftool")
def test_bpftool_shows_the_same_types_before_and_after(tmp_path: Path) -> None:
    data = sources.raw("kinds.bpf.c")
    before, after = tmp_path / "before.bpf.o", tmp_path / "after.bpf.o"
    before.write_bytes(data)
    after.write_bytes(rewritten(data))
    assert dumped(after) == dumped(before)


@pytest.mark.needs("compiler", "bpf")
def test_the_kernel_takes_an_object_in_canonical_form() -> None:
    from ebpm.runtime.libbpf.binding import BpfObject, Libbpf

    opened = BpfObject(Libbpf(), rewritten(sources.raw("kinds.bpf.c")), "kinds_bpf")
    with closing(opened):
        opened.load()
        assert {program.name for program in opened.programs()} == {"on_exec", "on_exit"}
