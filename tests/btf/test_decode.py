"""Bytes to values: every layout, short records, and whatever else a program may submit."""

from __future__ import annotations

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpm.btf import layout as kinds
from ebpm.btf.decode import EnumValue, reader
from ebpm.btf.layout import Layout, Member
from tests.strategies import LAYOUTS, examples, pack

U8 = Layout(kinds.INT, "__u8", 1)
I32 = Layout(kinds.INT, "int", 4, signed=True)
U32 = Layout(kinds.INT, "__u32", 4)
U64 = Layout(kinds.INT, "__u64", 8)
BOOL = Layout(kinds.BOOL, "bool", 1)
COMM = Layout(kinds.STRING, "", 8)
MODE = Layout(kinds.ENUM, "mode", 4, values={0: "OFF", 1: "ON"})


def array(element: Layout, count: int) -> Layout:
    return Layout(kinds.ARRAY, "", element.size * count, count=count, element=element)


def structure(size: int, *members: Member, kind: str = kinds.STRUCT) -> Layout:
    return Layout(kind, "event", size, members=members)


@pytest.mark.parametrize(
    ("layout", "data", "value"),
    [
        (U8, b"\xff", 255),
        (I32, pack("i", -5), -5),
        (U32, pack("I", 4_000_000_000), 4_000_000_000),
        (U64, b"\xff" * 8, 2**64 - 1),
        (Layout(kinds.INT, "__int128", 16, signed=True), b"\xff" * 16, -1),
        (Layout(kinds.INT, "u128", 16), (2**127).to_bytes(16, sys.byteorder), 2**127),
        (BOOL, b"\0", False),
        (BOOL, b"\x02", True),
        (Layout(kinds.FLOAT, "float", 4), pack("f", 0.5), 0.5),
        (Layout(kinds.FLOAT, "double", 8), pack("d", 0.1), 0.1),
        (Layout(kinds.POINTER, "", 8), pack("Q", 0xFFFF888000000000), 0xFFFF888000000000),
        (COMM, b"bash\0\0\0\0", "bash"),
        (COMM, b"bash\0old", "bash"),
        (COMM, b"eightchr", "eightchr"),
        (COMM, b"caf\xe9\0\0\0\0", "caf�"),
        (MODE, pack("I", 1), 1),
        (array(U8, 3), b"\1\2\3", [1, 2, 3]),
        (array(array(U8, 2), 2), b"\1\2\3\4", [[1, 2], [3, 4]]),
        (array(COMM, 2), b"one\0\0\0\0\0two\0\0\0\0\0", ["one", "two"]),
        (array(Layout(kinds.STRUCT, "empty", 0), 5), b"", []),
        (Layout(kinds.OPAQUE, "", 3), b"abc", b"abc"),
        (Layout(kinds.FLOAT, "long double", 16), b"x" * 16, b"x" * 16),
    ],
)
def test_each_layout_gives_its_value(layout: Layout, data: bytes, value: object) -> None:
    got = reader(layout)(data, 0)
    assert got == value
    assert type(got) is type(value) or layout.kind == kinds.ENUM
    assert reader(layout)(memoryview(b"???" + data), 3) == value


def test_every_value_that_the_data_does_not_reach_is_none() -> None:
    for layout in (U8, I32, BOOL, COMM, MODE, array(U8, 3), Layout(kinds.OPAQUE, "", 3)):
        assert reader(layout)(bytes(layout.size - 1), 0) is None
        assert reader(layout)(b"", 0) is None


def test_a_nan_is_a_float() -> None:
    assert math.isnan(reader(Layout(kinds.FLOAT, "float", 4))(pack("f", math.nan), 0))


def test_an_enumerator_is_a_number_with_a_name() -> None:
    known, unknown = reader(MODE)(pack("I", 1), 0), reader(MODE)(pack("I", 7), 0)
    assert isinstance(known, EnumValue)
    assert (known.name, str(known), known + 1) == ("ON", "ON(1)", 2)
    assert (unknown.name, str(unknown)) == (None, "<UNKNOWN_VARIANT>(7)")


def test_signed_and_narrow_enumerators() -> None:
    signed = Layout(kinds.ENUM, "e", 4, signed=True, values={-1: "MINUS"})
    assert reader(signed)(pack("i", -1), 0).name == "MINUS"
    narrow = Layout(kinds.ENUM, "e", 1, values={200: "HIGH"})
    assert reader(narrow)(b"\xc8", 0).name == "HIGH"


def test_a_struct_is_a_mapping_and_its_missing_end_is_none() -> None:
    event = structure(
        16, Member("pid", 0, 0, I32), Member("comm", 32, 0, COMM), Member("ret", 96, 0, I32)
    )
    data = pack("i8si", 7, b"bash", -2)
    assert reader(event)(data, 0) == {"pid": 7, "comm": "bash", "ret": -2}
    assert reader(event)(data[:12], 0) == {"pid": 7, "comm": "bash", "ret": None}
    assert reader(event)(b"", 0) == {"pid": None, "comm": None, "ret": None}


def test_members_of_anonymous_structs_and_unions_stand_beside_the_others() -> None:
    pair = structure(8, Member("a", 0, 0, I32), Member("b", 32, 0, I32))
    choice = structure(4, Member("c", 0, 0, I32), Member("d", 0, 0, BOOL), kind=kinds.UNION)
    event = structure(
        16, Member("pid", 0, 0, I32), Member("", 32, 0, pair), Member("", 96, 0, choice)
    )
    value = {"pid": 1, "a": 2, "b": 3, "c": 4, "d": True}
    assert reader(event)(pack("iiii", 1, 2, 3, 4), 0) == value
    assert reader(event)(pack("ii", 1, 2), 0) == {"pid": 1, "a": 2, "b": None, "c": None, "d": None}


def test_nested_structs_are_mappings_in_mappings() -> None:
    inner = structure(4, Member("port", 0, 0, Layout(kinds.INT, "u16", 2)))
    event = structure(12, Member("from", 32, 0, inner), Member("to", 64, 0, inner))
    assert reader(event)(pack("IHHHH", 0, 80, 0, 443, 0), 0) == {
        "from": {"port": 80},
        "to": {"port": 443},
    }


@pytest.mark.skipif(sys.byteorder == "big", reason="the bytes below are little-endian")
def test_bitfields_are_cut_out_with_their_sign_and_kind() -> None:
    event = structure(
        8,
        Member("low", 0, 3, U32),
        Member("sign", 3, 4, I32),
        Member("flag", 7, 1, BOOL),
        Member("mode", 8, 2, MODE),
        Member("across", 14, 20, U64),
    )
    bits = 0b101 | 0b1110 << 3 | 1 << 7 | 1 << 8 | 0xABCDE << 14
    got = reader(event)(bits.to_bytes(8, "little"), 0)
    assert got == {"low": 5, "sign": -2, "flag": True, "mode": 1, "across": 0xABCDE}
    assert got["flag"] is True
    assert got["mode"].name == "ON"
    assert reader(event)(b"\x05", 0)["mode"] is None


@examples(300)
@given(LAYOUTS, st.binary(max_size=80), st.integers(0, 90))
def test_no_bytes_make_a_reader_fail(layout: Layout, data: bytes, at: int) -> None:
    read = reader(layout)
    assert read(data, at) == read(memoryview(data), at) or "nan" in repr(read(data, at))
