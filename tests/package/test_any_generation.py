"""Old packages with anything in any place: a package, or an error that says what is wrong."""

from __future__ import annotations

import base64
import copy
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpm.btf.layouts import layout_of
from ebpm.errors import EbpmError, InvalidPackage
from ebpm.package.describe import describe
from ebpm.package.described import KEY, Field, describe_struct, described
from ebpm.package.exports import export_layout
from ebpm.package.files import parse_package, write_composed
from ebpm.package.model import ExportMember, ExportType
from ebpm.runtime.planner import make_plan
from tests import generations
from tests.strategies import JSON, examples


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the paths of all values but the object, whose bytes others damage."""
    found = [path] if path and path[-1] not in ("data", "bpf_object") else []
    if isinstance(value, dict):
        items: Any = value.items()
    else:
        items = enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, (*path, key))
    return found


@pytest.mark.needs("compiler")
@pytest.mark.parametrize("generation", generations.GENERATIONS)
def test_anything_in_any_place_gives_a_package_or_an_error(generation: str) -> None:
    whole = generations.GENERATIONS[generation]()
    paths = places(whole)

    @examples(100)
    @given(st.lists(st.tuples(st.sampled_from(paths), JSON | st.just("gone")), max_size=3))
    def check(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
        content = copy.deepcopy(whole)
        for path, value in changes:
            place: Any = content
            with suppress(KeyError, IndexError, TypeError):
                for key in path[:-1]:
                    place = place[key]
                if value == "gone":
                    del place[path[-1]]
                else:
                    place[path[-1]] = value
        with suppress(EbpmError):
            package = parse_package(json.dumps(content).encode(), "here")
            again = parse_package(write_composed(package, package.objects[0], "json"), "here")
            assert again == package
            make_plan(package, package.objects[0])

    check()


TYPES = ["int", "char[4]", "__u32':'unsigned int", "bool", "float", "char *", "u8[2][3]", "x_t", ""]


@examples(150)
@given(
    st.lists(
        st.tuples(
            st.text(max_size=4),
            st.sampled_from(TYPES) | st.text("int char_8[]*:' ", max_size=12),
            st.sampled_from(["", "i8", "i64", "[4 x i8]", "%struct.x", "i7"]),
            st.integers(0, 512),
        ),
        max_size=6,
    ),
    st.integers(0, 100),
)
def test_any_description_of_a_struct_gives_a_layout_or_an_error(
    rows: list[tuple[str, str, str, int]], size: int
) -> None:
    fields = [
        Field(name, text.split("':'")[0], text.split("':'")[-1], llvm, at)
        for name, text, llvm, at in sorted(rows, key=lambda row: row[3])
    ]
    with suppress(EbpmError):
        export = ExportType(name="e", members=(), extra={KEY: describe_struct("e", size, fields)})
        found = described(export)
        assert found is not None
        layout_of(*found)


@pytest.mark.parametrize(
    ("text", "meaning", "llvm", "room", "kind", "name", "size"),
    [
        ("int", "int", "i32", 4, "int", "int", 4),
        ("__u32", "unsigned int", "i32", 4, "int", "__u32", 4),
        ("u64", "u64", "", 8, "int", "u64", 8),
        ("uint16_t", "uint16_t", "", 2, "int", "uint16_t", 2),
        ("unsigned long long", "unsigned long long", "i64", 8, "int", "unsigned long long", 8),
        ("long int", "long int", "i64", 8, "int", "long int", 8),
        ("short unsigned int", "unsigned short int", "i16", 2, "int", "short unsigned int", 2),
        ("pid_t", "int", "i32", 4, "int", "pid_t", 4),
        ("bool", "_Bool", "i8", 1, "bool", "bool", 1),
        ("double", "double", "double", 8, "float", "double", 8),
        ("const char *", "const char *", "i8*", 8, "pointer", "", 8),
        ("char[16]", "char[16]", "[16 x i8]", 16, "string", "", 16),
        ("char [16]", "char [16]", "[16 x i8]", 16, "string", "", 16),
        ("__u32[3]", "unsigned int[3]", "[3 x i32]", 12, "array", "", 12),
        ("int[2][3]", "int[2][3]", "[2 x [3 x i32]]", 24, "array", "", 24),
        ("enum event_type", "enum event_type", "i32", 4, "int", "enum event_type", 4),
        ("stack_trace_t", "stack_trace_t", "i64", 8, "int", "stack_trace_t", 8),
        ("struct inner", "struct inner", "%struct.inner", 12, "array", "", 12),
    ],
)
def test_a_member_is_laid_out_by_what_it_is_called(
    text: str, meaning: str, llvm: str, room: int, kind: str, name: str, size: int
) -> None:
    fields = [
        Field("first", text, meaning, llvm, 0),
        Field("last", "char", "char", "i8", room * 8),
    ]
    encoded = describe_struct("event", room + 1, fields)
    export = ExportType(name="event", members=(), extra={KEY: encoded})
    found = described(export)
    assert found is not None
    first = layout_of(*found).members[0]
    assert (first.layout.kind, first.layout.name, first.layout.size) == (kind, name, size)


@pytest.mark.parametrize("text", ["", "!", 5, "YWJj", base64.b64encode(b"\x9f\xeb").decode()])
def test_a_description_that_is_damaged_is_refused(text: Any) -> None:
    with pytest.raises(InvalidPackage):
        described(ExportType(name="event", members=(), extra={KEY: text}))


def test_a_description_of_another_struct_is_refused() -> None:
    text = describe_struct("other", 4, [Field("a", "int", "int", "i32", 0)])
    with pytest.raises(InvalidPackage, match="no struct of that name"):
        described(ExportType(name="event", members=(), extra={KEY: text}))


@pytest.mark.needs("compiler")
def test_columns_of_a_described_struct_are_chosen_by_name() -> None:
    package = parse_package(json.dumps(generations.flat()).encode(), "here")
    (export,) = package.exports
    chosen = ExportType(
        name="event",
        members=(ExportMember(name="comm", type=""), ExportMember(name="pid", type="")),
        extra=export.extra,
    )
    layout = export_layout(describe(package.objects[0].data), chosen)
    assert layout is not None
    assert [(one.name, one.bit_offset) for one in layout.members] == [("comm", 128), ("pid", 0)]
    assert layout.size == generations.SIZE
