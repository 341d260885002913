"""The form that people edit: everything that can be changed stands in it, and it is a package."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ebpm.package.editable import write_editable
from ebpm.package.files import parse_package
from ebpm.package.model import DataSection, ObjectFile, Option, Package, Variable
from ebpm.runtime.planner import make_plan
from tests import generations
from tests.sources import build, built

pytestmark = pytest.mark.needs("compiler")


@pytest.fixture(scope="module")
def package() -> Package:
    return built("kinds.bpf.c").package


def editable(package: Package, form: str = "yaml") -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(write_editable(package, package.objects[0], form))
    return content


def named(items: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {item["name"]: item for item in items}


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_it_is_a_package_with_the_same_object(package: Package, form: str) -> None:
    again = parse_package(write_editable(package, package.objects[0], form), "edited")
    assert again.objects[0] == package.objects[0]
    assert again.name == package.name
    assert again.programs == package.programs
    assert again.exports == package.exports
    plan, plan_again = (make_plan(one, one.objects[0]) for one in (package, again))
    assert [one.name for one in plan.variables] == [one.name for one in plan_again.variables]


def test_variables_have_the_values_of_the_object(package: Package) -> None:
    sections = named(editable(package)["meta"]["bpf_skel"]["data_sections"])
    rodata = named(sections[".rodata"]["variables"])
    assert rodata["pid_target"]["value"] == 7
    assert rodata["failed"]["value"] is False
    assert rodata["name"]["value"] == "abc"
    assert named(sections[".data"]["variables"])["mode"]["value"] == "MODE_ON"
    assert named(sections[".data.custom"]["variables"])["custom"]["value"] == 9
    assert named(sections[".bss"]["variables"])["counters"]["value"] == [0, 0, 0, 0]


ODD = """\
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
const volatile char latin[4] = "\\xff";
const volatile char tail[4] = {'a', 0, 'b', 0};
const volatile double not_a_number = 0.0 / 0.0;
const volatile unsigned int many[100] = {1};
const volatile unsigned int few[3] = {1};
SEC("tracepoint/syscalls/sys_enter_kill")
int handle(void *ctx)
{
	return latin[0] + tail[0] + many[0] + few[0] + *(volatile char *)&not_a_number;
}
char LICENSE[] SEC("license") = "GPL";
"""


def test_what_cannot_be_written_back_or_is_too_long_has_no_value(tmp_path: Path) -> None:
    odd = build(tmp_path, {"odd.bpf.c": ODD}).package
    (section,) = editable(odd)["meta"]["bpf_skel"]["data_sections"]
    values = {one["name"]: one.get("value") for one in section["variables"]}
    assert values == {
        **dict.fromkeys(("latin", "tail", "not_a_number", "many")),
        "few": [1, 0, 0],
    }


def test_a_value_of_the_metadata_stays_and_a_default_stands_for_one(package: Package) -> None:
    variables = (
        Variable(name="pid_target", type="int", value=3),
        Variable(name="failed", type="bool", option=Option(default=True)),
    )
    changed = replace(package, sections=(DataSection(name=".rodata", variables=variables),))
    section = named(editable(changed)["meta"]["bpf_skel"]["data_sections"])[".rodata"]
    found = named(section["variables"])
    assert found["pid_target"]["value"] == 3
    assert "value" not in found["failed"]


def test_what_nobody_sets_has_no_value(package: Package) -> None:
    variables = (
        Variable(name="global", type="struct all"),
        Variable(name="counters", type="__u64[4]", extra={"lost": True}),
    )
    changed = replace(package, sections=(DataSection(name=".bss", variables=variables),))
    section = named(editable(changed)["meta"]["bpf_skel"]["data_sections"])[".bss"]
    assert "value" not in named(section["variables"])["counters"]


def test_maps_have_their_sizes_and_programs_their_hooks(package: Package) -> None:
    skeleton = editable(package)["meta"]["bpf_skel"]
    maps = named(skeleton["maps"])
    assert maps["starts"]["max_entries"] == 128
    assert maps["events"]["max_entries"] == 4096
    assert named(skeleton["progs"])["on_exec"]["attach"] == "tp/sched/sched_process_exec"


def test_names_come_first_and_the_object_last(package: Package) -> None:
    text = write_editable(package, package.objects[0], "yaml").decode()
    assert text.startswith("meta:\n  bpf_skel:\n    obj_name: ")
    assert text.splitlines()[-1].startswith("bpf_object: ")
    assert "\n    - name: on_exec\n      attach: tp/" in text
    assert "\n      - name: pid_target\n        type: int\n        value: 7\n" in text


def test_an_object_alone_can_be_edited_too(package: Package) -> None:
    from ebpm.package.bare import from_object

    bare = from_object(ObjectFile(data=package.objects[0].data), "kinds")
    sections = named(editable(bare)["meta"]["bpf_skel"]["data_sections"])
    assert named(sections[".rodata"]["variables"])["pid_target"]["value"] == 7


@pytest.mark.parametrize("generation", generations.GENERATIONS)
def test_a_package_of_any_generation_can_be_edited_and_runs_as_before(generation: str) -> None:
    content = json.dumps(generations.GENERATIONS[generation]()).encode()
    package = parse_package(content, "package.json")
    again = parse_package(write_editable(package, package.objects[0], "yaml"), "package.yaml")
    plan, edited = (make_plan(one, one.objects[0]) for one in (package, again))
    for variable in edited.variables:  # now they have the object's values
        variable.default = None
    for variable in plan.variables:
        variable.default = None
    sizes, edited.maps = edited.maps, plan.maps
    assert edited.dump() == plan.dump()
    assert all(one.max_entries and not one.entries for one in sizes)
