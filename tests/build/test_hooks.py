"""Hooks in the comments of programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebpm.errors import InvalidAnnotation
from ebpm.runtime.planner import make_plan
from tests import sources
from tests.kernel.cases import COMMON

pytestmark = pytest.mark.needs("compiler")
PROGRAMS = """
/// Takes a sample now and then.
/// @attach frequency=99,cpu=0
SEC("perf_event") int sample(void *ctx) { return 0; }
/// @attach uprobe/libc.so.6:getppid,pid=1
SEC("uprobe") int call(void *ctx) { return 0; }
/// @alternative open 1
SEC("fentry/f") int first(void *ctx) { return 0; }
/// @alternative open 2
SEC("kprobe/f") int second(void *ctx) { return 0; }
"""


def test_attach_and_alternative_are_taken(tmp_path: Path) -> None:
    package = sources.build(tmp_path, {"hooks.bpf.c": COMMON + PROGRAMS}).package
    hooks = {one.name: one.attach for one in package.programs}
    assert hooks == {
        "sample": "perf_event,frequency=99,cpu=0",
        "call": "uprobe/libc.so.6:getppid,pid=1",
        "first": "fentry/f",
        "second": "kprobe/f",
    }
    plan = {one.name: one for one in make_plan(package, package.objects[0]).programs}
    assert plan["sample"].options == {"frequency": 99, "cpu": 0}
    assert (plan["call"].section, plan["call"].options) == ("uprobe/libc.so.6:getppid", {"pid": 1})
    assert plan["first"].alternative == ["open", 1]
    assert plan["second"].alternative == ["open", 2]
    assert package.programs[0].description == "Takes a sample now and then."


@pytest.mark.parametrize(
    ("comment", "section", "says"),
    [
        ("@attach speed=9", "perf_event", "p: @attach: hook 'speed=9' has the option 'speed'"),
        ("@attach frequency=x", "perf_event", "frequency='x' is not an integer"),
        ("@attach xdp", "perf_event", "cannot move to xdp"),
        ("@attach 5", "perf_event", "5 is no hook"),
        ("@alternative open", "tp/a/b", "alternative 'open' is no group and rank"),
    ],
)
def test_a_bad_hook_is_an_error_of_the_source(
    tmp_path: Path, comment: str, section: str, says: str
) -> None:
    code = f'{COMMON}\n/// {comment}\nSEC("{section}") int p(void *ctx) {{ return 0; }}'
    with pytest.raises(InvalidAnnotation) as caught:
        sources.build(tmp_path, {"hooks.bpf.c": code})
    assert says in caught.value.message
