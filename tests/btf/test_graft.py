"""Types of one section added to another: the event that only the code mentions."""

from __future__ import annotations

import pytest

from ebpm.btf import types as t
from ebpm.btf.graft import graft
from ebpm.btf.layouts import layout_of
from ebpm.btf.parse import Btf, read
from ebpm.errors import InvalidBtf
from tests.synthetic import Types


def base() -> Types:
    """Make the section to extend: ``int`` is 1, ``struct known`` 2, and a pointer to it 3."""
    types = Types()
    number = types.integer("int")
    types.struct("known", 8, ("a", number, 0), ("b", number, 32))
    types.pointer(2)
    return types


def grafted(into: Types, source: Types, *roots: int) -> Btf:
    return read(graft(into.btf(), source.btf(), roots))


def source_with_known() -> tuple[Types, int, int]:
    types = Types()
    types.typedef("unrelated", types.integer("long", 8))
    number = types.integer("int")
    known = types.struct("known", 8, ("a", number, 0), ("b", number, 32))
    return types, number, known


def test_a_type_that_is_absent_is_added_behind_the_others() -> None:
    source, number, _ = source_with_known()
    text = source.array(source.char(), 16)
    event = source.struct("event", 20, ("pid", number, 0), ("comm", text, 32))
    btf = grafted(base(), source, event)
    assert btf.find(t.KIND_STRUCT, "known") == 2
    found = btf.find(t.KIND_STRUCT, "event")
    assert found == 4
    layout = layout_of(btf, found)
    assert [(member.name, member.layout.kind) for member in layout.members] == [
        ("pid", "int"),
        ("comm", "string"),
    ]
    assert btf.find(t.KIND_TYPEDEF, "unrelated") is None


def test_types_that_are_there_are_shared() -> None:
    source, _, known = source_with_known()
    event = source.struct("event", 16, ("k", known, 0), ("next", source.pointer(known), 64))
    btf = grafted(base(), source, event)
    found = btf[btf.find(t.KIND_STRUCT, "event") or 0]
    assert isinstance(found, t.Struct)
    assert [member.type for member in found.members] == [2, 3]
    assert len(btf) == 5


def test_a_type_that_is_there_already_adds_nothing() -> None:
    source, _, known = source_with_known()
    assert len(grafted(base(), source, known, known)) == 4


def test_a_struct_of_the_same_name_and_other_members_is_another() -> None:
    source = Types()
    number = source.integer("int")
    known = source.struct("known", 4, ("a", number, 0))
    btf = grafted(base(), source, source.struct("event", 4, ("k", known, 0)))
    found = btf[btf.find(t.KIND_STRUCT, "event") or 0]
    assert isinstance(found, t.Struct)
    assert btf.size(found.members[0].type) == 4


def test_a_pointer_leads_to_a_forward_declaration() -> None:
    source, number, _ = source_with_known()
    task = source.struct("task_struct", 4, ("pid", number, 0))
    union = source.struct("either", 4, ("pid", number, 0), union=True)
    members = [source.pointer(task), source.pointer(union), source.pointer(source.const(task))]
    event = source.struct("event", 24, *[(f"m{at}", of, 64 * at) for at, of in enumerate(members)])
    btf = grafted(base(), source, event)
    assert btf.find(t.KIND_STRUCT, "task_struct") is None
    forwards = sorted(repr(found) for _, found in btf.of_kind(t.Forward))
    assert forwards == [
        "Forward(name='either', union=True)",
        "Forward(name='task_struct', union=False)",
    ]


def test_a_typedef_behind_a_pointer_does_not_bring_its_struct() -> None:
    source, number, _ = source_with_known()
    task = source.typedef("task_t", source.struct("task_struct", 4, ("pid", number, 0)))
    btf = grafted(base(), source, source.struct("event", 8, ("task", source.pointer(task), 0)))
    alias = btf[btf.find(t.KIND_TYPEDEF, "task_t") or 0]
    assert isinstance(alias, t.Modifier)
    assert btf[alias.target] == t.Forward("task_struct", False)


@pytest.mark.parametrize("qualifier", ["", "const", "typedef"])
def test_a_struct_may_point_to_itself(qualifier: str) -> None:
    source = Types()
    node = 3 if qualifier else 2
    source.pointer(2)
    if qualifier == "const":
        source.const(node)
    elif qualifier == "typedef":
        source.typedef("node_t", node)
    assert source.struct("node", 8, ("next", 1, 0)) == node
    btf = grafted(base(), source, node)
    found = btf.find(t.KIND_STRUCT, "node")
    assert found is not None
    struct = btf[found]
    assert isinstance(struct, t.Struct)
    pointer = btf[struct.members[0].type]
    assert isinstance(pointer, t.Pointer)
    assert btf.strip(pointer.target) == found
    assert not list(btf.of_kind(t.Forward))


def test_structs_that_point_to_one_another_are_both_told() -> None:
    """As struct dentry and its struct dentry_operations, behind const pointers."""
    source = Types()
    left = source.struct("left", 8, ("other", 2, 0))
    source.pointer(3)
    source.const(4)
    right = source.struct("right", 8, ("other", 5, 0))
    source.pointer(6)
    source.const(left)
    btf = grafted(base(), source, left, right)
    assert btf.find(t.KIND_STRUCT, "left")
    assert btf.find(t.KIND_STRUCT, "right")


def test_shared_parts_are_compared_once() -> None:
    """Twenty levels of ten members each are 10**20 paths to the same integer."""
    types = Types()
    last = types.integer("char", 1)
    for level in range(20):
        last = types.struct(f"s{level}", 1, *[("m", last, 0)] * 10)
    assert len(grafted(types, types, last)) == 22


def test_a_type_that_contains_itself_is_refused() -> None:
    source = Types()
    source.struct("loop", 8, ("inner", 1, 0))
    with pytest.raises(InvalidBtf, match="too deeply"):
        grafted(base(), source, 1)


def test_a_qualifier_of_itself_behind_a_pointer_is_refused() -> None:
    source = Types()
    pointer = source.pointer(2)
    source.const(2)
    with pytest.raises(InvalidBtf, match="too deeply"):
        grafted(base(), source, pointer)


def test_a_forward_declaration_is_added_once() -> None:
    into = base()
    there = into.add(t.KIND_FWD, "task_struct")
    source = Types()
    task = source.struct("task_struct", 4)
    again = source.struct("task_struct", 8)
    members = [source.pointer(task), source.pointer(source.const(task)), source.pointer(again)]
    event = source.struct("event", 24, *[(f"m{at}", of, 64 * at) for at, of in enumerate(members)])
    btf = grafted(into, source, event)
    assert [at for at, _ in btf.of_kind(t.Forward)] == [there]


def test_a_forward_union_is_no_forward_struct() -> None:
    into = base()
    into.pointer(into.add(t.KIND_FWD, "x"))
    source = Types()
    union = source.pointer(source.add(t.KIND_FWD, "x", flag=True))
    btf = grafted(into, source, source.struct("event", 8, ("m", union, 0)))
    assert sorted(repr(found) for _, found in btf.of_kind(t.Forward)) == [
        "Forward(name='x', union=False)",
        "Forward(name='x', union=True)",
    ]
    assert len(list(btf.of_kind(t.Pointer))) == 3


def test_functions_behind_pointers_keep_their_parameters() -> None:
    source, number, known = source_with_known()
    callback = source.function_type(number, ("k", source.pointer(known)), ("x", number))
    event = source.struct("event", 8, ("call", source.pointer(callback), 0))
    btf = grafted(base(), source, event)
    (found,) = [one for _, one in btf.of_kind(t.FunctionType)]
    assert found == t.FunctionType(1, (("k", 3), ("x", 1)))


def test_strings_that_are_there_keep_their_places() -> None:
    into = base()
    source, number, _ = source_with_known()
    event = source.struct("event", 4, ("pid", number, 0))
    before = into.btf().strings
    assert grafted(into, source, event).strings.startswith(before)


def test_a_section_without_strings_can_be_extended() -> None:
    source = Types()
    event = source.struct("event", 4, ("pid", source.integer(), 0))
    empty = Types()
    empty.strings.clear()
    btf = grafted(empty, source, event)
    assert btf.find(t.KIND_STRUCT, "event") == 1
