"""Values to bytes: what a parameter or map entry is written with, and what cannot be."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpm.btf import layout as kinds
from ebpm.btf.decode import reader
from ebpm.btf.encode import encode, integer_range
from ebpm.btf.layout import Layout, Member
from tests.btf.test_decode import BOOL, COMM, I32, MODE, U8, U32, array, structure
from tests.strategies import LAYOUTS, examples, pack, values

F32, F64 = Layout(kinds.FLOAT, "float", 4), Layout(kinds.FLOAT, "double", 8)
PAIR = structure(8, Member("a", 0, 0, I32), Member("b", 32, 0, I32))


@pytest.mark.parametrize(
    ("layout", "value", "data"),
    [
        (I32, -5, pack("i", -5)),
        (U32, 4_000_000_000, pack("I", 4_000_000_000)),
        (I32, True, pack("i", 1)),
        (BOOL, True, b"\1"),
        (BOOL, 0, b"\0"),
        (Layout(kinds.INT, "__int128", 16, signed=True), -1, b"\xff" * 16),
        (Layout(kinds.POINTER, "", 8), 2**64 - 1, b"\xff" * 8),
        (F32, 1, pack("f", 1)),
        (F64, 0.1, pack("d", 0.1)),
        (Layout(kinds.FLOAT, "_Float16", 2), 0.5, pack("e", 0.5)),
        (MODE, "ON", pack("I", 1)),
        (MODE, 7, pack("I", 7)),
        (COMM, "bash", b"bash\0\0\0\0"),
        (COMM, "", bytes(8)),
        (COMM, "sevench", b"sevench\0"),
        (COMM, "é", "é".encode() + bytes(6)),
        (array(U8, 4), [1, 2], b"\1\2\0\0"),
        (array(U8, 4), "abc", b"abc\0"),
        (array(COMM, 2), ["a", "b"], b"a" + bytes(7) + b"b" + bytes(7)),
        (PAIR, {"b": 2}, pack("ii", 0, 2)),
        (structure(4, Member("x", 0, 0, I32), kind=kinds.UNION), {"x": 3}, pack("i", 3)),
    ],
)
def test_each_value_is_written_as_the_machine_holds_it(
    layout: Layout, value: Any, data: bytes
) -> None:
    assert encode(layout, value) == data


@pytest.mark.parametrize(
    ("layout", "value", "says"),
    [
        (I32, 2**31, "2147483648 is out of range for int, which holds -2147483648 to 2147483647"),
        (U8, -1, "-1 is out of range for __u8, which holds 0 to 255"),
        (BOOL, 2, "2 is out of range for bool, which holds 0 to 1"),
        (BOOL, "yes", "'yes' is not true or false"),
        (I32, "5", "'5' is not an integer"),
        (I32, 5.0, "5.0 is not an integer"),
        (I32, None, "None is not an integer"),
        (MODE, "AUTO", "'AUTO' is not one of OFF, ON"),
        (MODE, 2**32, "out of range for mode"),
        (F32, "1", "'1' is not a number"),
        (F32, True, "True is not a number"),
        (F32, 1e300, "1e+300 is out of range for float, which holds -3.4028235e+38 to 3.4"),
        pytest.param(F64, 10**400, "is out of range for double, which holds -1.797", id="googol"),
        (COMM, 5, "5 is not text"),
        (COMM, "eightchr", "takes 9 bytes with its NUL, and char[8] holds fewer"),
        (COMM, "ééé é", "takes 10 bytes with its NUL"),
        (array(U8, 2), 5, "5 is not a list"),
        (array(U8, 2), [1, 2, 3], "3 values are too many: the array holds 2"),
        (array(U8, 2), [1, 256], "256 is out of range"),
        (PAIR, [1], "[1] is not a mapping"),
        (PAIR, {"c": 1}, "no member 'c'; there are a, b"),
        (PAIR, {"a": 2**40}, "a: 1099511627776 is out of range for int"),
        (structure(4, Member("f", 0, 3, U32)), {"f": 8}, "f: 8 is out of range for 3 bits, 0 to 7"),
        (Layout(kinds.FLOAT, "long double", 16), 1, "of type long double cannot be given"),
        (Layout(kinds.OPAQUE, "", 4), 1, "cannot be given"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_what_would(
    layout: Layout, value: Any, says: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        encode(layout, value)


def test_bytes_that_a_value_does_not_mention_stay() -> None:
    assert encode(COMM, "ab", b"12345678") == b"ab\x0045678"
    assert encode(array(U8, 4), [9], b"1234") == b"\t234"
    assert encode(PAIR, {"a": 1}, pack("ii", 7, 8)) == pack("ii", 1, 8)
    fields = structure(4, Member("low", 0, 4, U32), Member("high", 4, 28, U32))
    before = encode(fields, {"low": 5, "high": 77})
    after = encode(fields, {"low": 2}, before)
    assert reader(fields)(after, 0) == {"low": 2, "high": 77}


def test_members_of_anonymous_structs_are_set_by_their_names() -> None:
    bits = structure(4, Member("flag", 8, 2, U32))
    event = structure(
        12, Member("pid", 0, 0, I32), Member("", 32, 0, PAIR), Member("", 64, 0, bits)
    )
    data = encode(event, {"b": 256, "a": 3})
    assert data == pack("iii", 0, 3, 256)
    assert reader(event)(encode(event, {"flag": 3}), 0)["flag"] == 3


def test_ranges_are_those_of_the_type() -> None:
    assert integer_range(I32, 32) == (-(2**31), 2**31 - 1)
    assert integer_range(U32, 3) == (0, 7)
    assert integer_range(BOOL, 8) == (0, 1)


@examples(300)
@given(st.data(), LAYOUTS)
def test_what_is_written_is_read_again(data: st.DataObject, layout: Layout) -> None:
    value = data.draw(values(layout))
    written = encode(layout, value)
    assert len(written) == layout.size
    assert reader(layout)(written, 0) == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@examples(200)
@given(LAYOUTS, JSON)
def test_any_value_gives_bytes_of_the_right_length_or_a_reason(layout: Layout, value: Any) -> None:
    with suppress(ValueError):
        assert len(encode(layout, value)) == layout.size


ADDRESS = Layout(kinds.ADDRESS, "ebpm_ip", 16)


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("127.0.0.1", bytes(10) + b"\xff\xff\x7f\0\0\1"),
        ("::", bytes(16)),
        ("::1", bytes(15) + b"\1"),
        ("2001:db8::a", bytes.fromhex("20010db80000000000000000") + b"\0\0\0\x0a"),
    ],
)
def test_an_address_is_what_people_write_both_ways(text: str, data: bytes) -> None:
    assert encode(ADDRESS, text) == data
    assert reader(ADDRESS)(data, 0) == text
    assert reader(ADDRESS)(data[:15], 0) is None


@pytest.mark.parametrize("text", ["localhost", "1.2.3", "1.2.3.256", "::g", "", 5])
def test_what_is_no_address_is_said_to_be_none(text: Any) -> None:
    with pytest.raises(ValueError, match="is not an IP address"):
        encode(ADDRESS, text)
