"""Hooks: the grammar of docs/spec/hooks.md, and eunomia-bpf's keys beside a section."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpm.errors import InvalidPackage, InvalidParameter
from ebpm.package.hook import (
    AUTO,
    CGROUP,
    ENTRY,
    FREPLACE,
    ITERATOR,
    LINK,
    LSM,
    LWT,
    NETFILTER,
    NETNS,
    PERF_EVENT,
    REUSEPORT,
    SOCKET,
    SOCKMAP,
    STRUCT_OPS,
    SYSCALL,
    TC,
    UPROBE,
    USDT,
    XDP,
    Hook,
    alternative_of,
    hook_of,
    kind_of,
    parse_hook,
)
from ebpm.package.model import ProgramSpec
from tests.strategies import JSON, examples


@pytest.mark.parametrize(
    ("section", "kind"),
    [
        ("tracepoint/syscalls/sys_enter_kill", AUTO),
        ("kprobe/do_unlinkat", AUTO),
        ("fentry.s/f", AUTO),
        ("uprobe//usr/bin/bash:readline", UPROBE),
        ("uretprobe.s/libc.so.6:malloc", UPROBE),
        ("uprobe.multi/libc.so.6:mem*", UPROBE),
        ("usdt//usr/bin/x:a:b", USDT),
        ("perf_event", PERF_EVENT),
        ("perf_event_1", PERF_EVENT),
        ("xdp", XDP),
        ("xdp.frags", XDP),
        ("?xdp", XDP),
        ("xdp/my_prog", XDP),
        ("xdp_my_prog", XDP),
        ("xdp_devmap", ENTRY),
        ("xdp_cpumap/entry", ENTRY),
        ("xdp/devmap", ENTRY),
        ("xdp.frags/cpumap", ENTRY),
        ("tc", TC),
        ("?tc/egress", TC),
        ("classifier/ingress", TC),
        ("action", TC),
        ("tcx/ingress", LINK),
        ("tcp_congestion", AUTO),
        ("cgroup/connect4", CGROUP),
        ("cgroup_skb/egress", CGROUP),
        ("sockops", CGROUP),
        ("lsm_cgroup/socket_bind", CGROUP),
        ("lsm/file_open", LSM),
        ("sk_skb/stream_verdict", SOCKMAP),
        ("sk_msg", SOCKMAP),
        ("sk_lookup", NETNS),
        ("flow_dissector", NETNS),
        ("socket1", SOCKET),
        ("sk_reuseport/migrate", REUSEPORT),
        ("lwt_xmit", LWT),
        ("netfilter", NETFILTER),
        ("freplace/f", FREPLACE),
        ("iter.s/task", ITERATOR),
        ("syscall", SYSCALL),
        ("struct_ops/init", STRUCT_OPS),
        ("", AUTO),
    ],
)
def test_a_sections_first_word_says_who_attaches_it(section: str, kind: str) -> None:
    assert kind_of(section) == kind


@pytest.mark.parametrize(
    ("text", "section", "options"),
    [
        ("tracepoint/syscalls/sys_enter_kill", "tracepoint/syscalls/sys_enter_kill", {}),
        ("xdp,dev=eth0,mode=generic", "xdp", {"dev": "eth0", "mode": "generic"}),
        ("dev=eth0", "xdp", {"dev": "eth0"}),
        ("dev=eth0,flags=0x2", "xdp", {"dev": "eth0", "flags": 2}),
        ("tc/egress,dev=2,handle=7", "tc/egress", {"dev": "2", "handle": 7, "direction": "egress"}),
        ("tc,direction=custom,parent=0x10", "tc", {"direction": "custom", "parent": 16}),
        ("uprobe//opt/a=b:f", "uprobe//opt/a=b:f", {}),
        ("xdp,dev=", "xdp", {"dev": ""}),
        ("uprobe/libc.so.6:f,pid=7", "uprobe/libc.so.6:f", {"pid": 7}),
        ("usdt,binary=/x,provider=p,name=n", "usdt",
         {"binary": "/x", "provider": "p", "name": "n"}),
        ("perf_event,type=software,config=cpu-clock,frequency=99", "perf_event",
         {"type": "software", "config": "cpu-clock", "frequency": 99}),
        ("perf_event,type=4,config=0x1a8,cpu=0", "perf_event",
         {"type": 4, "config": 424, "cpu": 0}),
        ("cgroup/skb,cgroup=a/b,direction=egress", "cgroup/skb",
         {"cgroup": "a/b", "direction": "egress"}),
        ("netfilter,pf=ipv6,hook=input,priority=-5", "netfilter",
         {"pf": "ipv6", "hook": "input", "priority": -5}),
        ("lwt_xmit,route=10.0.0.0/8,dev=v0", "lwt_xmit", {"route": "10.0.0.0/8", "dev": "v0"}),
    ],
)  # fmt: skip
def test_a_hook_is_a_section_and_options(text: str, section: str, options: dict[str, Any]) -> None:
    assert parse_hook(text, "xdp") == Hook(section, options)


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("xdp,speed=9", "has the option 'speed'", "xdp takes dev, mode, flags"),
        ("kprobe/f,dev=eth0", "has the option 'dev'", "kprobe/f takes no options"),
        ("dev=1,dev=2", "has the option 'dev' twice", ""),
        ("xdp,mode=fast", "'fast' is no XDP mode", "write generic, native, offload"),
        ("tc,direction=up", "'up' is no direction", "write ingress, egress, custom"),
        ("tc,handle=x", "handle='x' is not an integer", ""),
        ("uprobe,pid=0", "pid=0 is out of range", ""),
        ("perf_event,frequency=0", "frequency=0 is out of range", ""),
        ("netfilter,hook=early", "'early' is no hook", "write prerouting, input"),
        ("netfilter,pf=arp", "'arp' is no protocol family", "write ipv4, ipv6"),
        ("cgroup/skb,direction=custom", "'custom' is no direction", "write ingress, egress"),
        ("syscall,pid=1", "has the option 'pid'", "syscall takes no options"),
        ("tc,handle=", "handle='' is not an integer", ""),
        ("tc,priority=-1", "priority=-1 is out of range", ""),
        ("xdp,flags=4294967296", "flags=4294967296 is out of range: 0 to 4294967295", ""),
    ],
)
def test_a_bad_option_is_refused_with_what_would_do(text: str, says: str, hint: str) -> None:
    with pytest.raises(InvalidParameter, match=says) as caught:
        parse_hook(text, "xdp")
    assert hint in caught.value.hint


def program(attach: str, **extra: Any) -> ProgramSpec:
    return ProgramSpec(name="prog", attach=attach, extra=extra)


@pytest.mark.parametrize(
    ("one", "options"),
    [
        (program("tp/x", ifindex=5), {}),
        (program("xdp"), {"dev": "1", "flags": 0}),
        (program("xdp", ifindex=4, flags=2), {"dev": "4", "flags": 2}),
        (program("xdp,dev=eth0", ifindex=4), {"dev": "eth0", "flags": 0}),
        (program("tc"), {"dev": "1", "direction": "ingress", "handle": 1, "priority": 1}),
        (program("tc/egress"), {"dev": "1", "direction": "egress", "handle": 1, "priority": 1}),
        (
            program(
                "tc",
                tchook={"ifindex": 3, "attach_point": "BPF_TC_EGRESS"},
                tcopts={"handle": 2, "priority": 9},
            ),
            {"dev": "3", "direction": "egress", "handle": 2, "priority": 9},
        ),
        (
            program("tc/egress,dev=lo", tchook={"attach_point": "BPF_TC_INGRESS"}),
            {"dev": "lo", "direction": "egress", "handle": 1, "priority": 1},
        ),
        (
            program("tc", tchook="nonsense", tcopts=None),
            {"dev": "1", "direction": "ingress", "handle": 1, "priority": 1},
        ),
    ],
)
def test_a_programs_hook_is_its_section_and_the_keys_beside_it(
    one: ProgramSpec, options: dict[str, Any]
) -> None:
    assert hook_of(one).options == options


@pytest.mark.parametrize(
    ("one", "says"),
    [
        (program("xdp,speed=1"), "program prog: hook 'xdp,speed=1' has the option 'speed'"),
        (program("xdp", flags="fast"), "program prog: flags is not a number: 'fast'"),
        (program("xdp", flags=True), "flags is not a number"),
        (program("tc", tcopts={"handle": None}), "handle is not a number: None"),
        (program("tc", tcopts={"priority": -1}), "priority is not a number: -1"),
        (program("tc", tcopts={"priority": 1 << 32}), "priority is not a number"),
    ],
)
def test_metadata_with_a_bad_option_is_an_invalid_package(one: ProgramSpec, says: str) -> None:
    with pytest.raises(InvalidPackage, match=says):
        hook_of(one)


@pytest.mark.parametrize(
    ("value", "means"),
    [
        (None, None),
        ("open 1", ("open", 1)),
        ("open 20", ("open", 20)),
        ("open 1 optional", ("open", 1, "optional")),
        ({"group": "open", "rank": 2}, ("open", 2)),
        ({"group": "open", "rank": 2, "optional": True}, ("open", 2, "optional")),
    ],
)
def test_alternatives_have_a_group_and_a_rank(value: Any, means: Any) -> None:
    extra = {} if value is None else {"alternative": value}
    assert alternative_of(program("tp/x", **extra)) == means


@pytest.mark.parametrize(
    "value",
    [
        "open",
        "open x",
        "open 1 else",
        "",
        " 1",
        3,
        True,
        [],
        {},
        {"group": "a"},
        {"group": "a", "rank": True},
    ],
)
def test_what_is_no_alternative_is_an_invalid_package(value: Any) -> None:
    with pytest.raises(InvalidPackage, match=r"program prog: alternative .* is no group and rank"):
        alternative_of(program("tp/x", alternative=value))


@examples(200)
@given(st.text("xdptc/=,.?09 devmode", max_size=20), st.sampled_from(["xdp", "tc", "kprobe/f"]))
def test_any_text_gives_a_hook_or_an_error(text: str, section: str) -> None:
    with suppress(InvalidParameter):
        parse_hook(text, section)


@examples(100)
@given(JSON, JSON, JSON, st.sampled_from(["tc", "xdp"]))
def test_any_keys_give_a_hook_or_an_error(one: Any, two: Any, three: Any, attach: str) -> None:
    extra = {"tchook": one, "tcopts": two, "ifindex": three, "flags": one}
    with suppress(InvalidPackage):
        hook_of(program(attach, **extra))
    with suppress(InvalidPackage):
        hook_of(program(attach, tchook={"ifindex": one}, tcopts={"handle": two}))
