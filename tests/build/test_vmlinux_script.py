"""scripts/vmlinux: kernels of a few types each, merged, laid out and printed."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import lzma
import struct
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ebpm.btf import types as t
from ebpm.btf.parse import Btf
from ebpm.errors import InvalidBtf
from tests.synthetic import Types

SCRIPTS = Path(__file__).parent.parent.parent / "scripts"


def _load(name: str) -> ModuleType:
    """Import a script; its neighbours come with it."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        loader = importlib.machinery.SourceFileLoader(f"script_{name}", str(SCRIPTS / name))
        spec = importlib.util.spec_from_loader(loader.name, loader)
        assert spec is not None
        module = sys.modules[loader.name] = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
    finally:
        sys.path.remove(str(SCRIPTS))
    return module


vmlinux = _load("vmlinux")


def merge(*kernels: Types) -> Btf:
    """Merge kernels, the newest first, as 7.2, 6.1 and 5.10; read what comes out."""
    versions = ("7_2", "6_1", "5_10")
    read = [vmlinux.Kernel(v, kernel.btf()) for v, kernel in zip(versions, kernels, strict=False)]
    types = vmlinux.Types(vmlinux.Merger(read)).types
    return Btf(vmlinux.encode(types))


def struct_of(btf: Btf, name: str) -> t.Struct:
    found = btf[btf.find(t.KIND_STRUCT, name) or 0]
    assert isinstance(found, t.Struct), name
    return found


def members(btf: Btf, found: t.Struct, base: int = 0) -> dict[str, tuple[str, int]]:
    """List a struct's members as C sees them: name, then type and offset in bytes."""
    out: dict[str, tuple[str, int]] = {}
    for member in found.members:
        inner = btf[member.type]
        at = base + member.bit_offset // 8
        if member.name:
            out[member.name] = (getattr(inner, "name", "") or type(inner).__name__, at)
        elif isinstance(inner, t.Struct):
            out |= members(btf, inner, at)
    return out


def values(btf: Btf) -> dict[str, dict[str, int]]:
    return {enum.name: dict(enum.values) for _, enum in btf.of_kind(t.Enum)}


# --- structs -----------------------------------------------------------------------------------


def test_a_struct_that_only_grew_is_exactly_the_newest() -> None:
    new, old = Types(), Types()
    number = new.integer()
    new.struct("xdp_md", 12, ("data", number, 0), ("data_end", number, 32), ("more", number, 64))
    number = old.integer()
    old.struct("xdp_md", 8, ("data", number, 0), ("data_end", number, 32))
    found = struct_of(btf := merge(new, old), "xdp_md")
    assert [member.name for member in found.members] == ["data", "data_end", "more"]
    assert (found.size, members(btf, found)["more"]) == (12, ("int", 8))


def test_members_of_older_kernels_lie_beside_the_newest_ones_and_move_nothing() -> None:
    new, old = Types(), Types()
    number, byte = new.integer(), new.char()
    inner = new.struct("inner", 8, ("now", number, 0), ("end", byte, 32))
    new.struct("outer", 16, ("before", number, 0), ("in", inner, 32), ("after", number, 96))
    number = old.integer()
    inner = old.struct("inner", 8, ("then", number, 0), ("older", number, 32))
    old.struct("outer", 12, ("in", inner, 0), ("after", number, 64))
    btf = merge(new, old)
    assert struct_of(btf, "inner").size == 8
    assert members(btf, struct_of(btf, "inner")).keys() == {"now", "end", "then", "older"}
    outer = members(btf, struct_of(btf, "outer"))
    assert outer == {"before": ("int", 0), "in": ("inner", 4), "after": ("int", 12)}


def test_what_lies_behind_a_member_that_outgrew_its_place_moves() -> None:
    new, old = Types(), Types()
    number = new.integer()
    inner = new.struct("inner", 4, ("now", number, 0))
    new.struct("outer", 12, ("a", number, 0), ("in", inner, 32), ("b", number, 64))
    number = old.integer()
    old.struct("inner", 64, ("big", old.array(number, 16), 0))
    btf = merge(new, old)
    assert members(btf, struct_of(btf, "outer"))["b"] == ("int", 68)
    assert struct_of(btf, "outer").size == 72


def test_an_older_member_of_an_anonymous_struct_becomes_one_of_the_struct_around_it() -> None:
    new, old = Types(), Types()
    number = new.integer()
    nested = new.struct("", 4, ("kept", number, 0), union=True)
    new.struct("s", 4, ("", nested, 0))
    number = old.integer()
    nested = old.struct("", 4, ("gone", number, 0), ("kept", number, 0), union=True)
    old.struct("s", 4, ("", nested, 0))
    btf = merge(new, old)
    assert members(btf, struct_of(btf, "s")).keys() == {"kept", "gone"}


def test_anonymous_types_of_named_members_and_of_typedefs_are_merged_as_well() -> None:
    new, old = Types(), Types()
    for kernel, name in ((new, "now"), (old, "then")):
        number = kernel.integer()
        kernel.struct("s", 4, ("m", kernel.struct("", 4, (name, number, 0)), 0))
        kernel.typedef("alias_t", kernel.struct("", 4, (name, number, 0)))
    btf = merge(new, old)
    inner = btf[struct_of(btf, "s").members[0].type]
    alias = btf[btf.strip(btf.find(t.KIND_TYPEDEF, "alias_t") or 0)]
    for found in (inner, alias):
        assert isinstance(found, t.Struct)
        assert members(btf, found).keys() == {"now", "then"}


def test_a_member_that_changed_its_type_keeps_the_newest_and_the_older_struct_is_a_flavour() -> (
    None
):
    kernels = Types(), Types(), Types()
    for kernel, part in zip(kernels, ("block_device", "hd_struct", "hd_struct"), strict=True):
        number = kernel.integer()
        target = kernel.struct(part, 4, (part, number, 0))
        kernel.struct("gendisk", 16, ("major", number, 0), ("part0", kernel.pointer(target), 64))
    btf = merge(*kernels)
    assert members(btf, struct_of(btf, "gendisk")).keys() == {"major", "part0"}
    for name, part in (("gendisk", "block_device"), ("gendisk___v6_1", "hd_struct")):
        pointer = btf[struct_of(btf, name).members[1].type]
        assert isinstance(pointer, t.Pointer)
        assert getattr(btf[pointer.target], "name", "") == part
    assert btf.find(t.KIND_STRUCT, "gendisk___v5_10") is None  # 6.1's says the same


@pytest.mark.parametrize("wide", [True, False])
def test_integers_may_change_their_size_without_a_flavour(wide: bool) -> None:
    new, old = Types(), Types()
    new.struct("s", 8, ("m", new.integer("long int", 8), 0))
    narrow = old.integer() if wide else old.integer("_Bool", 1, 4)
    old.struct("s", 4, ("m", narrow, 0))
    btf = merge(new, old)
    assert [found.name for _, found in btf.of_kind(t.Struct)] == ["s"]


def test_a_struct_that_became_a_union_is_a_flavour() -> None:
    new, old = Types(), Types()
    new.struct("u", 4, ("a", new.integer(), 0), union=True)
    old.struct("u", 4, ("a", old.integer(), 0))
    btf = merge(new, old)
    assert btf.find(t.KIND_UNION, "u")
    assert btf.find(t.KIND_STRUCT, "u___v5_10") is None
    assert btf.find(t.KIND_STRUCT, "u___v6_1")


def test_two_structs_of_one_name_in_one_kernel_find_their_likes_in_the_other() -> None:
    new, old = Types(), Types()
    number = new.integer()
    new.struct("dma_chan", 4, ("lock", number, 0))
    new.struct("dma_chan", 8, ("device", number, 0), ("cookie", number, 32))
    number = old.integer()
    old.struct("dma_chan", 8, ("cookie", number, 0), ("slave", number, 32))
    old.struct("dma_chan", 4, ("lock", number, 0))
    btf = merge(new, old)
    assert members(btf, struct_of(btf, "dma_chan")).keys() == {"device", "cookie", "slave"}
    assert members(btf, struct_of(btf, "dma_chan___2")).keys() == {"lock"}


def test_a_table_of_struct_ops_holds_what_all_kernels_have() -> None:
    new, old = Types(), Types()
    for kernel, names in ((new, ("init", "event")), (old, ("init", "other"))):
        target = kernel.pointer()
        fields = [(name, target, 64 * at) for at, name in enumerate(names)]
        table = kernel.struct("cc_ops", 16, *fields)
        kernel.struct("bpf_struct_ops_cc_ops", 16, ("data", table, 0))
    btf = merge(new, old)
    assert members(btf, struct_of(btf, "cc_ops")).keys() == {"init"}
    assert members(btf, struct_of(btf, "cc_ops___v7_2")).keys() == {"init", "event"}


def test_a_struct_that_a_struct_embeds_without_a_name_is_written_out() -> None:
    kernel = Types()
    inner = kernel.struct("inner", 4, ("a", kernel.integer(), 0))
    kernel.struct("outer", 4, ("", inner, 0))
    nested = (btf := merge(kernel))[struct_of(btf, "outer").members[0].type]
    assert isinstance(nested, t.Struct)
    assert nested.name == ""


# --- enums -------------------------------------------------------------------------------------


def test_an_enum_gets_the_enumerators_of_older_kernels_and_keeps_the_newest_values() -> None:
    new, old = Types(), Types()
    new.enum("state", {"IDLE": 1, "BUSY": 2})
    old.enum("state", {"IDLE": 0, "GONE": 7})
    assert values(merge(new, old)) == {"state": {"IDLE": 1, "BUSY": 2, "GONE": 7}}


def test_an_enumerator_stays_with_the_newest_enum_that_has_it() -> None:
    new, old = Types(), Types()
    new.enum("", {"MOVED": 1})
    old.enum("state", {"MOVED": 3, "KEPT": 4})
    assert values(merge(new, old)) == {"": {"MOVED": 1}, "state": {"KEPT": 4, "MOVED___v6_1": 3}}


def test_enums_without_a_name_lose_no_enumerator_and_define_none_twice() -> None:
    new, old = Types(), Types()
    new.enum("", {"A": 1, "B": 2})
    old.enum("", {"A": 9, "B": 2, "C": 3})
    old.enum("", {"B": 8})
    written = [pair for _, enum in merge(new, old).of_kind(t.Enum) for pair in enum.values]
    assert sorted(written) == [("A", 1), ("B", 2), ("C", 3)]


def test_an_enum_without_enumerators_of_its_own_is_an_enum_still() -> None:
    new, old = Types(), Types()
    new.struct("s", 8, ("m", new.pointer(), 0))
    new.enum("", {"A": 0})
    old.struct("s", 4, ("m", old.enum("", {"A": 0}), 0))
    btf = merge(new, old)
    flavour = btf[struct_of(btf, "s___v6_1").members[0].type]
    assert isinstance(flavour, t.Enum)
    assert flavour.values == (("A___v6_1", 0),)


def test_negative_enumerators_of_btf_that_knows_no_signs_are_negative() -> None:
    new, old = Types(), Types()
    new.enum("e", {"A": -1}, signed=True)
    old.enum("e", {"A": 0xFFFFFFFF, "B": 0xFFFFFFFE})
    assert values(merge(new, old)) == {"e": {"A": -1, "B": -2}}


def test_an_enum_grows_for_an_older_enumerator_that_needs_it() -> None:
    new, old = Types(), Types()
    new.enum("flags", {"A": 1})
    old.enum64("flags", {"B": 1 << 32})
    assert values(merge(new, old)) == {"flags": {"A": 1, "B": 1 << 32}}


# --- the header --------------------------------------------------------------------------------


def test_enums_that_nothing_refers_to_and_nobody_knows_are_left_out() -> None:
    kernel = Types()
    kernel.enum("clk_ids", {"CLK_A": 0})
    kernel.enum("kept", {"KNOWN": 0})
    kernel.struct("s", 4, ("m", kernel.enum("used", {"U": 0}), 0))
    kernel.struct("trace_event_data_offsets_x", 0)
    types = vmlinux.Types(vmlinux.Merger([vmlinux.Kernel("7_2", kernel.btf())])).types
    names = [sorted(types[at].name for at in vmlinux.useless(types, k)) for k in (None, {"KNOWN"})]
    assert names == [["trace_event_data_offsets_x"], ["clk_ids", "trace_event_data_offsets_x"]]


@pytest.mark.needs("libbpf")
def test_the_header_names_its_kernels_and_prints_every_member() -> None:
    new, old = Types(), Types()
    new.struct("task_struct", 4, ("__state", new.integer("unsigned int", 4, 0), 0))
    old.struct("task_struct", 8, ("state", old.integer("long int", 8), 0))
    image = vmlinux.Image("linux-image-7.2-amd64", "7.2.1-1", new.raw())
    types = vmlinux.Types(vmlinux.Merger([image.kernel(), vmlinux.Kernel("5_10", old.btf())])).types
    text = vmlinux.header("amd64", [image], vmlinux.encode(types), set())
    assert " * linux-image-7.2-amd64 7.2.1-1\n *   BTF sha256 " in text
    assert "\t\tlong int state;\n" in text
    assert "\t\t\tunsigned int __state;\n" in text
    assert text.index("#ifndef __VMLINUX_H__") < text.index("attribute push")
    assert text.rstrip().endswith("#endif /* __VMLINUX_H__ */")


def test_the_same_kernels_give_the_same_bytes() -> None:
    new, old = Types(), Types()
    for kernel, name in ((new, "a"), (old, "b")):
        kernel.struct("s", 4, (name, kernel.integer(), 0))
        kernel.enum("e", {name.upper(): 1})
    kernels = [vmlinux.Kernel("7_2", new.btf()), vmlinux.Kernel("6_1", old.btf())]
    first, second = (vmlinux.encode(vmlinux.Types(vmlinux.Merger(kernels)).types) for _ in "12")
    assert first == second


@pytest.mark.parametrize("packed", [True, False])
def test_btf_is_found_in_a_kernel_image(packed: bool) -> None:
    small, big = Types(), Types()
    small.integer()
    big.struct("s", 4, ("a", big.integer(), 0))
    kernel = b"MZ code" + small.raw() + b"more code" + big.raw() + b"\xff" * 100
    image = kernel
    if packed:  # a bzImage: two sectors of set-up code, then what is packed
        payload = lzma.compress(kernel) + struct.pack("<I", len(kernel))
        setup = bytearray(3 * 512)
        setup[0x1F1] = 1
        setup[0x202:0x206] = b"HdrS"
        struct.pack_into("<II", setup, 0x248, 512, len(payload))
        image = bytes(setup) + payload
    assert vmlinux.take_btf(image) == big.raw()


def test_an_image_without_btf_is_refused() -> None:
    with pytest.raises(InvalidBtf, match="no BTF"):
        vmlinux.take_btf(b"MZ" + bytes(4096))
