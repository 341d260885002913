"""Layouts made from BTF: what a value needs to be read and written."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpm.btf import layout as kinds
from ebpm.btf import types as t
from ebpm.btf.decode import reader
from ebpm.btf.layout import Layout
from ebpm.btf.layouts import layout_of
from ebpm.btf.parse import Btf
from ebpm.errors import InvalidBtf
from ebpm.plainjson import dumps, loads
from tests.strategies import LAYOUTS, examples
from tests.synthetic import BOOL, Types


def laid_out(types: Types, type_id: int) -> Layout:
    return layout_of(types.btf(), type_id)


def test_scalars_have_their_kind_size_and_sign() -> None:
    types = Types()
    made = [
        types.integer("int"),
        types.integer("unsigned long", 8, 0),
        types.integer("_Bool", 1, BOOL),
        types.integer("__int128", 16),
        types.add(t.KIND_FLOAT, "float", 4),
        types.pointer(1),
        types.add(t.KIND_FWD, "task_struct"),
        0,
    ]
    found = [laid_out(types, one) for one in made]
    assert [(one.kind, one.name, one.size, one.signed) for one in found] == [
        (kinds.INT, "int", 4, True),
        (kinds.INT, "unsigned long", 8, False),
        (kinds.BOOL, "_Bool", 1, False),
        (kinds.INT, "__int128", 16, True),
        (kinds.FLOAT, "float", 4, False),
        (kinds.POINTER, "", 8, False),
        (kinds.OPAQUE, "", 0, False),
        (kinds.OPAQUE, "", 0, False),
    ]


def test_typedefs_and_qualifiers_are_followed_and_the_first_typedef_names_a_scalar() -> None:
    types = Types()
    inner = types.typedef("__u32", types.integer("unsigned int", 4, 0))
    outer = types.const(types.typedef("pid_t", types.add(t.KIND_VOLATILE, "", inner)))
    found = laid_out(types, outer)
    assert (found.kind, found.name, found.signed) == (kinds.INT, "pid_t", False)


def test_a_struct_keeps_its_tag_and_an_anonymous_one_takes_its_typedefs_name() -> None:
    types = Types()
    tagged = types.typedef("event_t", types.struct("event", 0))
    anonymous = types.typedef("event_t", types.struct("", 0))
    assert laid_out(types, tagged).name == "event"
    assert laid_out(types, anonymous).name == "event_t"


def test_arrays_of_char_are_text_and_other_arrays_are_not() -> None:
    types = Types()
    char = types.char()
    text = laid_out(types, types.array(types.const(char), 16))
    assert (text.kind, text.size) == (kinds.STRING, 16)
    byte = types.typedef("__u8", types.integer("unsigned char", 1, 0))
    numbers = laid_out(types, types.array(byte, 16))
    assert (numbers.kind, numbers.count) == (kinds.ARRAY, 16)
    lines = laid_out(types, types.array(types.array(char, 10), 3))
    assert (lines.kind, lines.count, lines.size) == (kinds.ARRAY, 3, 30)
    assert lines.element is not None
    assert lines.element.kind == kinds.STRING


def test_the_first_name_of_an_enumerators_value_wins() -> None:
    types = Types()
    found = laid_out(types, types.enum("mode", {"A": 1, "B": 1, "C": 2}))
    assert found.values == {1: "A", 2: "C"}
    wide = laid_out(types, types.enum64("wide", {"LOW": -1}, signed=True))
    assert (wide.size, wide.signed, wide.values) == (8, True, {-1: "LOW"})


def test_members_keep_their_places_and_bitfields_their_widths() -> None:
    types = Types()
    number = types.integer("unsigned int", 4, 0)
    fields = types.struct("f", 8, ("low", number, 0, 3), ("high", number, 3, 29), ("x", number, 32))
    found = laid_out(types, fields)
    places = [(member.name, member.bit_offset, member.bits) for member in found.members]
    assert places == [("low", 0, 3), ("high", 3, 29), ("x", 32, 0)]


def test_bitfields_of_old_compilers_are_recognised() -> None:
    """Before the kind flag, the integer type said how wide the field is, and where in it."""
    types = Types()
    narrow = types.integer("unsigned int", 4, 0, bits=3, offset=5)
    (member,) = laid_out(types, types.struct("old", 4, ("x", narrow, 8))).members
    assert (member.bit_offset, member.bits) == (13, 3)


def test_a_member_outside_of_its_struct_is_refused() -> None:
    types = Types()
    number = types.integer()
    for place in ((32,), (1,), (30, 3)):
        with pytest.raises(InvalidBtf, match=r"event\.x reaches beyond its 4 bytes"):
            laid_out(types, types.struct("event", 4, ("x", number, *place)))


def test_an_array_without_a_length_at_the_end_is_no_member_outside() -> None:
    types = Types()
    tail = types.array(types.char(), 0)
    found = laid_out(types, types.struct("event", 4, ("len", types.integer(), 0), ("s", tail, 32)))
    assert found.members[1].layout.size == 0


def test_a_struct_that_contains_itself_is_refused() -> None:
    types = Types()
    types.struct("node", 8, ("inner", 1, 0))
    with pytest.raises(InvalidBtf, match="too deeply"):
        laid_out(types, 1)


def test_a_few_records_that_stand_for_millions_of_parts_are_refused() -> None:
    types = Types()
    last = types.integer("char", 1)
    for level in range(8):
        last = types.struct("", 10 ** (level + 1), *[("m", last, 0)] * 10)
    with pytest.raises(InvalidBtf, match="too deeply"):
        laid_out(types, last)


def test_an_array_larger_than_memory_is_laid_out_and_read_as_absent() -> None:
    types = Types()
    huge = types.array(types.array(types.integer(), 1 << 31), 1 << 31)
    found = laid_out(types, huge)
    assert found.size == 1 << 64
    assert reader(found)(bytes(100), 0) is None


@examples(100)
@given(LAYOUTS)
def test_a_layout_survives_json(layout: Layout) -> None:
    text = dumps(layout.dump())
    again = Layout.load(loads(text))
    assert dumps(again.dump()) == text
    data = bytes(range(1, 200))
    assert repr(reader(again)(data, 0)) == repr(reader(layout)(data, 0))


@examples(150)
@given(st.lists(st.integers(0, 2**32 - 1), max_size=40), st.integers(1, 19))
def test_any_types_give_a_layout_or_an_error(words: list[int], kind: int) -> None:
    types = Types()
    types.integer()
    types.add(kind, "", *[word % 50 for word in words[:1]], *words[1:], vlen=len(words) // 3)
    types.add(kind, "", 2, *words, vlen=len(words) // 3)
    with suppress(InvalidBtf):
        btf = Btf(types.raw())
        for type_id in range(len(btf)):
            reader(layout_of(btf, type_id))(bytes(64), 0)
