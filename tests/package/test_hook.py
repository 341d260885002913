"""Hooks: the grammar of docs/spec/hooks.md, and eunomia-bpf's keys beside a section."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpm.errors import InvalidPackage, InvalidParameter
from ebpm.package.hook import AUTO, TC, XDP, Hook, hook_of, kind_of, parse_hook
from ebpm.package.model import ProgramSpec
from tests.strategies import JSON, examples


@pytest.mark.parametrize(
    ("section", "kind"),
    [
        ("tracepoint/syscalls/sys_enter_kill", AUTO),
        ("kprobe/do_unlinkat", AUTO),
        ("uprobe//usr/bin/bash:readline", AUTO),
        ("xdp", XDP),
        ("xdp.frags", XDP),
        ("?xdp", XDP),
        ("xdp/my_prog", XDP),
        ("xdp_devmap", AUTO),
        ("xdp_cpumap/entry", AUTO),
        ("xdp/devmap", AUTO),
        ("xdp.frags/cpumap", AUTO),
        ("tc", TC),
        ("?tc/egress", TC),
        ("classifier/ingress", TC),
        ("action", TC),
        ("tcx/ingress", AUTO),
        ("tcp_congestion", AUTO),
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
        ("tc/egress,dev=2,handle=7", "tc/egress", {"dev": "2", "handle": 7}),
        ("tc,direction=custom,parent=0x10", "tc", {"direction": "custom", "parent": 16}),
        ("uprobe//opt/a=b:f", "uprobe//opt/a=b:f", {}),
        ("xdp,dev=", "xdp", {"dev": ""}),
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
            {"dev": "lo", "direction": "ingress", "handle": 1, "priority": 1},
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
