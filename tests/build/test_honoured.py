"""Each annotation that means something, from the comment to what the run goes by.

``ANNOTATIONS`` is the table that docs/compatibility.md shows.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from ebpm.build import pack
from ebpm.build.toolchain import find_compiler
from ebpm.package.model import Package
from ebpm.runtime.params import help_text
from ebpm.runtime.plan import Plan
from ebpm.runtime.planner import make_plan
from tests.conftest import ROOT

pytestmark = pytest.mark.needs("compiler")
SOURCE = ROOT / "tests/data/annotated.bpf.c"


@functools.cache
def built() -> tuple[Package, Plan]:
    made = pack.build(SOURCE, [], compiler=find_compiler(None), architectures=["amd64"])
    return made.package, make_plan(made.package, made.package.objects[0])


def option(plan: Plan, name: str) -> Any:
    return next(one for one in plan.variables if one.name == name)


def source(plan: Plan, name: str) -> Any:
    return next(one for one in plan.sources if one.map == name)


def program(plan: Plan, name: str) -> Any:
    return next(one for one in plan.programs if one.name == name)


def filled(plan: Plan) -> Any:
    return next(one for one in plan.maps if one.name == "table")


Look = Callable[[Package, Plan], bool]
ANNOTATIONS: dict[str, tuple[str, str, Look]] = {  # on what, what it does, and whether it does
    "plain text": (
        "variable",
        "help of its option",
        lambda _, plan: option(plan, "plain").help == "Told in plain text",
    ),
    "@description": (
        "variable",
        "help of its option",
        lambda _, plan: option(plan, "described").help == "Told by a command",
    ),
    "///< behind a declaration": (
        "variable",
        "help of its option",
        lambda _, plan: option(plan, "trailing").help == "Told behind it",
    ),
    "text of a member": (
        "struct",
        "shown by inspect",
        lambda package, _: "process" in {one.members[0].description for one in package.exports},
    ),
    "@cmdarg default": (
        "variable",
        "its value, unless one is given",
        lambda _, plan: option(plan, "limited").default == 7,
    ),
    "@cmdarg long": (
        "variable",
        "name of its option",
        lambda _, plan: option(plan, "limited").long == "limit",
    ),
    "@cmdarg short": (
        "variable",
        "letter of its option",
        lambda _, plan: "  -l, --limit" in help_text(plan),
    ),
    "@cmdarg help": (
        "variable",
        "help of its option",
        lambda _, plan: option(plan, "limited").help == "At most as many",
    ),
    "@lost": (
        "variable",
        "counts what was lost",
        lambda _, plan: [one.name for one in plan.lost] == ["dropped"],
    ),
    "@sample interval": (
        "map",
        "time between readings",
        lambda _, plan: source(plan, "counts").sample.interval == 250,
    ),
    "@sample type": (
        "map",
        "table or histogram",
        lambda _, plan: source(plan, "counts").form == "log2_hist",
    ),
    "@sample unit": (
        "map",
        "heads the histogram",
        lambda _, plan: source(plan, "counts").sample.unit == "usec",
    ),
    "@sample clear_map": (
        "map",
        "each reading begins anew",
        lambda _, plan: source(plan, "counts").sample.clear is True,
    ),
    "@export_config": (
        "map",
        "what it carries",
        lambda _, plan: [one.name for one in source(plan, "events").layout.members] == ["low"],
    ),
    "@intepreter": (
        "map",
        "its records are stacks",
        lambda _, plan: source(plan, "traces").stack is not None,
    ),
    "@data": ("map", "entries put in before", lambda _, plan: len(filled(plan).entries) == 1),
    "@max_entries": ("map", "its size", lambda _, plan: filled(plan).max_entries == 16),
    "@attach": (
        "program",
        "options of its hook",
        lambda _, plan: program(plan, "sampled").options["frequency"] == 99,
    ),
    "@alternative": (
        "program",
        "which of several ways is tried first",
        lambda _, plan: (
            [(one.name, tuple(one.alternative)) for one in plan.programs if one.alternative]
            == [("first_way", ("open", 1)), ("second_way", ("open", 2))]
        ),
    ),
    "@when": (
        "program, map",
        "loaded, or read, with an option alone",
        lambda _, plan: (
            (program(plan, "frame").when, source(plan, "traces").when)
            == (["trailing"], ["plain", "limited"])
        ),
    ),
    "@tchook": (
        "tc program",
        "interface and direction",
        lambda _, plan: (
            program(plan, "packet").options
            == program(plan, "packet").options | {"dev": "3", "direction": "egress"}
        ),
    ),
    "@tcopts": (
        "tc program",
        "handle and priority",
        lambda _, plan: (
            program(plan, "packet").options
            == program(plan, "packet").options | {"handle": 4, "priority": 5}
        ),
    ),
    "@ifindex, @flags": (
        "xdp program",
        "interface and mode",
        lambda _, plan: (
            program(plan, "frame").options
            == program(plan, "frame").options | {"dev": "6", "flags": 2}
        ),
    ),
    "@brief": (
        "LICENSE",
        "the tool's description",
        lambda _, plan: "\nEvery annotation once.\n" in help_text(plan),
    ),
    "@details": (
        "LICENSE",
        "the end of its help",
        lambda _, plan: help_text(plan).endswith("\nSaid at the end.\n"),
    ),
    "@version": ("LICENSE", "the tool's version", lambda _, plan: plan.version == "1.2.3"),
}


@pytest.mark.parametrize("name", ANNOTATIONS)
def test_annotation(name: str) -> None:
    package, plan = built()
    kept = Plan.load(plan.dump())
    assert kept is not None
    assert ANNOTATIONS[name][2](package, kept), plan.dump()
