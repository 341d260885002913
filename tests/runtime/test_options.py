"""Options of a tool on this machine's kernel: what is given is what the program sees."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import Any

import pytest

from ebpm.errors import InvalidParameter
from ebpm.package.model import Package
from ebpm.runtime.params import assigned, parse_arguments
from ebpm.runtime.planner import make_plan
from ebpm.runtime.session import Session
from tests.runtime.test_session import fields

pytestmark = pytest.mark.needs("compiler", "bpf")
Build = Callable[[str], Package]

# What the program reports when nothing is given.
UNTOUCHED = {
    **dict.fromkeys(("si8", "ui8", "si16", "ui16", "si32", "ui32", "si64", "ui64", "in_bss"), 0),
    "age": -1,
    "failed": False,
    "quiet": True,
    "mode": 4,
    "name": "none",
    "list": [1, 2, 3],
    "point": {"x": 0, "y": 0},
    "word": {"whole": 0, "bytes": [0] * 4},
    "ratio": 0.5,
    "in_data": 1,
    "in_custom_rodata": 2,
    "in_custom_data": 3,
}


def reported(package: Package, *words: str, given: dict[str, str] | None = None) -> dict[str, Any]:
    """Run the program with options; give its event, without what nobody has touched."""
    one = package.objects[0]
    plan = make_plan(package, one)
    values = {
        **assigned(plan, list((given or {}).items())),
        **parse_arguments(plan, ["--pid", str(os.getpid()), *words]).values,
    }
    with Session(plan, one.data, values) as session:
        os.getpgid(0)
        (event,) = fields(session, 1)
    event["ratio"] = struct.unpack("d", struct.pack("Q", event["ratio"]))[0]
    return {name: value for name, value in event.items() if value != UNTOUCHED[name]}


def test_untouched_variables_are_as_the_source_has_them(program: Build) -> None:
    assert reported(program("params")) == {}


@pytest.mark.parametrize("edge", ["low", "high"])
def test_integers_of_all_widths_reach_from_edge_to_edge(program: Build, edge: str) -> None:
    expected = {}
    for bits in (8, 16, 32, 64):
        half = 1 << (bits - 1)
        expected |= {f"si{bits}": -half} if edge == "low" else {f"si{bits}": half - 1}
        expected |= {f"ui{bits}": 1} if edge == "low" else {f"ui{bits}": 2 * half - 1}
    words = [f"--{name}={value}" for name, value in expected.items()]
    assert reported(program("params"), *words) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--age", "0x7f"], {"age": 127}),
        (["--failed"], {"failed": True}),
        (["-f"], {"failed": True}),
        (["--enable-failed"], {"failed": True}),
        (["--failed=true"], {"failed": True}),
        (["--failed", "--failed=false"], {}),
        (["--quiet=false"], {"quiet": False}),
        (["--disable-quiet"], {"quiet": False}),
        (["--ratio", "-1e300"], {"ratio": -1e300}),
        (["--mode", "SLOW"], {"mode": 0}),
        (["--mode", "0"], {"mode": 0}),
        (["--name", "a b"], {"name": "a b"}),
        (["--name", ""], {"name": ""}),
        (["--list", "7,-8"], {"list": [7, -8, 3]}),
        (["--list", "[9, 10, 11]"], {"list": [9, 10, 11]}),
        (["--point", '{"y": -2}'], {"point": {"x": 0, "y": -2}}),
        (["--word", '{"bytes": [1, 2]}'], {"word": {"whole": 513, "bytes": [1, 2, 0, 0]}}),
        (["--in_data", "5", "--in-bss", "6"], {"in_data": 5, "in_bss": 6}),
        (["--in_custom_rodata", "7"], {"in_custom_rodata": 7}),
        (["--in_custom_data", "8"], {"in_custom_data": 8}),
    ],
)
def test_each_kind_of_option_sets_its_variable(
    program: Build, words: list[str], expected: dict[str, Any]
) -> None:
    assert reported(program("params"), *words) == expected


def test_set_sets_any_global_and_an_option_wins_over_it(program: Build) -> None:
    given = {"in_custom_data": "9", "si8": "-1", "list": "[4]"}
    assert reported(program("params"), "--si8", "5", given=given) == {
        "in_custom_data": 9,
        "si8": 5,
        "list": [4, 2, 3],
    }


@pytest.mark.parametrize(
    ("bits", "low", "high"), [(8, -128, 127), (16, -32768, 32767), (64, -(1 << 63), (1 << 63) - 1)]
)
def test_a_range_error_names_variable_type_and_range(
    program: Build, bits: int, low: int, high: int
) -> None:
    with pytest.raises(InvalidParameter) as caught:
        reported(program("params"), f"--si{bits}", str(high + 1))
    kind = {8: "signed char", 16: "short", 64: "long long"}[bits]
    assert (
        f"{high + 1} is out of range for {kind}, which holds {low} to {high}, "
        f"for variable si{bits} of type {kind}" in caught.value.message
    )


def test_the_range_error_of_a_typedef_names_it(program: Build) -> None:
    with pytest.raises(InvalidParameter, match=r"out of range for age_t, which .* of type age_t"):
        reported(program("params"), "--age", str(1 << 63))
