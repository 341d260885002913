"""Programs that go elsewhere than their sections say, on this machine's kernel."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from ebpm.cli.hooks import move_hooks
from ebpm.errors import AttachFailed, HookNotFound, InvalidPackage, InvalidParameter, UsageError
from ebpm.package.model import Package, ProgramSpec
from ebpm.runtime.planner import make_plan
from ebpm.runtime.session import Session
from tests.runtime.test_session import fields, in_namespace, start

pytestmark = pytest.mark.needs("compiler", "bpf")
Build = Callable[[str], Package]


def moved(package: Package, **hooks: str) -> Package:
    """Keep the named programs, with these hooks in the metadata."""
    programs = tuple(ProgramSpec(name=name, attach=hook) for name, hook in hooks.items())
    return replace(package, programs=programs)


def reports(session: Session) -> set[object]:
    """Do what the moved programs watch; tell which of them reported it."""
    os.getpgid(0)
    os.getsid(0)
    return {one["which"] for one in fields(session, 1000, 0.3)}


@pytest.mark.parametrize(
    ("hooks", "seen"),
    [
        ({"on_tracepoint": "tracepoint/syscalls/sys_enter_getpgid"}, {1}),
        ({"on_tracepoint": "tp/syscalls/sys_exit_getpgid"}, {1}),
        ({"on_second": "tracepoint/syscalls/sys_enter_getpgid"}, {2}),
        ({"on_raw": "raw_tp/sys_enter"}, {3}),
        ({"on_raw": "raw_tracepoint/sys_exit"}, {3}),
        ({"on_typed": "tp_btf/sys_enter"}, {4}),
        ({"on_function": "uprobe/libc.so.6:getpgid"}, {5}),
        ({"on_function": "uretprobe/libc.so.6:getpgid"}, {5}),
        ({"on_nothing": "uprobe/libc.so.6:getpgid"}, {6}),
        ({"on_kernel": "uprobe/libc.so.6:getpgid"}, {7}),
        ({"on_nothing": "uprobe.multi/libc.so.6:getpgid*"}, {6}),
    ],
)
def test_a_program_goes_where_the_metadata_says(
    program: Build, hooks: dict[str, str], seen: set[object]
) -> None:
    with start(moved(program("moves"), **hooks), {"watched": os.getpid()}) as session:
        assert reports(session) == seen


def test_of_two_programs_in_one_section_one_can_move(program: Build) -> None:
    here, there = (f"tracepoint/syscalls/sys_enter_{name}" for name in ("getsid", "getpgid"))
    package = moved(program("moves"), on_tracepoint=here, on_second=there)
    with start(package, {"watched": os.getpid()}) as session:
        os.getpgid(0)
        assert [one["which"] for one in fields(session, 1)] == [2]
        os.getsid(0)
        assert [one["which"] for one in fields(session, 1)] == [1]


def test_a_uprobe_moves_to_a_place_in_a_file(program: Build) -> None:
    """The place of getpgid, in the file that this process has mapped."""
    import ctypes

    address = ctypes.cast(ctypes.CDLL(None).getpgid, ctypes.c_void_p).value
    assert address is not None
    with open("/proc/self/maps", encoding="ascii") as file:
        for line in file:
            area, _, offset, _, _, *path = line.split()
            first, last = (int(part, 16) for part in area.split("-"))
            if first <= address < last:
                place = address - first + int(offset, 16)
                break
    package = moved(program("moves"), on_nothing=f"uprobe/{path[0]}:{place:#x}")
    with start(package, {"watched": os.getpid()}) as session:
        assert reports(session) == {6}


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        ("tracepoint/syscalls/sys_enter_getpgidd", "syscalls/sys_enter_getpgid"),
        ("tp_btf/sched_process_forkk", "sched_process_fork"),
    ],
)
def test_a_new_hook_that_is_not_there_gets_the_nearest(
    program: Build, hook: str, said: str
) -> None:
    name = "on_typed" if hook.startswith("tp_btf") else "on_tracepoint"
    with pytest.raises(HookNotFound) as caught:
        start(moved(program("moves"), **{name: hook}))
    assert hook in caught.value.message
    assert said in caught.value.hint


def test_a_program_that_reads_further_than_the_new_record_says_so(program: Build) -> None:
    with pytest.raises(AttachFailed) as caught:
        start(moved(program("moves"), on_many="tracepoint/syscalls/sys_enter_getpgid"))
    assert "'on_many' at tracepoint/syscalls/sys_enter_getpgid" in caught.value.message
    assert "reads further than the record of that tracepoint goes" in caught.value.message
    assert "/events/syscalls/sys_enter_getpgid/format" in caught.value.hint


def test_a_program_of_another_context_is_refused_before_anything_is_loaded(
    program: Build,
) -> None:
    with pytest.raises(InvalidPackage) as caught:
        make_plan(moved(program("moves"), on_raw="xdp"), program("moves").objects[0])
    assert (
        "program on_raw: a program of section raw_tp/sched_process_exec cannot move to xdp: it is "
        "compiled for the raw arguments of a tracepoint" in caught.value.message
    )


def test_an_alternative_that_moved_to_what_is_not_there_gives_way_to_the_next(
    program: Build,
) -> None:
    hooks = {"on_typed": "tp_btf/nosuch", "on_tracepoint": "tp/syscalls/sys_enter_getpgid"}
    programs = tuple(
        ProgramSpec(name=name, attach=hook, extra={"alternative": f"one {rank}"})
        for rank, (name, hook) in enumerate(hooks.items(), 1)
    )
    package = replace(program("moves"), programs=programs)
    with start(package, {"watched": os.getpid()}) as session:
        assert reports(session) == {1}


# --- on the command line -------------------------------------------------------------------------


def test_the_command_line_moves_a_named_program(program: Build) -> None:
    package = program("moves")
    plan = make_plan(moved(package, on_raw="raw_tp/sched_process_exec"), package.objects[0])
    move_hooks(plan, ["on_raw=raw_tp/sys_enter"])
    with Session(plan, package.objects[0].data, {"watched": os.getpid()}) as session:
        assert reports(session) == {3}


def test_a_lone_program_needs_no_name(program: Build) -> None:
    package = program("moves")
    plan = make_plan(moved(package, on_typed="tp_btf/sched_process_exec"), package.objects[0])
    move_hooks(plan, ["tp_btf/sys_exit"])
    assert plan.programs[0].section == "tp_btf/sys_exit"
    assert plan.programs[0].retype == (None, 0, 0, "sys_exit")
    move_hooks(plan, ["tp_btf/sched_process_exec"])
    assert plan.programs[0].retype is None


def test_of_several_programs_the_one_that_moves_must_be_named(program: Build) -> None:
    package = program("moves")
    plan = make_plan(package, package.objects[0])
    with pytest.raises(UsageError, match="several programs"):
        move_hooks(plan, ["raw_tp/sys_enter"])
    with pytest.raises(InvalidParameter, match=r"program 'on_raw': .* cannot move to tc"):
        move_hooks(plan, ["on_raw=tc,dev=lo"])


@pytest.mark.parametrize(
    ("name", "hooks", "section", "options"),
    [
        ("count_tc", ["tc/egress"], "tc/egress", {"direction": "egress", "handle": 7}),
        ("count_tc", ["tc/egress,handle=8"], "tc/egress", {"direction": "egress", "handle": 8}),
        ("count_tc", ["direction=egress"], "tc", {"direction": "egress", "handle": 7}),
        ("count_tc", ["tc/egress", "tc/ingress"], "tc/ingress", {"direction": "ingress"}),
        ("count_xdp", ["dev=v1", "xdp.frags"], "xdp.frags", {"dev": "v1"}),
        ("on_nothing", ["binary=/a,function=f", "uprobe//b:g"], "uprobe//b:g", {}),
        ("on_nothing", ["pid=7", "uprobe//b:g"], "uprobe//b:g", {"pid": 7}),
    ],
)
def test_a_new_section_replaces_what_the_old_one_said_and_other_options_stay(
    program: Build, name: str, hooks: list[str], section: str, options: dict[str, object]
) -> None:
    package = program("net" if name.startswith("count") else "moves")
    plan = make_plan(package, package.objects[0])
    move_hooks(plan, [f"{name}={hook}" for hook in hooks])
    (found,) = [one for one in plan.programs if one.name == name]
    assert found.section == section
    assert found.options.items() >= options.items()
    assert not {"binary", "function"} & set(found.options)


@pytest.mark.needs("netns")
def test_a_tc_program_changes_its_direction_and_an_xdp_program_its_interface(
    program: Build,
) -> None:
    package = moved(program("net"), count_tc="tc/egress,dev=lo", count_xdp="xdp.frags,dev=lo")
    out = in_namespace(
        "def filters(way): return subprocess.check_output(\n"
        "    f'tc filter show dev lo {way}', shell=True, text=True)\n"
        "with Session(plan, data) as session:\n"
        "    packets()\n"
        "    print(seen(session, 6), bool(filters('egress')), bool(filters('ingress')))\n"
        "print(filters('egress') == '')\n",
        package,
    )
    assert out.splitlines() == ["[1, 2] True False", "True"]
