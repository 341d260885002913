from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ebpm.errors import InvalidPackage
from ebpm.package.model import DataSection, Documentation, Option, Package, ProgramSpec, Variable
from ebpm.plainjson import dumps, loads
from ebpm.runtime.plan import PERF_EVENT_ARRAY, RINGBUF, Plan
from ebpm.runtime.planner import make_plan
from tests.sources import build

pytestmark = pytest.mark.needs("compiler")
Build = Callable[[str], Package]


def plan_of(package: Package) -> Plan:
    return make_plan(package, package.objects[0])


def with_variable(package: Package, **fields: object) -> Package:
    variable = Variable(name="watched", type="int", **fields)  # type: ignore[arg-type]
    return replace(package, sections=(DataSection(name=".rodata", variables=(variable,)),))


def test_a_plan_survives_being_kept(program: Build) -> None:
    plan = plan_of(program("values"))
    again = Plan.load(plan.dump())
    assert again is not None
    assert again.dump() == plan.dump()
    assert [one.name for one in again.variables] == [one.name for one in plan.variables]


@pytest.mark.parametrize("cut", [0, 1, 10, 100, -1])
def test_a_damaged_plan_is_none(program: Build, cut: int) -> None:
    assert Plan.load(plan_of(program("net")).dump()[:cut]) is None


def test_a_plan_of_another_format_is_made_again(program: Build) -> None:
    data = loads(plan_of(program("net")).dump())
    assert isinstance(data, dict)
    assert Plan.load(dumps({**data, "format": 999})) is None


def test_buffers_become_sources_with_their_own_layouts(program: Build) -> None:
    plan = plan_of(program("streams"))
    kinds = {one.map: (one.kind, one.layout.name if one.layout else None) for one in plan.sources}
    assert kinds == {"ring": (RINGBUF, "small"), "perf": (PERF_EVENT_ARRAY, "large")}


THREE = """\
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
struct first { int a; };
struct second { long long b; };
#define RING(NAME) struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } \\
	NAME SEC(".maps")
RING(one);
RING(two);
RING(three);
SEC("tracepoint/syscalls/sys_enter_getpgid")
int handle(void *ctx)
{
	struct first f = {};
	struct second s = {};
	unsigned char raw[24] = {};

	bpf_ringbuf_output(&one, &f, sizeof(f), 0);
	bpf_ringbuf_output(&two, &s, sizeof(s), 0);
	bpf_ringbuf_output(&three, raw, 24, 0);
	return 0;
}
char LICENSE[] SEC("license") = "GPL";
"""


def test_a_buffer_of_a_type_that_nobody_knows_is_read_all_the_same(tmp_path: Path) -> None:
    package = build(tmp_path, {"three.bpf.c": THREE}).package
    assert package.multiple_exports
    layouts = {one.map: one.layout and one.layout.name for one in plan_of(package).sources}
    assert layouts == {"one": "first", "two": "second", "three": None}
    # Elsewhere, a map that says nothing reports nothing.
    theirs = plan_of(replace(package, build=None))
    assert [one.map for one in theirs.sources] == ["one", "two"]
    maps = tuple(
        replace(one, export="no_export") if one.name == "three" else one for one in package.maps
    )
    assert [one.map for one in plan_of(replace(package, maps=maps)).sources] == ["one", "two"]


def test_the_ids_of_export_types_are_those_of_the_first_object(tmp_path: Path) -> None:
    package = build(tmp_path, {"three.bpf.c": THREE}).package
    ids = {one.type_id: 100_000 + at for at, one in enumerate(package.exports)}
    exports = tuple(replace(one, type_id=ids[one.type_id]) for one in package.exports)
    maps = tuple(
        replace(one, export={"btf_type_id": ids[one.export["btf_type_id"]]})
        if isinstance(one.export, dict)
        else one
        for one in package.maps
    )
    plan = plan_of(replace(package, exports=exports, maps=maps))
    assert [one.layout and one.layout.name for one in plan.sources] == ["first", "second", None]


def test_a_variable_marked_lost_is_a_counter_and_no_option(program: Build) -> None:
    plan = plan_of(program("streams"))
    assert [one.name for one in plan.lost] == ["dropped"]
    assert "dropped" not in [one.name for one in plan.variables]


def test_tc_and_xdp_programs_get_their_options_from_annotations(program: Build) -> None:
    programs = {one.name: one for one in plan_of(program("net")).programs}
    assert programs["count_xdp"].kind == "xdp"
    assert programs["count_tc"].kind == "tc"
    assert programs["count_tc"].options["handle"] == 7
    assert programs["count_tc"].options["priority"] == 3
    assert programs["count_tc"].options["direction"] == "ingress"


def test_the_default_of_an_option_wins_over_the_value(program: Build) -> None:
    package = with_variable(program("values"), value=3, option=Option(default=4))
    assert plan_of(package).variables[0].default == 4


def test_a_value_for_a_variable_that_is_not_there_is_an_error(program: Build) -> None:
    variable = Variable(name="wached", type="int", value=1)
    package = replace(
        program("values"), sections=(DataSection(name=".rodata", variables=(variable,)),)
    )
    with pytest.raises(InvalidPackage, match=r"'wached' of section \.rodata is given") as caught:
        plan_of(package)
    assert caught.value.hint == "did you mean watched?"


def test_a_default_that_does_not_fit_is_an_error_of_the_package(program: Build) -> None:
    with pytest.raises(InvalidPackage, match=r"'watched'.*out of range for int"):
        plan_of(with_variable(program("values"), value=1 << 40))


@pytest.mark.parametrize(("default", "read"), [("12", 12), ("0x10", 16), (7, 7)])
def test_a_default_may_be_a_number_as_text(program: Build, default: str | int, read: int) -> None:
    package = with_variable(program("values"), option=Option(default=default))
    assert plan_of(package).variables[0].default == read


def test_a_text_that_yaml_took_for_a_number_is_text_again(program: Build) -> None:
    variable = Variable(name="text", type="char[12]", value=123)
    package = replace(
        program("values"), sections=(DataSection(name=".rodata", variables=(variable,)),)
    )
    assert plan_of(package).variables[0].default == "123"


@pytest.mark.parametrize(
    ("doc", "shown"),
    [
        (Documentation(brief="B", description="D", details="E"), ("B", "E")),
        (Documentation(description="D"), ("D", None)),
        (Documentation(), ("A simple eBPF program", None)),
    ],
)
def test_help_begins_with_the_brief_and_ends_with_the_details(
    program: Build, doc: Documentation, shown: tuple[str, str | None]
) -> None:
    plan = plan_of(replace(program("values"), documentation=doc))
    assert (plan.description, plan.epilog) == shown


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"description": "D", "option": Option(help="H")}, "H"),
        ({"description": "D", "option": Option(long="l")}, "D"),
        ({}, None),
    ],
)
def test_an_options_text_is_its_help_else_its_description(
    program: Build, fields: dict[str, object], text: str | None
) -> None:
    assert plan_of(with_variable(program("values"), **fields)).variables[0].help == text


def test_the_epilogue_of_eunomias_packages_is_theirs(program: Build) -> None:
    assert plan_of(program("values")).epilog is None
    theirs = replace(program("values"), extra={"eunomia_version": "0.3.4"})
    assert "Built with eunomia-bpf framework." in str(plan_of(theirs).epilog)


def test_globals_that_the_metadata_leaves_out_can_be_set(program: Build) -> None:
    names = {one.name for one in plan_of(replace(program("values"), sections=())).variables}
    assert {"watched", "writable", "zeroed"} <= names


def test_a_short_option_of_two_letters_is_an_error_of_the_package(program: Build) -> None:
    with pytest.raises(InvalidPackage, match="not one letter"):
        plan_of(with_variable(program("values"), option=Option(short="ab")))


def test_a_program_that_the_object_lacks_is_an_error_that_names_those_it_has(
    program: Build,
) -> None:
    package = replace(program("values"), programs=(ProgramSpec(name="other", attach="xdp"),))
    with pytest.raises(InvalidPackage, match=r"'other'.*on_getpgid"):
        plan_of(package)


def test_builders_dummies_are_nobodys_options(program: Build) -> None:
    variable = Variable(name="__eunomia_dummy_event_ptr", type="void *")
    package = replace(
        program("values"), sections=(DataSection(name=".bss", variables=(variable,)),)
    )
    names = [one.name for one in plan_of(package).variables]
    assert "watched" in names
    assert not [name for name in names if "dummy" in name]


@pytest.mark.parametrize(("given", "pages"), [(None, 64), (1, 1), (100, 128), (0, 64), ("x", 64)])
def test_perf_pages_are_a_power_of_two(program: Build, given: object, pages: int) -> None:
    package = replace(program("streams"), settings={"perf_buffer_pages": given})
    assert plan_of(package).perf_pages == pages
