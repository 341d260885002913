"""Lines of bpf_printk: which are whose, and that nobody loses any."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ebpm.package.model import Package
from ebpm.runtime import printk
from ebpm.runtime.planner import make_plan
from ebpm.runtime.printk import PrintkReader, line_pattern
from ebpm.runtime.session import Session

Build = Callable[[str], Package]
INSTANCES = Path("/sys/kernel/tracing/instances")


@pytest.mark.parametrize(
    ("form", "line", "fits"),
    [
        ("pid %d", "pid 12", True),
        ("pid %d", "pid -12", True),
        ("pid %d", "pid x", False),
        ("pid %d", "a pid 12", False),
        ("%5d|%-5u|", "   12|7    |", True),
        ("%x %#llx %X", "ff 0x1f AB", True),
        ("%lx", "xyz", False),
        ("100%% of %s", "100% of it", True),
        ("%s", "anything at all\nand more", True),
        ("%pI4 %p %pks!", "127.0.0.1 00000000abcd text!", True),
        ("a.c", "abc", False),
        ("%c%c", "ab", True),
        ("%d items", "3 items", True),
        ("", "", True),
        ("", "x", False),
    ],
)
def test_a_line_fits_the_format_that_it_may_come_from(form: str, line: str, fits: bool) -> None:
    assert bool(line_pattern(form).fullmatch(line)) is fits


# --- what trace_pipe says ------------------------------------------------------------------------


@pytest.fixture
def pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A tracefs without instances, whose trace_pipe the test writes."""
    os.mkfifo(tmp_path / "trace_pipe")
    monkeypatch.setattr(printk, "tracefs", lambda: str(tmp_path))
    writer = os.open(tmp_path / "trace_pipe", os.O_RDWR)
    yield writer
    os.close(writer)


def messages(reader: PrintkReader) -> list[tuple[object, object, object]]:
    return [
        (event.fields["comm"], event.fields["pid"], event.fields["message"])
        for batch in reader.read()
        for event in batch.events()
    ]


def test_lines_are_cut_into_their_parts(pipe: int) -> None:
    reader = PrintkReader(None)
    assert reader.consuming
    os.write(
        pipe,
        b"            bash-812     [001] ...21  6021.123456: bpf_trace_printk: hello\n"
        b"  a b-c-7       [000] d..3.  6021.2: bpf_trace_printk: two\n"
        b"lines\n"
        b"CPU:1 [LOST 12 EVENTS]\n"
        b"           <...>-99      [000] ...1  1.0: bpf_trace_printk: \xff\n"
        b"          python-1 [000] ..... 1.0: unfin",
    )
    assert messages(reader) == [
        ("bash", 812, "hello"),
        ("a b-c", 7, "two\nlines"),
        ("<...>", 99, "\ufffd"),
    ]
    assert reader.lost == 12
    os.write(pipe, b"ished: x\n   sh-5 [000] ..... 1.0: bpf_trace_printk: next\n")
    assert messages(reader) == [("sh", 5, "next")]
    reader.close()


def test_only_lines_that_fit_a_format_are_ours(pipe: int) -> None:
    reader = PrintkReader(["mine %d"])
    for text in ("mine 1", "yours 1", "mine x"):
        os.write(pipe, f"  sh-5 [000] ..... 1.0: bpf_trace_printk: {text}\n".encode())
    assert messages(reader) == [("sh", 5, "mine 1")]
    reader.close()


# --- on this kernel ------------------------------------------------------------------------------


def session(package: Package) -> Session:
    plan, data = make_plan(package, package.objects[0]), package.objects[0].data
    return Session(plan, data, {"target_pid": os.getpid()})


def call(number: int) -> None:
    try:
        os.getpgid(number)
    except ProcessLookupError:
        pass


def wait_for(session: Session, count: int) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    end = time.monotonic() + 5
    while len(found) < count and time.monotonic() < end:
        found += [event.fields for batch in session.batches(0.2) for event in batch.events()]
    return found


@pytest.mark.needs("compiler", "bpf")
def test_a_tool_that_only_prints_has_its_lines_for_events(program: Build) -> None:
    with session(program("prints")) as running:
        assert running.printk_trouble is None
        call(4194000)
        found = wait_for(running, 3)
    assert [one["message"] for one in found] == [
        f"getpgid(4194000) by {Path('/proc/self/comm').read_text().strip()}",
        "four: -1 2 ab 10000000000",
        "on the stack: 7",
    ]
    assert {one["pid"] for one in found} == {os.getpid()}


@pytest.mark.needs("compiler", "bpf")
def test_the_lines_of_another_tool_are_not_shown_and_not_taken_from_it(program: Build) -> None:
    mine = program("prints")
    data = mine.objects[0].data
    other = replace(
        mine, objects=(replace(mine.objects[0], data=data.replace(b"four:", b"FOUR:")),)
    )
    with session(mine) as first, session(other) as second:
        call(4194001)
        ours, theirs = wait_for(first, 5), wait_for(second, 5)
    for found, word in ((ours, "four:"), (theirs, "FOUR:")):
        lines = [str(one["message"]) for one in found]
        assert sum(line.startswith(word) for line in lines) == 1
        assert sum(line.lower().startswith("four") for line in lines) == 1
        assert sum(line.startswith("getpgid(4194001)") for line in lines) == 2  # both print it


@pytest.mark.needs("compiler", "bpf")
def test_no_instance_is_left_and_those_of_dead_processes_are_removed(program: Build) -> None:

    dead = INSTANCES / "ebpm-4194303-1"
    dead.mkdir()
    with session(program("prints")):
        assert not dead.exists()
        assert any(one.name.startswith(f"ebpm-{os.getpid()}-") for one in INSTANCES.iterdir())
    assert not any(one.name.startswith(f"ebpm-{os.getpid()}-") for one in INSTANCES.iterdir())


@pytest.mark.needs("compiler")
def test_a_tool_that_reports_otherwise_as_well_prints_for_its_author(program: Build) -> None:
    package = program("streams")
    assert make_plan(package, package.objects[0]).printk is False
