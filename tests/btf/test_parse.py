"""BTF read: every kind, both byte orders, and the many ways to be wrong."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpm.btf import types as t
from ebpm.btf.canonical import canonical
from ebpm.btf.parse import Btf, byte_order, read
from ebpm.errors import InvalidBtf
from tests.strategies import examples
from tests.synthetic import BOOL, CHAR, SIGNED, Types

ORDERS = pytest.mark.parametrize("order", "<>")


def one_of_each(order: str = "<") -> Types:
    """Make a section with a type of every kind; ids as in the test below."""
    types = Types(order)
    number = types.integer("int")  # 1
    types.pointer(number)
    types.array(number, 5)
    types.struct("event", 8, ("pid", 1, 0), ("uid", 1, 32))
    types.struct("choice", 4, ("a", 1, 0), ("b", 1, 0), union=True)  # 5
    types.enum("mode", {"OFF": 0, "ON": 1, "LAST": 0xFFFFFFFF})
    types.add(t.KIND_FWD, "task_struct")
    types.add(t.KIND_FWD, "either", flag=True)
    types.typedef("pid_t", number)
    types.add(t.KIND_VOLATILE, "", number)  # 10
    types.const(10)
    types.add(t.KIND_RESTRICT, "", 2)
    types.function_type(number, ("ctx", 2), ("", 0))
    types.function("prog", 13)
    types.variable("counter", number)  # 15
    types.section(".bss", 4, (15, 8, 4))
    types.add(t.KIND_FLOAT, "double", 8)
    types.add(t.KIND_DECL_TAG, "tag", 4, 1)
    types.add(t.KIND_TYPE_TAG, "user", number)
    types.enum64("wide", {"NEGATIVE": -2, "BIG": 1 << 40}, signed=True)  # 20
    types.struct("flags", 4, ("low", 1, 0, 3), ("high", 1, 3, 5))
    types.enum("signed", {"MINUS": -1}, signed=True)
    types.add(t.KIND_DECL_TAG, "whole", 4, -1)
    return types


@ORDERS
def test_every_kind_is_read_in_both_byte_orders(order: str) -> None:
    btf = read(one_of_each(order).raw())
    member = t.Member
    assert [btf[at] for at in range(len(btf))] == [
        t.Void(),
        t.Int("int", 4, SIGNED, 0, 32),
        t.Pointer(1),
        t.Array(1, 1, 5),
        t.Struct("event", 8, (member("pid", 1, 0, 0), member("uid", 1, 32, 0)), False),
        t.Struct("choice", 4, (member("a", 1, 0, 0), member("b", 1, 0, 0)), True),
        t.Enum("mode", 4, False, (("OFF", 0), ("ON", 1), ("LAST", 0xFFFFFFFF))),
        t.Forward("task_struct", False),
        t.Forward("either", True),
        t.Modifier(t.KIND_TYPEDEF, "pid_t", 1),
        t.Modifier(t.KIND_VOLATILE, "", 1),
        t.Modifier(t.KIND_CONST, "", 10),
        t.Modifier(t.KIND_RESTRICT, "", 2),
        t.FunctionType(1, (("ctx", 2), ("", 0))),
        t.Function("prog", 13, 1),
        t.Variable("counter", 1, 1),
        t.DataSection(".bss", 4, (t.SectionEntry(15, 8, 4),)),
        t.Float("double", 8),
        t.DeclarationTag("tag", 4, 1),
        t.Modifier(t.KIND_TYPE_TAG, "user", 1),
        t.Enum("wide", 8, True, (("NEGATIVE", -2), ("BIG", 1 << 40))),
        t.Struct("flags", 4, (member("low", 1, 0, 3), member("high", 1, 3, 5)), False),
        t.Enum("signed", 4, True, (("MINUS", -1),)),
        t.DeclarationTag("whole", 4, -1),
    ]


def test_the_encoding_of_integers_tells_signs_and_booleans() -> None:
    types = Types()
    for encoding in (0, SIGNED, CHAR, BOOL):
        types.integer("x", 1, encoding)
    found = [one for _, one in types.btf().of_kind(t.Int)]
    assert [one.signed for one in found] == [False, True, False, False]
    assert [one.boolean for one in found] == [False, False, False, True]


def test_types_are_found_by_kind_and_name() -> None:
    types = one_of_each()
    types.struct("event", 0)  # a second one of that name
    btf = types.btf()
    assert btf.find(t.KIND_STRUCT, "event") == 4
    assert btf.find(t.KIND_UNION, "event") is None
    assert btf.find(t.KIND_TYPEDEF, "pid_t") == 9
    assert btf.find(t.KIND_STRUCT, "") is None
    assert btf.kind(4) == t.KIND_STRUCT
    assert btf.kind(0) == t.KIND_VOID


def test_sizes_follow_typedefs_arrays_and_variables() -> None:
    types = one_of_each()
    nested = types.array(types.array(9, 3), 2)
    variable = types.variable("v", types.const(nested))
    btf = types.btf()
    sizes = {at: btf.size(at) for at in range(1, 9)}
    assert sizes == {1: 4, 2: 8, 3: 20, 4: 8, 5: 4, 6: 4, 7: 0, 8: 0}
    assert (btf.size(0), btf.size(13), btf.size(16), btf.size(17)) == (0, 0, 4, 8)
    assert (btf.size(nested), btf.size(variable), btf.size(20)) == (24, 24, 8)


def test_an_empty_section_has_only_void() -> None:
    btf = read(struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, 0, 0, 0))
    assert len(btf) == 1
    assert btf.string(0) == ""


def test_a_longer_header_is_skipped() -> None:
    raw = one_of_each().raw()
    longer = raw[:4] + struct.pack("<I", 32) + raw[8:24] + b"new-part" + raw[24:]
    assert len(read(longer)) == len(read(raw))


def test_names_that_are_not_utf8_are_replaced() -> None:
    types = Types()
    types.add(t.KIND_FWD, b"caf\xe9")
    assert types.btf()[1] == t.Forward("caf�", False)


def header(**changes: int) -> bytes:
    """Write BTF with a header that lies."""
    raw = one_of_each().raw()
    names = ("magic", "version", "flags", "length", "types", "type_size", "strings", "string_size")
    fields = dict(zip(names, struct.unpack_from("<HBBIIIII", raw), strict=True)) | changes
    return struct.pack("<HBBIIIII", *fields.values()) + raw[24:]


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "shorter than its header"),
        (header()[:23], "shorter than its header"),
        (header(magic=0xEB9E), "magic number"),
        (header(version=2), "version 2 is unknown"),
        (header(length=8), "points outside the section"),
        (header(length=1 << 31), "points outside the section"),
        (header(types=1 << 31), "points outside the section"),
        (header(type_size=1 << 31), "points outside the section"),
        (header(strings=1 << 31), "points outside the section"),
        (header(string_size=1 << 31), "points outside the section"),
        (header(string_size=3), "not enclosed in NUL"),
        (header(type_size=15), "last BTF type is cut off"),
        (header(type_size=5), "last BTF type is cut off"),
    ],
)
def test_a_header_that_lies_is_refused(raw: bytes, says: str) -> None:
    with pytest.raises(InvalidBtf, match=says):
        Btf(raw)


def test_the_byte_order_is_told_by_the_magic_number() -> None:
    assert byte_order(one_of_each("<").raw()) == "<"
    assert byte_order(one_of_each(">").raw()) == ">"


@pytest.mark.parametrize("kind", [0, 20, 31])
def test_an_unknown_kind_is_refused(kind: int) -> None:
    types = Types()
    types.integer()
    types.add(kind)
    with pytest.raises(InvalidBtf, match=f"type 2 is of unknown kind {kind}"):
        types.btf()


def test_a_count_beyond_the_section_is_refused() -> None:
    types = Types()
    types.add(t.KIND_STRUCT, "huge", 8, vlen=65535)
    with pytest.raises(InvalidBtf, match="cut off"):
        types.btf()


def test_a_name_outside_the_string_table_is_refused() -> None:
    types = Types()
    types.add(t.KIND_FWD, 1000)
    with pytest.raises(InvalidBtf, match="outside the string table"):
        read(types.raw())


def test_an_id_that_is_not_there_is_refused() -> None:
    btf = one_of_each().btf()
    for missing in (len(btf), 1 << 31):
        with pytest.raises(InvalidBtf, match="there is no BTF type"):
            btf[missing]


def test_a_type_that_refers_to_itself_is_refused() -> None:
    types = Types()
    types.const(2)
    types.typedef("loop", 1)
    types.array(3, 1)
    btf = types.btf()
    for question in (lambda: btf.strip(1), lambda: btf.size(2), lambda: btf.size(3)):
        with pytest.raises(InvalidBtf, match=r"itself|too deeply"):
            question()


def test_names_that_share_one_long_tail_are_refused() -> None:
    """A few kilobytes of names, with a type for each character, stand for many times as much."""
    types = Types()
    types.name("x" * 4000)
    for at in range(3900):
        types.add(t.KIND_FWD, 1 + at)
    with pytest.raises(InvalidBtf, match="longer than the string table"):
        read(types.raw())


def test_a_name_longer_than_a_page_is_refused() -> None:
    types = Types()
    types.add(t.KIND_FWD, "x" * 5000)
    with pytest.raises(InvalidBtf, match="5000 characters"):
        read(types.raw())


def test_every_truncation_is_refused() -> None:
    raw = one_of_each().raw()
    for length in range(len(raw)):
        with pytest.raises(InvalidBtf):
            read(raw[:length])


def test_every_flipped_byte_gives_types_or_an_error() -> None:
    raw = one_of_each().raw()
    for at in range(len(raw)):
        for bit in (0, 3, 7):
            copy = bytearray(raw)
            copy[at] ^= 1 << bit
            with suppress(InvalidBtf):
                btf = read(bytes(copy))
                for type_id in range(len(btf)):
                    btf.size(type_id)


@examples(200)
@given(st.binary(max_size=300))
def test_any_bytes_give_types_or_an_error(data: bytes) -> None:
    sizes = (0, len(data), 0, min(len(data), 40))
    for raw in (data, struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, *sizes) + data):
        with suppress(InvalidBtf):
            read(raw)


# --- as far as is asked for ----------------------------------------------------------------------


@ORDERS
def test_records_that_are_found_as_they_are_asked_for_are_the_same(order: str) -> None:
    raw = one_of_each(order).raw()
    whole = read(raw)
    for type_id in reversed(range(1, len(whole))):
        assert Btf(raw, whole=False)[type_id] == whole[type_id]
    assert len(Btf(raw, whole=False)) == len(whole)
    for past in (0, len(whole), len(whole) + 1000):
        with pytest.raises(InvalidBtf, match=f"no BTF type {past}"):
            Btf(raw, whole=False).record(past)


def test_types_are_found_by_the_places_of_their_names_however_many_are_sought() -> None:
    """A member, an enumerator or a parameter of that name is none."""
    types = Types()
    for number in range(200):
        types.struct(f"s{number % 50}", 4, (f"s{(number + 1) % 50}", 1, 0))
    raw, _ = canonical(types.btf(), None)  # which holds each name once
    names = read(raw)
    places = {names.strings.index(f"\0s{number}\0".encode()) + 1 for number in range(50)}
    every = Btf(raw, whole=False).named(places)
    assert [number for number, _ in every] == list(range(1, 201))
    for place in places:
        found = Btf(raw, whole=False).named({place})
        assert found == [one for one in every if one[1] == place]
        assert len(found) == 4


def test_what_nobody_asks_for_may_be_damaged() -> None:
    types = Types()
    types.integer("int")
    for _ in range(20000):
        types.pointer(1)
    raw = types.raw()
    broken = raw[: 24 + 16 + 12 * 19999 + 4] + b"\xff" * 8 + raw[24 + 16 + 12 * 20000 :]
    lazy = Btf(broken, whole=False)
    assert lazy[1] == t.Int("int", 4, SIGNED, 0, 32)
    with pytest.raises(InvalidBtf, match="type 20001 is of unknown kind 31"):
        lazy[20001]
    with pytest.raises(InvalidBtf, match="type 20001 is of unknown kind 31"):
        Btf(broken)
