"""Attaching with options: what is asked for, what is refused and in which words.

That each kind of hook fires is the business of tests/kernel.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ebpm.errors import (
    EbpmError,
    FeatureMissing,
    HookNotFound,
    InvalidAnnotation,
    InvalidParameter,
    LoadFailed,
)
from ebpm.package.hook import parse_hook
from ebpm.package.model import Package
from ebpm.package.sections import _ROWS
from ebpm.runtime import features
from ebpm.runtime.features import FEATURES, Feature, feature_of, lacking
from ebpm.runtime.libbpf.binding import SYSTEM
from ebpm.runtime.plan import Plan, ProgramPlan
from ebpm.runtime.planner import make_plan, move
from ebpm.runtime.prepare import Choice
from ebpm.runtime.session import Session
from tests import sources
from tests.conftest import Ebpm
from tests.kernel.cases import COMMON

KERNEL = pytest.mark.needs("compiler", "bpf")
ITERATOR = """
SEC("iter/task") int walk(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (task && task->tgid == watched && task->pid == watched)
		BPF_SEQ_PRINTF(ctx->meta->seq, "%d is here\\n", task->pid);
	return 0;
}
"""


REFUSED = [
    ("cgroup/connect4", "", InvalidParameter, "a cgroup, and none is named",
     "=cgroup=PATH"),
    ("cgroup/connect4", "cgroup=/no/such", HookNotFound, "no cgroup /no/such", ""),
    ("cgroup/connect4", "cgroup=/tmp", HookNotFound, "/tmp is no folder of cgroup2", ""),
    ("sk_lookup", "netns=no-such", HookNotFound, "no network namespace no-such", ""),
    ("sk_reuseport", "", InvalidParameter, "a socket of a process", "=pid=PID,fd="),
    ("socket", "pid=1,fd=999", HookNotFound, "process 1 has no socket 999", "/proc/1/fd"),
    ("lwt_xmit", "", InvalidParameter, "a route, and none is named", "route=10.8.0.0/16"),
    ("lwt_xmit", "route=10.0.0.0/8", InvalidParameter, "leads nowhere", "dev=INTERFACE"),
    ("lwt_xmit", "route=10.0.0.0/33,dev=lo", InvalidParameter, "is no route", ""),
    ("lwt_xmit", "route=10.0.0.x/8,dev=lo", InvalidParameter, "is no IP address", ""),
    ("sk_msg", "map=sockts", InvalidParameter, "no map of sockets 'sockts'; it has sock", ""),
    ("uprobe", "", InvalidParameter, "has no binary", "=binary=PATH,function=NAME"),
    ("uprobe", "binary=/bin/true", InvalidParameter, "has no function", ""),
    ("uprobe", "binary=/no/such,function=f", HookNotFound, "there is no file /no/such", ""),
    ("uprobe", "binary=LIBC,function=getppidd", HookNotFound, "has no function getppidd",
     "getppid"),
    ("uprobe", "binary=LIBC,function=f+x", InvalidParameter, "no function and no offset", ""),
    ("usdt", "binary=/bin/true", InvalidParameter, "has no provider", "provider=NAME"),
    ("perf_event", "config=cycels", InvalidParameter, "'cycels' is no perf event", "cycles"),
    ("perf_event", "type=soft", InvalidParameter, "'soft' is no type", "software"),
    ("perf_event", "type=hardware,config=cpu-clock", InvalidParameter, "no event of type", ""),
    ("freplace/f", "", InvalidParameter, "no program is named", "prog=ID"),
    ("freplace/f", "prog=4294967295", HookNotFound, "has no function 'f'", "bpftool prog"),
    ("tcx/ingress", "dev=no-such", EbpmError, "no network interface 'no-such'", "there are lo"),
    ("tp/syscalls/sys_enter_getpppid", "", HookNotFound, "sys_enter_getpppid",
     "syscalls/sys_enter_getppid"),
    ("kprobe", "", InvalidParameter, "does not say where", "--attach kprobe=kprobe/FUNCTION"),
    ("tp", "", InvalidParameter, "'tp' at tp does not say where", "tp/CATEGORY/NAME"),
    ("raw_tp", "", InvalidParameter, "does not say where", "raw_tp/NAME"),
    ("tp_btf", "", InvalidParameter, "does not say where", "tp_btf/NAME"),
    ("no_such_section", "", LoadFailed, "knows no section 'no_such_section'", "hooks.md"),
]  # fmt: skip


def build(place: Path, code: str) -> Package:
    return sources.build(place, {"tool.bpf.c": COMMON + code}).package


def plan_of(package: Package, attach: str = "") -> Plan:
    plan = make_plan(package, package.objects[0])
    if attach:
        move(plan.programs[0], parse_hook(attach, plan.programs[0].section))
    return plan


def start(package: Package, attach: str = "", **more: Any) -> Session:
    return Session(plan_of(package, attach), package.objects[0].data, **more)


@pytest.fixture(scope="module")
def optional(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """One object with a program for every section below, none of which is loaded unasked."""
    programs = [
        f'SEC("?{section}") int {name_of(section)}(void *ctx) {{ return 1; }}'
        for section in dict.fromkeys(one[0] for one in REFUSED)
    ]
    return build(tmp_path_factory.mktemp("optional"), "\n".join(programs))


def name_of(section: str) -> str:
    return re.sub(r"\W", "_", section)


@KERNEL
@pytest.mark.parametrize(("section", "attach", "error", "says", "hint"), REFUSED)
def test_what_cannot_be_attached_is_told(
    optional: Package, section: str, attach: str, error: type[EbpmError], says: str, hint: str
) -> None:
    with open("/proc/self/maps", encoding="utf-8") as file:
        libc = next(line.split()[-1] for line in file if "libc.so.6" in line)
    plan = plan_of(optional)
    plan.programs = [one for one in plan.programs if one.name == name_of(section)]
    hook = attach.replace("LIBC", libc)
    move(plan.programs[0], parse_hook(f"{section},{hook}".rstrip(","), section))
    with pytest.raises(error) as caught:
        Session(plan, optional.objects[0].data)
    told = caught.value
    assert says in told.message
    assert hint in told.hint


@KERNEL
def test_iterators_print_and_end(tmp_path: Path, ebpm: Ebpm) -> None:
    from ebpm.cli.build import write_files

    write_files(build(tmp_path, ITERATOR), tmp_path, "json")
    words = ["run", tmp_path / "package.json", "--watched", str(os.getpid())]
    assert ebpm.run(*words).stdout == f"{os.getpid()} is here\n"
    done = ebpm.run(*words[:1], "--json", *words[1:])
    assert json.loads(done.stdout) == {"program": "walk", "text": f"{os.getpid()} is here"}


@KERNEL
def test_a_syscall_program_runs_once_and_tells_its_result(tmp_path: Path, ebpm: Ebpm) -> None:
    from ebpm.cli.build import write_files

    code = 'SEC("syscall") int once(void *ctx) { report(5); return -3; }'
    write_files(build(tmp_path, code), tmp_path, "json")
    done = ebpm.run("run", "--json", tmp_path / "package.json")
    assert json.loads(done.stdout) == {"value": 5}
    assert "program once returned -3" in done.stderr


@KERNEL
def test_maps_are_pinned_only_on_demand(tmp_path: Path) -> None:
    name = f"pin_{os.getpid()}"
    code = (
        "struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32);"
        f' __type(value, __u32); __uint(pinning, LIBBPF_PIN_BY_NAME); }} {name} SEC(".maps");\n'
        'SEC("tp/syscalls/sys_enter_getppid") int p(void *ctx)\n'
        f"{{ __u32 key = 0; return bpf_map_lookup_elem(&{name}, &key) != 0; }}"
    )
    from ebpm.cli.build import write_files

    write_files(build(tmp_path, code), tmp_path, "json")
    run = f"{sys.executable} -m ebpm run --duration 10ms"
    look = f"test -e /sys/fs/bpf/{name}; echo $?"
    script = (
        f"umount -l /sys/fs/bpf 2>/dev/null; {run} --pin package.json; echo $?\n"
        f"mount -t bpf none /sys/fs/bpf; {run} package.json; {look}\n"
        f"{run} --pin package.json; {look}"
    )
    command = ["unshare", "--mount", "sh", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["9", "1", "0"]
    assert "no bpffs is mounted at /sys/fs/bpf" in done.stderr
    assert "mount -t bpf" in done.stderr


@KERNEL
def test_a_program_in_an_optional_section_waits_to_be_asked_for(tmp_path: Path) -> None:
    code = (
        'SEC("?tp/syscalls/sys_enter_getppid") int p(void *ctx)'
        "{ return mine() ? report(1) : 0; }\n"
        'SEC("tp/syscalls/sys_enter_getpgid") int other(void *ctx)'
        "{ return mine() ? report(2) : 0; }"
    )
    package = build(tmp_path, code)

    def seen(attach: str) -> set[int]:
        with start(package, attach, values={"watched": os.getpid()}) as session:
            os.getppid()
            os.getpgid(0)
            return {event.fields["value"] for one in session.remaining() for event in one.events()}

    assert seen("") == {2}
    assert seen("tp/syscalls/sys_enter_getppid") == {1, 2}


@KERNEL
def test_a_program_waits_for_its_option(tmp_path: Path) -> None:
    code = (
        "const volatile bool asked = false;\n"
        "const volatile int always = 7;\n"
        "/// @when asked\n"
        'SEC("tp/syscalls/sys_enter_getppid") int p(void *ctx)'
        "{ return mine() ? report(1) : 0; }\n"
        "/// @when always\n"
        'SEC("tp/syscalls/sys_enter_getpgid") int other(void *ctx)'
        "{ return mine() ? report(2) : 0; }"
    )
    package = build(tmp_path, code)

    def seen(**values: int) -> set[int]:
        with start(package, values={"watched": os.getpid(), **values}) as session:
            os.getppid()
            os.getpgid(0)
            return {event.fields["value"] for one in session.remaining() for event in one.events()}

    assert seen() == {2}
    assert seen(asked=True) == {1, 2}
    assert seen(asked=True, always=0) == {1}


@pytest.mark.needs("compiler")
def test_a_program_that_waits_for_no_option_is_refused(tmp_path: Path) -> None:
    code = (
        "const volatile bool asked = false;\n"
        "/// @when aksed\n"
        'SEC("tp/syscalls/sys_enter_getppid") int p(void *ctx) { return report(asked); }'
    )
    with pytest.raises(InvalidAnnotation, match="program p: when 'aksed'") as caught:
        build(tmp_path, code)
    assert caught.value.hint == "did you mean asked?"


@KERNEL
def test_of_alternatives_the_first_that_can_be_had_is_taken(tmp_path: Path) -> None:
    code = (
        "/// @alternative way 1\n"
        'SEC("tp/syscalls/no_such_tracepoint") int best(void *ctx) { return report(1); }\n'
        "/// @alternative way 2\n"
        'SEC("tp/syscalls/sys_enter_getppid") int good(void *ctx)'
        "{ return mine() ? report(2) : 0; }\n"
        "/// @alternative way 3\n"
        'SEC("raw_tp/sys_enter") int poor(void *ctx) { return mine() ? report(3) : 0; }'
    )
    said: list[str] = []
    package = build(tmp_path, code)
    with start(package, values={"watched": os.getpid()}, show_log=said.append) as session:
        os.getppid()
        found = {event.fields["value"] for one in session.remaining() for event in one.events()}
    assert found == {2}
    assert "ebpm: of 'way' is taken: good (tp/syscalls/sys_enter_getppid)" in said
    assert any("not taken" in line and "no_such_tracepoint" in line for line in said)


def program(
    name: str, section: str = "tp/a/b", way: tuple[object, ...] | None = None
) -> ProgramPlan:
    return ProgramPlan(name=name, section=section, kind="auto", options={}, alternative=way)


def choice_of(*programs: ProgramPlan) -> Choice:
    class Some:
        pass

    plan = Some()
    plan.programs = list(programs)  # type: ignore[attr-defined]
    return Choice(plan)  # type: ignore[arg-type]


def names(choice: Choice) -> list[str]:
    return [one.name for one in choice.programs]


def failure(name: str | None) -> EbpmError:
    error = EbpmError("refused")
    error.program = name
    return error


def test_the_best_rank_of_each_group_is_tried_first() -> None:
    choice = choice_of(
        program("a2", way=("a", 2)),
        program("a1", way=("a", 1)),
        program("also a1", way=("a", 1)),
        program("b9", way=("b", 9)),
        program("b3", way=("b", 3)),
        program("always"),
        program("optional", "?tp/a/b"),
    )
    assert names(choice) == ["a1", "also a1", "b3", "always"]
    assert choice.next(failure("also a1"))
    assert names(choice) == ["a2", "b3", "always"]
    assert not choice.next(failure("a2")), "it was the last of its group"
    assert not choice.next(failure("always")), "it is no alternative"
    assert choice.next(failure(None)), "nobody knows whose fault it is"
    assert names(choice) == ["a2", "b9", "always"]
    assert not choice.next(failure(None))
    assert choice.taken == [("a", "a2", "tp/a/b"), ("b", "b9", "tp/a/b")]


def test_of_an_optional_group_none_may_be_left() -> None:
    choice = choice_of(
        program("a1", way=("a", 1, "optional")),
        program("also a1", way=("a", 1, "optional")),
        program("a2", way=("a", 2)),
        program("always"),
    )
    assert choice.next(failure("also a1"))
    assert names(choice) == ["a2", "always"]
    assert choice.next(failure("a2"))
    assert names(choice) == ["always"]
    assert not choice.next(failure("always"))
    assert not choice.next(failure(None))


@KERNEL
def test_a_tool_does_without_what_is_optional(tmp_path: Path) -> None:
    code = (
        "/// @alternative old 1 optional\n"
        'SEC("tp/syscalls/sys_enter_no_such_call") int old(void *ctx) { return report(1); }\n'
        'SEC("tp/syscalls/sys_enter_getppid") int good(void *ctx)'
        "{ return mine() ? report(2) : 0; }"
    )
    package = build(tmp_path, code)
    with start(package, values={"watched": os.getpid()}) as session:
        os.getppid()
        found = {event.fields["value"] for one in session.remaining() for event in one.events()}
    assert found == {2}


@pytest.mark.parametrize(
    ("section", "name"),
    [
        ("tp/a/b", "tracepoints"),
        ("kprobe/f", "kprobes"),
        ("kprobe.multi/f*", "kprobe.multi links"),
        ("?fentry.s/f", "sleepable fentry programs"),
        ("lsm_cgroup/x", "LSM programs of a cgroup"),
        ("cgroup/connect4", "links to cgroups"),
        ("cgroup/connect_unix", "cgroup hooks of unix sockets"),
        ("tc/ingress", "BPF filters of clsact"),
        ("tcx/ingress", "tcx links"),
        ("sk_skb/verdict", "sk_skb/verdict programs"),
        ("socket1", None),
        ("", None),
    ],
)
def test_sections_have_a_feature(section: str, name: str | None) -> None:
    found = feature_of(section)
    assert (found.name if found else None) == name


def test_every_section_of_libbpf_has_a_feature() -> None:
    unattached = {"lwt_seg6local", "lirc_mode2"}
    assert {word for word in _ROWS if not feature_of(word)} == unattached
    assert all(feature.since >= (3, 0) for feature in FEATURES.values())


@pytest.mark.parametrize(
    ("release", "machine", "config", "says"),
    [
        ("5.10.0-46-amd64", "x86_64", "", "new hooks, which came with Linux 5.18; this is 5.10.0"),
        ("5.18", "x86_64", "", None),
        ("6.1.0", "x86_64", "CONFIG_NEW=y\n", None),
        ("6.1.0", "x86_64", "CONFIG_OLD=y\n", "new hooks, and this kernel is built without"),
        ("6.1.0", "aarch64", "", "which came with Linux 6.4 on aarch64; this is 6.1.0"),
        ("6.12", "aarch64", "", None),
    ],
)  # fmt: skip
def test_what_a_kernel_lacks_is_told(
    monkeypatch: pytest.MonkeyPatch, release: str, machine: str, config: str, says: str | None
) -> None:
    system = os.uname_result(("Linux", "host", release, "#1", machine))
    monkeypatch.setattr(os, "uname", lambda: system)
    monkeypatch.setattr(features, "_configuration", lambda: config)
    told = lacking(Feature("new hooks", (5, 18), "CONFIG_NEW", arm64=(6, 4)))
    assert (told is None) if says is None else (told is not None and says in told)


def old_libbpf() -> str | None:
    """Find a libbpf that is older than 1.3."""
    try:
        library = ctypes.CDLL(SYSTEM)
        return SYSTEM if library.libbpf_minor_version() < 3 else None
    except (OSError, AttributeError):
        return None


@KERNEL
@pytest.mark.skipif(not old_libbpf(), reason="the system's libbpf is not older than 1.3")
@pytest.mark.parametrize("section", ["netfilter", "uprobe.multi/libc.so.6:get*", "tcx/ingress"])
def test_what_a_libbpf_is_too_old_for_names_the_version_needed(
    tmp_path: Path, section: str
) -> None:
    package = build(tmp_path, f'SEC("{section}") int p(void *ctx) {{ return 1; }}')
    with pytest.raises(
        FeatureMissing, match=r"libbpf 1\.3 or later is needed; libbpf\.so\.1 is v1"
    ):
        start(package, libbpf=SYSTEM)


def test_a_libbpf_that_is_too_old_is_told_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from ebpm.runtime.failures import lacking_feature

    class Old:
        version_numbers, version, path = (1, 1), "v1.1", "/lib/libbpf.so.1"

    one = program("p", "netfilter")
    told = lacking_feature(one, Old())  # type: ignore[arg-type]
    assert told == (
        "netfilter links, for which libbpf 1.3 or later is needed; /lib/libbpf.so.1 is v1.1"
    )
    assert "libbpf" not in (lacking_feature(program("p"), Old()) or "")  # type: ignore[arg-type]
