"""What an object says of itself, without being loaded."""

from __future__ import annotations

import re
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpm.btf import layout as kinds
from ebpm.errors import EbpmError, InvalidBtf, InvalidObject
from ebpm.package.bare import from_object
from ebpm.package.describe import (
    describe,
    find_type,
    object_name,
    section_ident,
    section_map_name,
)
from ebpm.package.model import ObjectFile
from tests import sources
from tests.btf.test_parse import one_of_each
from tests.strategies import examples
from tests.synthetic import EXEC, NOBITS, Sec, Sym, Types, elf

CODE = 2 | EXEC


def test_programs_are_the_global_functions_of_sections_that_hold_code() -> None:
    facts = describe(
        elf(
            [
                Sec("xdp", bytes(16), flags=CODE),
                Sec("tp/a", bytes(8), flags=CODE),
                Sec(".text", bytes(8), flags=CODE),
                Sec(".data", bytes(8)),
            ],
            [
                Sym("second", "tp/a", 0, 8, type=2),
                Sym("late", "xdp", 8, 8, type=2, binding=2),
                Sym("early", "xdp", 0, 8, type=2),
                Sym("hidden", "xdp", 0, 8, type=2, binding=0),
                Sym("helper", ".text", 0, 8, type=2),
                Sym("number", ".data", 0, 8, type=1),
                Sym("extern", 0, 0, 0, type=2),
                Sym("absolute", 0xFFF1, 0, 0, type=2),
                Sym("nowhere", 77, 0, 0, type=2),
            ],
        )
    )
    found = [(fact.name, fact.section, fact.offset) for fact in facts.programs]
    assert found == [("early", "xdp", 0), ("late", "xdp", 8), ("second", "tp/a", 0)]
    assert facts.btf is None
    assert facts.license is None
    with pytest.raises(InvalidObject, match="has no BTF"):
        facts.layout(1)


def test_the_license_ends_at_its_first_nul() -> None:
    assert describe(elf([Sec("license", b"Dual BSD/GPL\0junk")])).license == "Dual BSD/GPL"


def test_variables_lie_where_the_symbols_say_and_static_ones_are_not_told() -> None:
    types = Types()
    number = types.integer()
    variables = [
        types.variable(name, number, link) for name, link in (("b", 1), ("a", 1), ("s", 0))
    ]
    types.section(".bss", 0, *[(one, 0, 4) for one in variables])
    types.section(".unknown", 0, (variables[0], 0, 4))
    types.section("license", 0, (variables[0], 0, 4))
    sections = [Sec(".BTF", types.raw()), Sec(".bss", type=NOBITS, size=12), Sec("license", b"G\0")]
    facts = describe(elf(sections, [Sym("a", ".bss", 0, 4), Sym("b", ".bss", 8, 4)]))
    found = [(one.name, one.section, one.offset, one.size, one.type) for one in facts.variables]
    assert found == [("a", ".bss", 0, 4, "int"), ("b", ".bss", 8, 4, "int")]
    assert facts.data_sections == (".bss",)


def test_a_variable_beyond_its_section_is_refused() -> None:
    types = Types()
    variable = types.variable("x", types.integer("long", 8))
    types.section(".bss", 0, (variable, 4, 8))
    data = elf([Sec(".BTF", types.raw()), Sec(".bss", type=NOBITS, size=8)])
    with pytest.raises(InvalidBtf, match=r"variable x reaches beyond section \.bss"):
        describe(data)


def test_a_section_that_holds_something_else_than_variables_is_refused() -> None:
    types = Types()
    types.section(".bss", 0, (types.integer(), 0, 4))
    with pytest.raises(InvalidBtf, match="holds a type that is no variable"):
        describe(elf([Sec(".BTF", types.raw()), Sec(".bss", b"1234")]))


def test_maps_are_read_from_their_definitions_in_the_order_of_the_source() -> None:
    types = Types()
    key, value = types.integer("__u32", 4, 0), types.struct("value", 24)
    late = types.map("late", 27, entries=4096)
    early = types.map("early", 1, key=key, value=value, entries=10)
    types.section(".maps", 0, (late, 0, 16), (early, 0, 32))
    sections = [Sec(".BTF", types.raw()), Sec(".maps", bytes(48))]
    facts = describe(elf(sections, [Sym("early", ".maps", 0), Sym("late", ".maps", 32)]))
    first, second = facts.maps
    assert (first.name, first.type, first.max_entries) == ("early", 1, 10)
    assert (first.key_size, first.value_size) == (4, 24)
    assert (first.key_type, first.value_type) == (key, value)
    assert (second.name, second.type, second.key_type) == ("late", 27, None)


def test_maps_of_maps_and_operations_of_the_kernel_are_maps_too() -> None:
    types = Types()
    number = types.integer()
    inner = types.pointer(types.array(number, 2))
    values = types.array(types.pointer(types.struct("", 8, ("type", inner, 0))), 0)
    kind = types.pointer(types.array(number, 13))
    definition = types.struct("", 8, ("type", kind, 0), ("values", values, 64))
    outer = types.variable("outer", definition)
    operations = types.variable("dummy_ops", types.struct("bpf_dummy_ops", 16))
    types.section(".maps", 0, (outer, 0, 8))
    types.section(".struct_ops.link", 0, (operations, 0, 16))
    facts = describe(elf([Sec(".BTF", types.raw()), Sec(".maps", bytes(8))]))
    assert {(one.name, one.type) for one in facts.maps} == {("outer", 13), ("dummy_ops", 26)}


def test_a_map_that_is_no_struct_is_refused() -> None:
    types = Types()
    types.section(".maps", 0, (types.variable("m", types.integer()), 0, 4))
    with pytest.raises(InvalidBtf, match="map m is not defined by a struct"):
        describe(elf([Sec(".BTF", types.raw()), Sec(".maps", bytes(4))]))


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("sigsnoop.bpf.o", "sigsnoop_bpf"),
        ("fentry-link.bpf.o", "fentry_link_bpf"),
        ("my.tool.v1.bpf.o", "my_tool_v1_bpf"),
        ("2fast.bpf.o", "2fast_bpf"),
        ("été.bpf.o", "__t___bpf"),
        ("x" * 70 + ".bpf.o", "x" * 63),
        ("plain", "plain"),
    ],
)
def test_an_object_is_named_as_bpftool_names_it(file: str, name: str) -> None:
    assert object_name(file) == name


@pytest.mark.parametrize(
    ("section", "ident", "name"),
    [
        (".rodata", "rodata", "bootstra.rodata"),
        (".data", "data", "bootstra.data"),
        (".bss", "bss", "bootstra.bss"),
        (".kconfig", "kconfig", "bootstr.kconfig"),
        (".rodata.str1.1", "rodata_str1_1", ".rodata.str1.1"),
        (".data.custom", "data_custom", ".data.custom"),
    ],
)
def test_data_sections_maps_are_named_as_libbpf_names_them(
    section: str, ident: str, name: str
) -> None:
    assert section_ident(section) == ident
    assert section_map_name("bootstrap_bpf", section) == name


def test_types_are_found_by_what_c_calls_them() -> None:
    btf = one_of_each().btf()
    found = {
        text: find_type(btf, text)
        for text in ("struct event", "union choice", "enum mode", "pid_t", "int", "double")
    }
    assert found == {
        "struct event": 4,
        "union choice": 5,
        "enum mode": 6,
        "pid_t": 9,
        "int": 1,
        "double": 17,
    }
    assert find_type(btf, "event") is None
    assert find_type(btf, "struct nobody") is None


@examples(200)
@given(st.binary(max_size=120), st.binary(max_size=40))
def test_any_types_and_code_give_a_package_or_an_error(types: bytes, code: bytes) -> None:
    raw = one_of_each().raw()
    for body in (types, raw[:60] + types, raw):
        sections = [Sec(".BTF", body), Sec(".bss", b"12345678"), Sec("tp/x", code, flags=CODE)]
        with suppress(EbpmError):
            from_object(ObjectFile(data=elf(sections, [Sym("p", "tp/x", 0, 8, 2)])), "x")


# --- real objects --------------------------------------------------------------------------------


@pytest.mark.needs("compiler")
def test_a_real_object_is_described() -> None:
    facts = describe(sources.raw("kinds.bpf.c"))
    assert facts.license == "Dual BSD/GPL"
    assert [(one.name, one.section) for one in facts.programs] == [
        ("on_exec", "tp/sched/sched_process_exec"),
        ("on_exit", "raw_tp/sched_process_exit"),
    ]
    starts = next(one for one in facts.maps if one.name == "starts")
    assert (starts.type, starts.key_size, starts.value_size, starts.max_entries) == (1, 4, 8, 128)
    types = {one.name: (one.section, one.type) for one in facts.variables}
    assert types == {
        "pid_target": (".rodata", "int"),
        "failed": (".rodata", "bool"),
        "name": (".rodata", "char[8]"),
        "global": (".bss", "struct all"),
        "counters": (".bss", "__u64[4]"),
        "mode": (".data", "enum mode"),
        "custom": (".data.custom", "int"),
    }
    ids = {one.name: one.type_id for one in facts.variables}
    assert facts.layout(ids["name"]).kind == kinds.STRING
    assert facts.layout(ids["global"]).size == 128


def skeleton(path: Path) -> dict[str, list[str]]:
    """Ask bpftool for the names in an object: maps, programs, and variables by section."""
    done = subprocess.run(
        ["bpftool", "gen", "skeleton", path], capture_output=True, text=True, check=True
    )
    text = done.stdout.split("#ifdef __cplusplus")[0]
    blocks = re.findall(r"\tstruct \w* ?\{\n(.*?)\n\t\} \*?(\w+);", text, re.DOTALL)
    found = {}
    for body, name in blocks:
        fields = [
            line for line in body.split("\n") if line.startswith("\t\t") and "__pad" not in line
        ]
        names = (re.search(r"(\w+)(?:\[\w+\])*;$", line) for line in fields)
        found[name] = [match[1] for match in names if match]
    return found


@pytest.mark.needs("compiler", "bpftool")
def test_names_are_those_of_bpftools_skeleton(tmp_path: Path) -> None:
    path = tmp_path / "kinds.bpf.o"
    path.write_bytes(sources.built("kinds.bpf.c").package.objects[0].data)
    names = skeleton(path)
    package = from_object(ObjectFile(data=path.read_bytes()), "kinds")
    assert sorted(one.ident for one in package.maps) == sorted(names["maps"])
    assert [one.name for one in package.programs] == names["progs"]
    sections = {
        section_ident(one.name): [variable.name for variable in one.variables]
        for one in package.sections
    }
    assert sections == {name: names[name] for name in ("rodata", "data", "data_custom", "bss")}


@pytest.mark.needs("compiler", "libbpf")
def test_map_names_are_those_of_libbpf() -> None:
    from ebpm.runtime.libbpf.binding import BpfObject, Libbpf

    package = sources.built("kinds.bpf.c").package
    opened = BpfObject(Libbpf(), package.objects[0].data, package.object_name)
    try:
        expected = {one.name for one in opened.maps()}
    finally:
        opened.close()
    assert {one.name for one in package.maps} == expected
