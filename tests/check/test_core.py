"""Relocations against kernels: the verdict without loading is the verdict of the kernel."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ebpm.api import Workspace
from ebpm.btf.core import questions
from ebpm.btf.parse import Btf
from ebpm.check.core import Kernel, Verdict, compare
from ebpm.cli.check import dry_load
from ebpm.errors import EbpmError, InvalidBtf
from ebpm.runtime.planner import make_plan

pytestmark = pytest.mark.needs("compiler", "bpf")
SOURCE = Path(__file__).parent.parent / "data" / "fits.bpf.c"
CASES = {  # what is lacking; whether the object relies on it
    0: ("struct task_struct___other.no_such_member", True),
    1: ("struct task_struct___other.no_such_member", False),
    2: None,
    3: ("struct task_struct___wrong.pid.inner", True),
    4: None,
    5: ("struct no_such_struct.member", True),
    6: ("struct no_such_struct", False),
    7: None,
    8: ("enum bpf_map_type___other.NO_SUCH_TYPE_OF_MAP", True),
    9: None,
    10: ("struct no_such_struct", False),  # libbpf answers 0
    11: ("struct file___pointer.f_op", True),
    12: None,
}


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    return Kernel(Btf(Path("/sys/kernel/btf/vmlinux").read_bytes()))


def loads(workspace: Workspace, package: object, one: object) -> bool:
    plan = make_plan(package, one)  # type: ignore[arg-type]
    try:
        dry_load(workspace, plan, one.data)  # type: ignore[attr-defined]
    except EbpmError:
        return False
    return True


@pytest.mark.parametrize("case", CASES)
def test_the_verdict_is_the_kernels(case: int, kernel: Kernel) -> None:
    workspace = Workspace()
    package = workspace.build(SOURCE, architectures=["amd64"], cflags=[f"-DCASE={case}"]).package
    one = package.objects[0]
    verdict = compare(one.data, kernel)
    expected = CASES[case]
    shown = {miss.what: not miss.guarded for miss in verdict.misses}
    if expected is None:
        assert shown == {}
    else:
        what, relied_on = expected
        assert shown[what] is relied_on
    assert verdict.fits == (expected is None or not expected[1])
    assert loads(workspace, package, one) == verdict.fits


def test_relocations_are_told_with_their_places(kernel: Kernel) -> None:
    package = Workspace().build(SOURCE, architectures=["amd64"], cflags=["-DCASE=0"]).package
    data = package.objects[0].data
    _, asked = questions(data)
    assert {one.section for one in asked} == {"raw_tp/sys_enter"}
    (miss,) = compare(data, kernel).misses
    assert miss.offset in {one.offset for one in asked}


def test_an_object_without_relocations_fits() -> None:
    assert Verdict(asked=0, misses=(), unjudged=()).fits


def test_a_damaged_way_to_a_member_is_an_error_of_the_object(kernel: Kernel) -> None:
    package = Workspace().build(SOURCE, architectures=["amd64"], cflags=["-DCASE=0"]).package
    data = package.objects[0].data
    way = re.search(rb"\x00\d+:\d+\x00", data)
    assert way
    damaged = data[: way.start() + 1] + b"x" + data[way.start() + 2 :]
    with pytest.raises(InvalidBtf, match="no way to a member"):
        compare(damaged, kernel)
