"""A kernel's BTF trimmed to what an object needs: the same types as bpftool's, the same code."""

from __future__ import annotations

import ctypes
import functools
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpm.btf import types as t
from ebpm.btf.core import candidates, essential, relocations
from ebpm.btf.elf import read_elf
from ebpm.btf.parse import Btf, read
from ebpm.btf.trim import trim
from ebpm.errors import EbpmError, InvalidBtf, InvalidObject
from ebpm.runtime.libbpf.binding import BpfObject, Libbpf
from tests import sources
from tests.strategies import examples
from tests.synthetic import Sec, Types, elf

KERNEL = Path("/sys/kernel/btf/vmlinux")
SOURCE = Path(__file__).parent.parent / "data" / "core.bpf.c"
FIELD, TARGET_ID, EXISTS, SIZE, VALUE, MATCHES = 0, 7, 8, 9, 11, 12


@functools.cache
def core_object() -> bytes:
    folder = sources.folder() / "core"
    return sources.build(folder, {"core.bpf.c": SOURCE.read_text()}).package.objects[0].data


# --- against bpftool and libbpf ------------------------------------------------------------------


def described(raw: bytes) -> list[tuple[object, ...]]:
    """Tell the types that are reachable from names, in an order of their own."""
    btf = read(raw)
    return sorted(
        (type(one).__name__, getattr(one, "name", ""), getattr(one, "size", 0), members(btf, one))
        for one in (btf[at] for at in range(1, len(btf)))
        if getattr(one, "name", "")
    )


def members(btf: Btf, one: t.Type) -> tuple[object, ...]:
    if isinstance(one, t.Enum):
        return one.values
    if not isinstance(one, t.Struct):
        return ()
    return tuple(
        (m.name, m.bit_offset, m.bits, btf.kind(m.type), getattr(btf[m.type], "name", ""))
        for m in one.members
    )


@pytest.mark.needs("compiler", "bpftool", "bpf")
@pytest.mark.parametrize("name", ["kinds.bpf.c", "core.bpf.c"])
def test_the_types_are_those_that_bpftool_keeps(name: str, tmp_path: Path) -> None:
    data = sources.raw(name) if name in sources.SOURCES else core_object()
    path, kept = tmp_path / "tool.bpf.o", tmp_path / "min.btf"
    path.write_bytes(data)
    command = ["bpftool", "gen", "min_core_btf", str(KERNEL), str(kept), str(path)]
    subprocess.run(command, check=True, capture_output=True)
    ours, theirs = described(trim(KERNEL.read_bytes(), data)), described(kept.read_bytes())
    assert theirs
    if name == "core.bpf.c":
        # That a type does not match is left to libbpf to find out, so more of it is kept.
        assert {one[:3] for one in theirs} < {one[:3] for one in ours}
    else:
        assert ours == theirs


def instructions(data: bytes, btf: Path | None) -> dict[str, bytes]:
    """Load an object; tell its programs' instructions, relocated, without map descriptors."""
    library = Libbpf()
    lib = ctypes.CDLL(library.path)
    lib.bpf_program__insns.restype = ctypes.c_void_p
    lib.bpf_program__insn_cnt.restype = ctypes.c_size_t
    bpf = BpfObject(library, data, "core", str(btf) if btf else None)
    try:
        bpf.load()
        found = {}
        for program in bpf.programs():
            handle = program._handle
            size = lib.bpf_program__insn_cnt(handle) * 8
            code = bytearray(ctypes.string_at(lib.bpf_program__insns(handle), size))
            for at in range(0, size, 8):
                if code[at] == 0x18 and code[at + 1] >> 4 in (1, 2):  # a map, by descriptor
                    code[at + 4 : at + 8] = bytes(4)
            found[program.name] = bytes(code)
        return found
    finally:
        bpf.close()


@pytest.mark.needs("compiler", "bpf")
@pytest.mark.parametrize("name", ["kinds.bpf.c", "core.bpf.c", "minimal.bpf.c"])
def test_libbpf_makes_the_same_code_of_it(name: str, tmp_path: Path) -> None:
    data = sources.raw(name) if name in sources.SOURCES else core_object()
    trimmed = tmp_path / "trimmed.btf"
    raw = trim(KERNEL.read_bytes(), data)
    trimmed.write_bytes(raw)
    assert len(raw) < 30_000
    whole = instructions(data, None)
    assert whole
    assert instructions(data, trimmed) == whole
    other = tmp_path / "nothing.btf"
    other.write_bytes(Types().raw())
    if name != "minimal.bpf.c":  # the comparison sees what BTF says
        with suppress(OSError):
            assert instructions(data, other) != whole


# --- by hand -------------------------------------------------------------------------------------


def asking(local: Types, *asked: tuple[int, int, str]) -> bytes:
    """Write an object with CO-RE relocations: (kind, type, path)."""
    records = b""
    for kind, type_id, path in asked:
        records += struct.pack("<IIII", 0, type_id, local.name(path), kind)
    section = struct.pack("<II", local.name("tp"), len(asked)) + records
    table = struct.pack("<I", 16) + section
    head = struct.pack("<HBBIIIIIII", 0xEB9F, 1, 0, 32, 0, 0, 0, 0, 0, len(table))
    return elf([Sec(".BTF", local.raw()), Sec(".BTF.ext", head + table)])


def kernel() -> tuple[Types, dict[str, int]]:
    """Write a kernel with a task, whose name is a level down, and things that nobody asks for."""
    types = Types()
    number, char = types.integer(), types.char()
    name = types.array(char, 16)
    inner = types.struct("", 20, ("comm", name, 0), ("tgid", number, 128))
    task = types.struct("task", 64, ("flags", number, 0), ("", inner, 64), ("next", 0, 256))
    pointer = types.pointer(task)
    types.struct("list", 8, ("next", pointer, 0))
    types.enum("mode", {"OFF": 0, "ON": 1})
    types.typedef("task_t", task)
    return types, {"number": number, "task": task}


def ask_field(name: str, path: str, *members: str) -> bytes:
    local = Types()
    number = local.integer()
    fields = [(one, number, 32 * at) for at, one in enumerate(members)]
    return asking(local, (FIELD, local.struct(name, 64, *fields), path))


def test_only_the_members_asked_for_are_kept_with_what_they_are_made_of() -> None:
    types, _ = kernel()
    local = Types()
    text = local.array(local.char(), 16)
    asked = asking(local, (FIELD, local.struct("task___mine", 16, ("comm", text, 0)), "0:0:3"))
    btf = read(trim(types.raw(), asked))
    task = btf[btf.find(t.KIND_STRUCT, "task") or 0]
    assert isinstance(task, t.Struct)
    assert task.size == 64
    (member,) = task.members
    inner = btf[member.type]
    assert (member.name, member.bit_offset) == ("", 64)
    assert isinstance(inner, t.Struct)
    assert [one.name for one in inner.members] == ["comm"]
    assert isinstance(btf[inner.members[0].type], t.Array)
    assert btf.find(t.KIND_STRUCT, "list") is None


@pytest.mark.parametrize("asked", [("other", "0:0"), ("task", "0:1")])
def test_what_the_kernel_lacks_is_not_kept(asked: tuple[str, str]) -> None:
    types, _ = kernel()
    assert len(read(trim(types.raw(), ask_field(*asked, "flags", "gone")))) == 1


def test_a_type_of_another_kind_does_not_answer() -> None:
    types, _ = kernel()
    local = Types()
    asked = asking(local, (EXISTS, local.enum("task", {"A": 1}), "0"))
    assert len(read(trim(types.raw(), asked))) == 1


def test_an_enum_of_either_width_answers_with_all_its_values() -> None:
    types = Types()
    types.enum64("mode", {"OFF": 0, "ON": 1 << 40})
    local = Types()
    asked = asking(local, (VALUE, local.enum("mode___old", {"ON": 1}), "0"))
    btf = read(trim(types.raw(), asked))
    (enum,) = [one for _, one in btf.of_kind(t.Enum)]
    assert enum.values == (("OFF", 0), ("ON", 1 << 40))


def test_a_question_for_the_type_keeps_what_it_points_to_by_name() -> None:
    types, _ = kernel()
    types.typedef("handler_t", types.pointer(types.function_type(0, ("task", 6))))
    local = Types()
    function = local.function_type(0)
    asked = asking(
        local,
        (SIZE, local.typedef("handler_t", local.pointer(function)), "0"),
        (MATCHES, local.struct("list", 8, ("next", local.pointer(), 0)), "0"),
    )
    btf = read(trim(types.raw(), asked))
    handler = btf.find(t.KIND_TYPEDEF, "handler_t")
    listed = btf.find(t.KIND_STRUCT, "list")
    assert handler
    assert listed
    assert [type(one) for _, one in btf.of_kind(t.FunctionType)] == [t.FunctionType]
    task = btf[btf.find(t.KIND_STRUCT, "task") or 0]
    assert isinstance(task, t.Struct)
    assert not task.members  # known by its name


def test_a_big_endian_kernel_is_trimmed_in_its_own_order() -> None:
    types = Types(">")
    types.struct("task", 4, ("flags", types.integer(), 0), ("more", 1, 0))
    btf = Btf(trim(types.raw(), ask_field("task", "0:0", "flags")))
    assert btf.order == ">"
    assert [len(one.members) for _, one in btf.of_kind(t.Struct)] == [1]


def test_an_object_without_relocations_needs_no_types() -> None:
    types, _ = kernel()
    assert len(read(trim(types.raw(), elf()))) == 1
    assert len(read(trim(types.raw(), elf([Sec(".BTF", Types().raw())])))) == 1


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("task_struct", "task_struct"),
        ("task_struct___old", "task_struct"),
        ("a___b___c", "a___b"),
        ("___a", "___a"),
        ("a____b", "a____b"),
        ("a___", "a___"),
        ("x___y", "x"),
        ("", ""),
    ],
)
def test_flavours_are_told_apart_as_libbpf_does(name: str, plain: str) -> None:
    assert essential(name) == plain


def test_candidates_are_found_whatever_their_flavour() -> None:
    types = Types()
    ids = [types.struct(name, 4) for name in ("task", "task___old", "tas", "task", "xtask")]
    found = candidates(types.btf(), {"task", "none"})
    assert found == {"task": [ids[0], ids[1], ids[3]]}


@pytest.mark.parametrize("path", ["", "a", "0:x", "-1", "0:" * 64 + "0", "99999999999"])
def test_a_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(InvalidBtf):
        trim(kernel()[0].raw(), ask_field("task", path, "flags"))


def test_a_path_to_a_member_that_the_object_has_not_is_refused() -> None:
    with pytest.raises(InvalidBtf, match="does not know"):
        trim(kernel()[0].raw(), ask_field("task", "0:7", "flags"))


def test_structs_that_hold_one_another_end() -> None:
    types = Types()
    types.struct("task", 4, ("", 2, 0), ("", 2, 0))
    types.struct("", 4, ("", 1, 0), ("", 2, 0), ("", 1, 0))
    assert len(read(trim(types.raw(), ask_field("task", "0:0", "flags")))) == 1


def test_what_is_no_object_or_no_btf_is_refused() -> None:
    with pytest.raises(InvalidObject):
        trim(kernel()[0].raw(), b"no object")
    with pytest.raises(InvalidBtf):
        trim(b"no btf", elf())


@examples(150)
@given(st.data())
def test_any_damage_gives_types_or_an_error(data: st.DataObject) -> None:
    types, _ = kernel()
    raw = bytearray(types.raw())
    asked = bytearray(ask_field("task___a", "0:0", "flags"))
    for target in (raw, asked):
        for _ in range(data.draw(st.integers(0, 3))):
            target[data.draw(st.integers(24, len(target) - 1))] = data.draw(st.integers(0, 255))
    with suppress(EbpmError):
        relocations(bytes(asked))
        Btf(trim(bytes(raw), bytes(asked)))


@pytest.mark.needs("compiler")
def test_the_object_of_the_tests_asks_for_every_kind_but_ids() -> None:
    asked = relocations(core_object())[1]
    assert {one.kind for one in asked} >= {0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12}
    assert read_elf(core_object()).section(".BTF.ext")
