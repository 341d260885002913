"""Export types: laid out by the names that the metadata gives, and guessed for a bare object."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import pytest

from ebpm.btf.decode import reader
from ebpm.errors import InvalidObject
from ebpm.package.bare import from_object
from ebpm.package.describe import ObjectFacts, describe
from ebpm.package.exports import export_layout, export_type, inferred_types, with_samples
from ebpm.package.model import ExportMember, ExportType, MapSpec, ObjectFile, Package, Sample
from tests import sources
from tests.strategies import pack
from tests.synthetic import EXEC, Rel, Sec, Sym, Types, elf, instruction

RINGBUF, PERF = 27, 4
RESERVE, OUTPUT, PERF_OUTPUT = 131, 130, 25
MOV, MOV32, MOV_REGISTER, LOAD, CALL = 0xB7, 0xB4, 0xBF, 0x18, 0x85


def facts_of(types: Types) -> ObjectFacts:
    return describe(elf([Sec(".BTF", types.raw())]))


def export(name: str, *members: str, **fields: Any) -> ExportType:
    return ExportType(
        name=name, members=tuple(ExportMember(name=one, type="") for one in members), **fields
    )


def event() -> Types:
    """Make ``struct event`` (2) with members of every place, and ``event_t`` (9)."""
    types = Types()
    number = types.integer()
    inner = types.struct("", 8, ("a", number, 0), ("b", number, 32))
    choice = types.struct("", 4, ("c", number, 0), ("d", number, 0), union=True)
    types.struct("event", 16, ("pid", number, 0), ("", inner, 32), ("", choice, 96))
    types.typedef("event_t", types.struct("", 4, ("pid", number, 0)))
    types.struct("event", 8)
    return types


def columns(exported: ExportType) -> list[str]:
    layout = export_layout(facts_of(event()), exported)
    assert layout is not None
    assert layout.size == 16
    return list(reader(layout)(pack("iiii", 1, 2, 3, 4), 0))


def test_an_export_type_is_described_with_the_texts_of_its_types() -> None:
    facts = facts_of(event())
    found = export_type(facts, 4)
    assert (found.name, found.size, found.type_id) == ("event", 16, 4)
    assert [(one.name, one.type) for one in found.members] == [
        ("pid", "int"),
        ("", "struct {...}"),
        ("", "union {...}"),
    ]
    assert export_type(facts, 6).name == "event_t"
    assert export_type(facts, 6).type_id == 5
    with pytest.raises(InvalidObject, match="type 1 is not a struct"):
        export_type(facts, 1)


def test_the_members_named_are_the_columns_in_their_order() -> None:
    assert columns(export("event", "pid", "", "")) == ["pid", "a", "b", "c", "d"]
    assert columns(export("event", "", "pid")) == ["a", "b", "pid"]
    assert columns(export("event", "d", "pid")) == ["d", "pid"]
    assert columns(export("event", "b", "nobody", "a")) == ["b", "a"]
    assert columns(export("event", "nobody")) == ["pid", "a", "b", "c", "d"]
    assert columns(export("event")) == ["pid", "a", "b", "c", "d"]


def test_members_of_anonymous_structs_keep_their_places() -> None:
    layout = export_layout(facts_of(event()), export("event", "b", "c"))
    assert layout is not None
    assert reader(layout)(pack("iiii", 1, 2, 3, 4), 0) == {"b": 3, "c": 4}


@pytest.mark.parametrize(
    ("exported", "size"),
    [
        (export("event", type_id=4), 16),
        (export("event", type_id=7), 8),  # the id decides between two of one name
        (export("event", type_id=1), 16),  # an id of something else does not
        (export("event", type_id=5), 16),  # nor one of a struct without a name
        (export("event", type_id=99), 16),
        (export("event", type_id=-1), 16),
        (export("event"), 16),
        (export("event_t", type_id=5), 4),
        (export("event_t"), 4),
    ],
)
def test_a_type_is_found_by_its_id_and_name_or_by_its_name(exported: ExportType, size: int) -> None:
    layout = export_layout(facts_of(event()), exported)
    assert layout is not None
    assert (layout.size, layout.name) == (size, exported.name)


def test_a_struct_without_a_name_is_found_by_its_id_where_nothing_has_the_name() -> None:
    layout = export_layout(facts_of(event()), export("nobody", type_id=5))
    assert layout is not None
    assert layout.size == 4


def test_a_type_that_btf_lacks_has_no_layout() -> None:
    assert export_layout(facts_of(event()), export("nobody")) is None
    assert export_layout(describe(elf()), export("event", type_id=4)) is None


# --- what a bare object's buffers carry ----------------------------------------------------------


def calls(*pieces: bytes | tuple[bytes, str]) -> tuple[bytes, list[tuple[int, str, int]]]:
    """Join instructions; one given with a symbol is a load of that symbol's address."""
    code, relocations = bytearray(), []
    for piece in pieces:
        data, symbol = piece if isinstance(piece, tuple) else (piece, "")
        if symbol:
            relocations.append((len(code), symbol, 1))
        code += data
    return bytes(code), relocations


def load(register: int, symbol: str) -> tuple[bytes, str]:
    return instruction(LOAD, register), symbol


def move(register: int, value: int, code: int = MOV) -> bytes:
    return instruction(code, register, value=value)


def helper(number: int, source: int = 0) -> bytes:
    return instruction(CALL, 0, source, value=number)


def copy(target: int, source: int) -> bytes:
    return instruction(MOV_REGISTER, target, source)


def guessed(*pieces: bytes | tuple[bytes, str], buffers: dict[str, int] | None = None) -> Any:
    """Guess from code what the buffers carry, as names of structs."""
    types = Types()
    number = types.integer()
    small = types.struct("small", 4, ("x", number, 0))
    large = types.struct("large", 16, ("x", number, 0))
    context = types.struct("context", 64, ("x", number, 0))
    twins = [types.struct(name, 8, ("x", number, 0)) for name in ("left", "right")]
    prototype = types.function_type(number, ("ctx", types.pointer(context)))
    types.function("prog", prototype)
    for at, one in enumerate((small, large, *twins)):
        types.variable(f"v{at}", one)
    made = {"events": RINGBUF, "other": PERF, "plain": 1} if buffers is None else buffers
    maps = [types.map(name, kind) for name, kind in made.items()]
    values = [
        types.variable(f"x{at}", types.pointer(one))
        for at, one in enumerate((small, large, *twins))
    ]
    types.section(".maps", 0, *[(one, 0, 32) for one in maps])
    types.section(".bss", 0, *[(one, 8 * at, 8) for at, one in enumerate(values)])
    code, relocations = calls(*pieces)
    sections = [
        Sec("tp/x", code, flags=2 | EXEC, align=8),
        Sec(".maps", bytes(64)),
        Sec(".bss", bytes(64)),
        Sec(".BTF", types.raw()),
    ]
    symbols = [Sym("prog", "tp/x", 0, len(code), 2), *[Sym(name, ".maps") for name in made]]
    facts = describe(elf(sections, symbols, [Rel("tp/x", relocations)]))
    assert facts.btf is not None
    btf = facts.btf
    return {
        name: [getattr(btf[one], "name", None) for one in ids]
        for name, ids in inferred_types(facts).items()
    }


def test_the_size_that_is_reserved_tells_the_struct() -> None:
    assert guessed(load(1, "events"), move(2, 16), helper(RESERVE)) == {"events": ["large"]}
    assert guessed(load(1, "events"), move(2, 4, MOV32), helper(RESERVE)) == {"events": ["small"]}


def test_the_size_that_is_submitted_tells_the_struct() -> None:
    assert guessed(load(1, "events"), move(3, 16), helper(OUTPUT)) == {"events": ["large"]}
    assert guessed(load(2, "other"), move(5, 4), helper(PERF_OUTPUT)) == {"other": ["small"]}


def test_the_code_of_big_endian_machines_is_read() -> None:
    types = Types(">")
    number = types.integer()
    types.section(".maps", 0, (types.map("events", RINGBUF), 0, 16))
    pointer = types.pointer(types.struct("event", 16, ("x", number, 0)))
    types.section(".bss", 0, (types.variable("v", pointer), 0, 8))
    code = struct.pack(">BBhi8x BBhi BBhi", LOAD, 0x10, 0, 0, MOV, 0x20, 0, 16, CALL, 0, 0, RESERVE)
    sections = [Sec("tp/x", code, flags=2 | EXEC), Sec(".BTF", types.raw()), Sec(".bss", bytes(8))]
    symbols = [Sym("events", 0xFFF1)]
    data = elf(sections, symbols, [Rel("tp/x", [(0, "events", 1)])], order=">")
    facts = describe(data)
    assert inferred_types(facts) == {"events": [pointer - 1]}


def test_a_map_kept_in_a_register_over_calls_is_known() -> None:
    pieces = [load(6, "events"), helper(5), copy(1, 6), move(7, 16), copy(2, 7), helper(RESERVE)]
    assert guessed(*pieces) == {"events": ["large"]}


def test_several_sizes_are_several_structs() -> None:
    one = (load(1, "events"), move(2, 16), helper(RESERVE))
    two = (load(1, "events"), move(2, 4), helper(RESERVE))
    assert guessed(*one, *two, *one) == {"events": ["large", "small"]}
    assert guessed(*one, load(2, "other"), move(5, 4), helper(PERF_OUTPUT)) == {
        "events": ["large"],
        "other": ["small"],
    }


@pytest.mark.parametrize(
    "pieces",
    [
        (load(1, "events"), move(2, 8), helper(RESERVE)),  # two structs of that size
        (load(1, "events"), move(2, 12), helper(RESERVE)),  # none
        (load(1, "events"), move(2, 64), helper(RESERVE)),  # the kernel's own, a context
        (load(1, "plain"), move(2, 16), helper(RESERVE)),  # no buffer
        (load(1, "prog"), move(2, 16), helper(RESERVE)),
        (load(1, "events"), helper(5), move(2, 16), helper(RESERVE)),  # r1 is overwritten
        (load(1, "events"), move(2, 16), copy(2, 8), helper(RESERVE)),  # r2 is unknown
        (load(1, "events"), move(2, 16), instruction(0x61, 2, 10, -8), helper(RESERVE)),
        (load(1, "events"), move(2, 16), helper(RESERVE, 1)),  # a call of our own function
        (load(1, "events"), move(2, 16), helper(999)),
        (instruction(LOAD, 1), move(2, 16), helper(RESERVE)),  # a number, not a map
    ],
)
def test_what_is_not_certain_is_not_guessed(pieces: Any) -> None:
    assert guessed(*pieces) == {}


def test_a_store_leaves_the_registers_alone() -> None:
    store = instruction(0x7B, 1, 2)
    assert guessed(load(1, "events"), move(2, 16), store, helper(RESERVE)) == {"events": ["large"]}


TWO = """\
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
struct opened { int pid; char name[60]; };
typedef struct { int pid, code; } closed_t;
struct opened *unused_opened;
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} opens SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} closes SEC(".maps");
static __noinline int send(void *ctx, closed_t *e)
{
	return bpf_perf_event_output(ctx, &closes, BPF_F_CURRENT_CPU, e, sizeof(*e));
}
SEC("tp/syscalls/sys_enter_close")
int on_close(struct trace_event_raw_sys_enter *ctx)
{
	closed_t e = {.pid = 1, .code = ctx->args[0]};
	struct opened *o = bpf_ringbuf_reserve(&opens, sizeof(*o), 0);
	if (o)
		bpf_ringbuf_submit(o, 0);
	return send(ctx, &e) + (unused_opened != 0);
}
char LICENSE[] SEC("license") = "GPL";
"""


@pytest.mark.needs("compiler")
def test_each_buffer_of_a_bare_object_is_given_its_own_type(tmp_path: Any) -> None:
    data = sources.build(tmp_path, {"two.bpf.c": TWO}).package.objects[0].data
    package = from_object(ObjectFile(data=data), "two")
    names = {one.type_id: one.name for one in package.exports}
    assert package.multiple_exports
    carried = {one.name: one.export for one in package.maps if one.export}
    assert {name: names[ids["btf_type_id"]] for name, ids in carried.items()} == {  # type: ignore[index,call-overload]
        "opens": "opened",
        "closes": "closed_t",
    }


@pytest.mark.needs("compiler")
def test_a_bare_object_that_ebpm_built_is_known_by_the_event_that_was_added(tmp_path: Any) -> None:
    text = TWO.replace("struct opened *unused_opened;", "").replace("+ (unused_opened != 0)", "")
    built = sources.build(tmp_path, {"two.bpf.c": text}).package
    package = from_object(built.objects[0], "two")
    assert {one.name: one.size for one in package.exports} == {"opened": 64, "closed_t": 8}
    assert {one.name: one.type_id for one in package.exports} == {
        one.name: one.type_id for one in built.exports
    }


@pytest.mark.needs("compiler")
def test_a_kernel_struct_that_is_only_relocated_against_is_no_event(tmp_path: Any) -> None:
    text = """\
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } rb SEC(".maps");
SEC("tp/x/y")
int run(void *ctx)
{
	char data[16] = {};
	if (bpf_core_type_exists(struct list_head))
		bpf_ringbuf_output(&rb, data, 16, 0);
	return 0;
}
char LICENSE[] SEC("license") = "GPL";
"""
    built = sources.build(tmp_path, {"tool.bpf.c": text}).package
    facts = describe(built.objects[0].data)
    assert facts.btf is not None
    assert facts.btf.find(4, "list_head")
    assert facts.btf.size(facts.btf.find(4, "list_head") or 0) == 16
    assert inferred_types(facts) == {}


def test_where_each_map_must_say_that_it_reports_a_sampled_one_does() -> None:
    sample = Sample(interval=1000)
    maps = (
        MapSpec(name="a", ident="a", sample=sample),
        MapSpec(name="b", ident="b", sample=sample, export="no_export"),
        MapSpec(name="c", ident="c"),
    )
    package = Package(name="t", object_name="t_bpf", maps=maps)
    assert with_samples(package) is package
    several = with_samples(replace(package, multiple_exports=True))
    assert [one.export for one in several.maps] == ["default", "no_export", None]
