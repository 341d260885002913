"""The listings of eunomia-bpf's manuals, byte for byte, out of our own tools of the same names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ebpm.btf.encode import encode
from ebpm.btf.layout import INTEGERS
from ebpm.event import Batch, Source
from ebpm.output import clock
from ebpm.output.stream import Stream
from ebpm.output.text import Text
from ebpm.package.files import read_package
from ebpm.runtime.params import help_text
from ebpm.runtime.plan import Plan
from ebpm.runtime.planner import make_plan
from tests.conftest import ROOT, Ebpm

pytestmark = pytest.mark.needs("compiler")
LISTINGS = ROOT / "tests/data/listings"
Tools = Callable[[str], Path]


def plan_of(folder: Path) -> Plan:
    package = read_package(folder / "package.json")
    return make_plan(package, package.objects[0])


def listing(name: str) -> str:
    return (LISTINGS / f"{name}.txt").read_text()


def source_of(plan: Plan) -> Source:
    (one,) = plan.sources
    unit = one.sample.unit if one.sample else ""
    return Source(one.name, one.layout, one.form, unit)


def printed(source: Source, records: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch) -> str:
    """Print records, each at its time of day."""
    reader, writer = os.pipe()
    text = Text(Stream(writer))
    assert source.layout is not None
    for at, value in records:
        monkeypatch.setattr(clock.time, "strftime", lambda _form, at=at: at)
        data = encode(source.layout, value)
        text.write(Batch(source, data, 0, len(data), len(data), 1))
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as file:
        return file.read()


@pytest.mark.parametrize("tool", ["opensnoop", "bootstrap", "sigsnoop"])
def test_a_table_is_the_manuals(tools: Tools, tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of(plan_of(tools(tool)))
    assert source.layout is not None
    names = [member.name for member in source.layout.members]
    numbers = {one.name for one in source.layout.members if one.layout.kind in INTEGERS}
    records = []
    for row in listing(tool).splitlines()[1:]:
        at, *cells = row.split()
        if tool == "bootstrap" and len(cells) < len(names):
            cells.insert(names.index("filename"), "")
        fields = dict(zip(names, cells, strict=True))
        records.append((at, {name: int(x) if name in numbers else x for name, x in fields.items()}))
    assert printed(source, records, monkeypatch) == listing(tool)


def test_a_histogram_is_the_manuals(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of(plan_of(tools("runqlat")))
    counts = [int(one) for one in re.findall(r": (\d+) +\|", listing("runqlat"))]
    value = {"slots": counts, "comm": "rcu_preempt"}
    assert source.layout is not None
    key = source.layout.members[0].layout.members[0].name
    entry = {"key": {key: 4294967295}, "value": value}
    assert printed(source, [("00:00:00", entry)], monkeypatch) == listing("runqlat") + "\n"


SEND = "import socket as s; a = s.socket(2, 2); a.sendto(bytes(51), ('127.0.0.1', 9))"


@pytest.mark.needs("bpf", "netns")
def test_a_packets_line_is_the_manuals(tools: Tools) -> None:
    """The kernel writes these lines; since 5.9 with another word before the message."""
    tool = tools("tc") / "package.json"
    run = f"{sys.executable} -m ebpm run -c 1 -d 20s {tool}"
    script = f'ip link set lo up; (sleep 2; {sys.executable} -c "{SEND}") & {run}'
    command = ["unshare", "--net", "sh", "-c", script]
    out = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    line = re.compile(r" *\S+-\d+ +\[\d{3}\] \S+ +\d+\.\d{6}: (0|bpf_trace_printk): (.*)\n")
    found, manual = line.fullmatch(out), line.match(listing("tc"))
    assert found
    assert manual
    assert found[2] == manual[2]
    assert out.index("[") == listing("tc").index("[")


@pytest.mark.parametrize("tool", ["opensnoop", "runqlat"])
def test_a_help_is_the_manuals(ebpm: Ebpm, tmp_path: Path, tool: str) -> None:
    """Out of sources with the variables that the manuals' had."""
    ebpm.run("build", LISTINGS / f"{tool}.bpf.c", "-o", tmp_path)
    lines = listing(f"{tool}-help").splitlines()
    end = lines.index("Built with eunomia-bpf framework.") - 1  # which this is not
    shown = help_text(plan_of(tmp_path)).splitlines()
    assert shown == [line.rstrip() for line in lines[:end]]
