"""Where stack traces are found in records, and those of this kernel."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from ebpm.errors import InvalidPackage
from ebpm.output.trace import Trace
from ebpm.package.model import MapSpec, Package
from ebpm.runtime.plan import Plan, SourcePlan
from ebpm.runtime.planner import make_plan
from ebpm.runtime.session import Session
from ebpm.symbols.symbolizer import Symbolizer

pytestmark = pytest.mark.needs("compiler")
Build = Callable[[str], Package]


def sources(package: Package) -> dict[str, SourcePlan]:
    return {one.map: one for one in make_plan(package, package.objects[0]).sources}


def with_map(package: Package, name: str, **fields: Any) -> Package:
    def one(spec: MapSpec) -> MapSpec:
        return replace(spec, **fields) if spec.name == name else spec

    return replace(package, maps=tuple(one(spec) for spec in package.maps))


def test_members_are_found_by_their_names(program: Build) -> None:
    stack = sources(program("stacks"))["events"].stack
    assert stack is not None
    assert set(stack.names) == {
        *("pid", "cpu_id", "comm", "kstack_sz", "ustack_sz", "kstack", "ustack"),
    }
    assert stack.symbols
    assert stack.table is None


def test_ids_under_known_names_make_a_sampled_map_one_of_stacks(program: Build) -> None:
    stack = sources(program("stacks"))["counts"].stack
    assert stack is not None
    assert stack.names["kstack"] == "kern_stack_id"
    assert stack.names["ustack"] == "user_stack_id"
    assert stack.table == "stackmap"


def test_a_plan_with_stacks_survives_being_kept(program: Build) -> None:
    package = program("stacks")
    plan = make_plan(package, package.objects[0])
    again = Plan.load(plan.dump())
    assert again is not None
    assert again.dump() == plan.dump()


def test_the_field_map_names_members(program: Build) -> None:
    trace = {"field_map": {"kstack": "ustack", "ustack": None}, "with_symbols": False}
    package = with_map(program("stacks"), "events", interpreter={"stack_trace": trace})
    stack = sources(package)["events"].stack
    assert stack is not None
    assert stack.names["kstack"] == "ustack"
    assert "ustack" not in stack.names
    assert not stack.symbols


@pytest.mark.parametrize(
    ("interpreter", "message"),
    [
        ("stack", "not understood"),
        ({"stack_trace": 1}, "not understood"),
        ({"stack_trace": {"field_map": []}}, None),
        ({"stack_trace": {"field_map": ["pid"]}}, "is a mapping"),
        ({"stack_trace": {"field_map": {"stack": "kstack"}}}, "a part 'stack'"),
        ({"stack_trace": {"field_map": {"kstack": "absent"}}}, "a member 'absent'"),
        ({"stack_trace": {"field_map": {"kstack": None, "ustack": None}}}, "neither 'kstack'"),
        ({"stack_trace": {"field_map": {"kstack": "pid"}}}, None),  # an id of the only stack map
        ({"stack_trace": {"field_map": {"kstack": "pid"}, "map": "events"}}, "ids of stacks"),
    ],
)
def test_an_interpreter_that_makes_no_sense_is_an_error(
    program: Build, interpreter: object, message: str | None
) -> None:
    package = with_map(program("stacks"), "events", interpreter=interpreter)
    if message is None:
        assert sources(package)["events"].stack is not None
        return
    with pytest.raises(InvalidPackage, match=message):
        sources(package)


def traces(program: Build, name: str, *numbers: int) -> list[Trace]:
    """Run the tool in this process, which is there to be asked when its stacks come."""
    package = program("stacks")
    plan, data = make_plan(package, package.objects[0]), package.objects[0].data
    symbols, found = Symbolizer(), []
    with Session(plan, data, {"target_pid": os.getpid()}, interval=3600) as session:
        for number in numbers:
            try:
                os.getpgid(number)
            except ProcessLookupError:
                pass
        for batch in session.remaining():
            if batch.source.name == name:
                found += [Trace(batch.source, record, symbols) for record in batch.records()]
    return found


@pytest.mark.needs("bpf")
@pytest.mark.parametrize(("name", "number"), [("events", 1), ("counts", 2)])
def test_stacks_of_this_kernel_and_of_this_process_have_names(
    program: Build, name: str, number: int
) -> None:
    (trace,) = traces(program, name, number, number) if number == 2 else traces(program, name, 1)
    assert trace.pid == os.getpid()
    assert trace.count == number
    kernel = [one.symbol or "" for one in trace.kernel]
    assert any(one.startswith(("entry_SYSCALL_64", "el0_svc", "el0t_64")) for one in kernel)
    assert trace.user[0].symbol in ("getpgid", "__getpgid")
    assert "libc" in (trace.user[0].module or "")


@pytest.mark.needs("bpf")
def test_whose_stacks_wait_is_told_before_they_are_read(program: Build) -> None:
    package = program("stacks")
    plan, data = make_plan(package, package.objects[0]), package.objects[0].data
    told: list[set[int]] = []

    def look(pids: Collection[int]) -> None:
        told.append(set(pids))
        if pids:
            session.stop()

    variables = {"target_pid": os.getpid()}
    with Session(plan, data, variables, interval=3600, look=look) as session:
        with suppress(ProcessLookupError):
            os.getpgid(2)
        end = time.monotonic() + 20
        while not session.stopped and time.monotonic() < end:
            list(session.batches(0.5))
        left = [batch.source.name for batch in session.remaining()]
    assert told[-1] == {os.getpid()}
    assert "counts" in left  # nothing was taken out


@pytest.mark.needs("bpf")
def test_a_stack_that_the_map_has_lost_is_empty(program: Build) -> None:
    from ebpm.runtime.libbpf.contents import stack_addresses

    package = program("stacks")
    plan, data = make_plan(package, package.objects[0]), package.objects[0].data
    with Session(plan, data, {"target_pid": os.getpid()}) as session:
        assert session._object is not None
        table = session._object.map("stackmap")
        assert table is not None
        assert stack_addresses(table, 1000) == []
