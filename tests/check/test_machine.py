"""What doctor tells of machines, most of them made of files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ebpm.check.machine import LIMITED, MISSING, OK, UNKNOWN, Finding, examine
from tests.conftest import Ebpm


def machine(root: Path, **files: str) -> dict[str, Finding]:
    """Make a machine of files, their names with __ for /, and look at it."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return {one.part: one for one in examine("/nowhere/libbpf.so", str(root))}


def test_a_machine_that_has_nothing_has_a_remedy_for_each_part(work: Path) -> None:
    found = machine(work)
    for name, one in found.items():
        if name not in ("kernel", "capabilities"):
            assert one.state != OK, name
            assert one.remedy, name
    assert (found["libbpf"].state, found["BTF"].state) == (MISSING, MISSING)
    assert (found["lockdown"].state, found["lsm list"].state) == (UNKNOWN, UNKNOWN)


@pytest.mark.parametrize(
    ("mode", "state"),
    [
        ("[none] integrity confidentiality", OK),
        ("none [integrity] confidentiality", LIMITED),
        ("none integrity [confidentiality]", MISSING),
    ],
)
def test_lockdown(work: Path, mode: str, state: str) -> None:
    assert machine(work, sys__kernel__security__lockdown=mode)["lockdown"].state == state


def test_lsm_programs_need_bpf_in_the_list_and_the_remedy_is_the_whole_list(work: Path) -> None:
    found = machine(work, sys__kernel__security__lsm="lockdown,yama")["lsm list"]
    assert found.state == LIMITED
    assert "lsm=lockdown,yama,bpf" in (found.remedy or "")
    assert machine(work, sys__kernel__security__lsm="yama,bpf")["lsm list"].state == OK


def test_parts_that_are_there(work: Path) -> None:
    devices = "sys__bus__event_source__devices"
    found = machine(
        work,
        sys__kernel__btf__vmlinux="x",
        sys__kernel__tracing__events__header_page="x",
        proc__self__mounts="bpf /sys/fs/bpf bpf rw 0 0\ncgroup2 /cg cgroup2 rw 0 0\n",
        **{f"{devices}__{one}__type": "6" for one in ("kprobe", "uprobe", "cpu")},
    )
    for name in ("BTF", "tracefs", "probes", "PMU", "bpffs", "cgroup2"):
        assert found[name].state == OK, name
    assert found["cgroup2"].found == "/cg"


@pytest.mark.needs("bpf")
def test_this_machine_has_what_every_tool_needs(ebpm: Ebpm) -> None:
    document = json.loads(ebpm.run("doctor", "--json").stdout)
    assert document["ok"] is True
    states = {one["part"]: one["state"] for one in document["parts"]}
    assert states["libbpf"] == states["BTF"] == states["tracefs"] == OK


@pytest.mark.needs("rows")
def test_it_says_who_writes_the_rows_of_busy_tools(
    ebpm: Ebpm, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "ok rows           a busy tool's are written by C\n" in ebpm.run("doctor").stdout
    monkeypatch.setenv("EBPM_PURE", "1")
    assert "written by Python: EBPM_PURE is set\n" in ebpm.run("doctor").stdout


def test_without_libbpf_it_says_so_and_ends_with_the_status_of_a_missing_feature(
    ebpm: Ebpm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EBPM_LIBBPF", "/nowhere/libbpf.so")
    out = ebpm.run("doctor", check=9).stdout
    assert "!! libbpf" in out
