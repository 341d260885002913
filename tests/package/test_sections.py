"""Sections as libbpf reads them, and what may move where."""

from __future__ import annotations

import ctypes

import pytest

from ebpm.errors import InvalidParameter
from ebpm.package.sections import _ROWS, SLEEPABLE, XDP_FRAGS, Retype, find_section, retype


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("tracepoint/syscalls/sys_enter_kill", ("tracepoint", 5, 0, 0, "syscalls/sys_enter_kill")),
        ("?tp/sched/sched_switch", ("tp", 5, 0, 0, "sched/sched_switch")),
        ("uprobe//usr/bin/bash:readline", ("uprobe", 2, 0, 0, "/usr/bin/bash:readline")),
        ("uprobe.s/libc.so.6:malloc", ("uprobe.s", 2, 0, SLEEPABLE, "libc.so.6:malloc")),
        ("kprobe", ("kprobe", 2, 0, 0, "")),
        ("fentry.s/f", ("fentry.s", 26, 24, SLEEPABLE, "f")),
        ("tp_btf/sched_switch", ("tp_btf", 26, 23, 0, "sched_switch")),
        ("xdp", ("xdp", 6, 37, 0, "")),
        ("xdp.frags", ("xdp.frags", 6, 37, XDP_FRAGS, "")),
        ("xdp.frags/devmap", ("xdp.frags/devmap", 6, 33, XDP_FRAGS, "")),
        ("tc/egress", ("tc/egress", 3, 47, 0, "")),
        ("cgroup/connect4", ("cgroup/connect4", 18, 10, 0, "")),
        ("syscall", ("syscall", 31, 0, SLEEPABLE, "")),
        ("uprobe.multi.s/x:f*", ("uprobe.multi.s", 2, 48, SLEEPABLE, "x:f*")),
    ],
)
def test_a_section_has_a_type(name: str, kind: tuple[str, int, int, int, str]) -> None:
    found = find_section(name)
    assert found is not None
    assert (found.word, found.type, found.attach_type, found.flags, found.target) == kind


@pytest.mark.parametrize("name", ["", "socket1", "xdp/mine", "tracepoints/a/b", "kprobes", "/x"])
def test_a_section_that_libbpf_does_not_know_has_none(name: str) -> None:
    assert find_section(name) is None


@pytest.mark.needs("native")
def test_the_table_is_libbpfs() -> None:
    """Each row, with a target where it takes one, against libbpf's own function."""
    from ebpm.runtime.libbpf.binding import Libbpf

    library = ctypes.CDLL(Libbpf().path)
    compared = 0
    for word in _ROWS:
        for name in (word, f"{word}.s", word.replace("xdp", "xdp.frags", 1)):
            found = find_section(name)
            kind, attach = ctypes.c_int(), ctypes.c_int()
            status = library.libbpf_prog_type_by_name(
                name.encode(), ctypes.byref(kind), ctypes.byref(attach)
            )
            if found is not None and status == 0:
                assert (found.type, found.attach_type) == (kind.value, attach.value), name
                compared += 1
    assert compared >= len(_ROWS)


@pytest.mark.parametrize(
    ("origin", "section", "told"),
    [
        ("tp/a/b", "tp/a/b", None),
        ("?tp/a/b", "tp/a/b", None),
        ("tp/a/b", "tp/c/d", Retype()),
        ("tp/a/b", "tracepoint/c/d", Retype(type=5)),
        ("tp_btf/a", "tp_btf/b", Retype(target="b")),
        ("fentry/a", "fexit/b", Retype(type=26, attach_type=25, target="b")),
        ("fentry/a", "fentry.s/a", Retype(type=26, attach_type=24, flags=SLEEPABLE, target="a")),
        ("kprobe/a", "uprobe/b:c", Retype(type=2)),
        ("kprobe/a", "kprobe.multi/a*", Retype(type=2, attach_type=42)),
        ("usdt/a:b:c", "usdt/a:b:d", Retype()),
        ("freplace/a", "freplace/b", Retype()),
        ("tc", "tc/egress", Retype(type=3, attach_type=47)),
        ("xdp", "xdp.frags", Retype(type=6, attach_type=37, flags=XDP_FRAGS)),
        ("cgroup/connect4", "cgroup/connect6", Retype(type=18, attach_type=11)),
        ("socket1", "socket", Retype(type=1)),
    ],
)
def test_what_libbpf_is_told_of_a_move(origin: str, section: str, told: Retype | None) -> None:
    assert retype(origin, section) == told


@pytest.mark.parametrize(
    ("origin", "section", "why"),
    [
        ("tracepoint/a/b", "xdp", "the record of a tracepoint, and would be given a packet before"),
        ("xdp", "tc", "would be given a packet (struct __sk_buff)"),
        ("xdp", "xdp/devmap", "a device map's entry"),
        ("tp/a/b", "raw_tp/b", "would be given the raw arguments of a tracepoint"),
        ("raw_tp/b", "tp_btf/b", "the typed arguments of a tracepoint"),
        ("tp_btf/a", "fentry/a", "the typed arguments of a kernel function"),
        ("usdt/a:b:c", "uprobe/a:b", "which its section describes"),
        ("cgroup/connect4", "cgroup/sock", "an address of a socket"),
        ("struct_ops/a", "kprobe/a", "a function of its struct_ops"),
        ("tp/a/b", "traceponit/a/b", "libbpf knows no section 'traceponit/a/b'"),
    ],
)
def test_a_program_that_cannot_move_says_why(origin: str, section: str, why: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        retype(origin, section)
    assert why in caught.value.message


def test_a_section_that_is_nearly_right_is_suggested() -> None:
    with pytest.raises(InvalidParameter) as caught:
        retype("tp/a/b", "traceponit/a/b")
    assert caught.value.hint == "did you mean tracepoint?"
