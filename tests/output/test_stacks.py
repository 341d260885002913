"""Stack traces as text, JSON, folded lines and flame graphs."""

from __future__ import annotations

import json
import re
import struct
import xml.etree.ElementTree as ET
from collections.abc import Sequence

import pytest

from ebpm.btf import layout as kinds
from ebpm.btf.layout import Layout
from ebpm.event import ENTRIES, Source, StackFields
from ebpm.output.flamegraph import flamegraph
from ebpm.output.folded import Folded, folded_text
from ebpm.output.stacks import StackLines, StackText
from ebpm.output.text import Text
from ebpm.symbols.frame import Frame
from tests.output.test_sinks import COMM, INT, U64, Pipe, batch_of, struct_of

STACK = Layout(kinds.ARRAY, "", 24, count=3, element=U64)
EVENT = struct_of(
    ("pid", INT),
    ("cpu_id", INT),
    ("comm", COMM),
    ("kstack_sz", INT),
    ("ustack_sz", INT),
    ("kstack", STACK),
    ("ustack", STACK),
)
NAMES = {name: name for name in ("pid", "cpu_id", "comm", "kstack_sz", "ustack_sz")} | {
    "kstack": "kstack",
    "ustack": "ustack",
}


class Table:
    """Names by address, and nothing else."""

    def __init__(self, **names: str) -> None:
        self.asked: list[tuple[int, list[int]]] = []

    def kernel(self, addresses: Sequence[int]) -> list[Frame]:
        return [Frame(one, f"k{one & 0xFF}", 0x10, "[kernel]") for one in addresses]

    def user(self, pid: int, addresses: Sequence[int]) -> list[Frame]:
        self.asked.append((pid, list(addresses)))
        frames = [
            Frame(1, "a<b>(int)", 0x2A, "/bin/x", 0x1000, "abcd"),
            Frame(2, None, None, "/bin/x", 0x77),
            Frame(3),
        ]
        return [one for one in frames if one.address in addresses]


def record(kernel: int, user: int, stack: tuple[int, ...] = (1, 2, 3)) -> bytes:
    addresses = (0xFFFFFFFF81000001, 0xFFFFFFFF81000002, 0xFFFFFFFF81000003)
    return struct.pack("=ii16sii3Q3Q", 812, 1, b"bash", kernel, user, *addresses, *stack)


def source(**fields: object) -> Source:
    stack = StackFields(NAMES, **{"symbols": True, "frames": None, **fields})  # type: ignore[arg-type]
    return Source("events", EVENT, stack=stack)


def text(*records: bytes, of: Source | None = None) -> str:
    pipe = Pipe()
    StackText(pipe, Table()).write(batch_of(of or source(), *records))
    return pipe.text()


def test_a_record_is_a_line_and_its_two_stacks() -> None:
    assert text(record(16, 24)) == (
        "COMM: bash (pid=812) @ CPU 1\n"
        "Kernel:\n"
        "  0 [<ffffffff81000001>] k1+0x10\n"
        "  1 [<ffffffff81000002>] k2+0x10\n"
        "Userspace:\n"
        "  0 [<0000000000000001>] a<b>(int)+0x2a\n"
        "  1 [<0000000000000002>] /bin/x+0x77\n"
        "  2 [<0000000000000003>]\n"
        "\n"
    )


@pytest.mark.parametrize("size", [0, -14, 7])
def test_a_stack_without_a_frame_is_none(size: int) -> None:
    assert text(record(8, size)) == (
        "COMM: bash (pid=812) @ CPU 1\n"
        "Kernel:\n  0 [<ffffffff81000001>] k1+0x10\nNo Userspace Stack\n\n"
    )
    assert "No Kernel Stack\nUserspace:\n  0 " in text(record(size, 8))


def test_a_record_without_any_stack_is_left_out() -> None:
    assert text(record(0, 0), record(-1, -1)) == ""


def test_addresses_need_not_be_named() -> None:
    plain = text(record(8, 8), of=source(symbols=False))
    assert "  0 [<ffffffff81000001>]\n" in plain
    assert "  0 [<0000000000000001>]\n" in plain


def test_a_size_beyond_the_array_is_the_array() -> None:
    assert len(re.findall(r"\[<ff", text(record(4096, 0)))) == 3


def test_names_cannot_play_with_the_terminal() -> None:
    class Evil(Table):
        def kernel(self, addresses: Sequence[int]) -> list[Frame]:
            return [Frame(1, "\x1b[2J", 0)]

    pipe = Pipe()
    StackText(pipe, Evil()).write(batch_of(source(), record(8, 0)))
    assert "\x1b" not in pipe.text()


def test_in_json_the_frames_stand_where_the_addresses_were() -> None:
    pipe = Pipe()
    StackLines(pipe, Table(), named=False).write(batch_of(source(), record(8, 16), record(0, 0)))
    (line,) = pipe.text().splitlines()
    found = json.loads(line)
    assert (found["pid"], found["comm"], found["kstack_sz"]) == (812, "bash", 8)
    assert found["kstack"] == [
        {"address": 0xFFFFFFFF81000001, "symbol": "k1", "offset": 16, "module": "[kernel]"}
    ]
    assert found["ustack"] == [
        {
            "address": 1,
            "symbol": "a<b>(int)",
            "offset": 42,
            "module": "/bin/x",
            "module_offset": 4096,
            "build_id": "abcd",
        },
        {"address": 2, "module": "/bin/x", "module_offset": 119},
    ]


def test_in_json_the_source_and_the_time_stand_beside_the_fields() -> None:
    pipe = Pipe()
    StackLines(pipe, Table(), named=True, timestamps=True).write(batch_of(source(), record(8, 0)))
    found = json.loads(pipe.text())
    assert set(found) == {"fields", "source", "time"}


def test_a_table_gets_its_header_again_after_a_stack() -> None:
    pipe = Pipe()
    sink = Text(pipe, stacks=StackText(pipe, Table()))
    rows = Source("rows", struct_of(("x", U64)))
    for _ in range(2):
        sink.write(batch_of(rows, bytes(8)))
        sink.write(batch_of(source(), record(8, 0)))
    assert pipe.text().count("TIME     X") == 2


# --- ids of a stack map --------------------------------------------------------------------------

ENTRY = struct_of(
    ("key", struct_of(("pid", INT), ("kernel_stack_id", INT), ("name", COMM))),
    ("value", struct_of(("total", U64), ("count", U64))),
)
STACKS = {7: [1, 2, 3], 8: []}


def entries(*, adds: bool) -> Source:
    names = {"pid": "pid", "kstack": "kernel_stack_id", "comm": "name"}
    stack = StackFields(names, symbols=True, frames=lambda one: STACKS[one], adds=adds)
    return Source("counts", ENTRY, ENTRIES, stack=stack)


def entry(number: int, count: int) -> bytes:
    return struct.pack("=ii16sQQ", 5, number, b"sh", 99, count)


def test_ids_are_looked_up_and_values_come_after_the_stacks() -> None:
    assert text(entry(7, 4), of=entries(adds=True)) == (
        "COMM: sh (pid=5)\n"
        "Kernel:\n"
        "  0 [<0000000000000001>] k1+0x10\n"
        "  1 [<0000000000000002>] k2+0x10\n"
        "  2 [<0000000000000003>] k3+0x10\n"
        "No Userspace Stack\n"
        "total = 99\n"
        "count = 4\n"
        "\n"
    )


@pytest.mark.parametrize("number", [-14, -17, 8])
def test_an_id_that_is_an_error_or_gone_is_no_stack(number: int) -> None:
    assert text(entry(number, 4), of=entries(adds=True)) == ""


def test_in_json_an_entry_keeps_its_parts() -> None:
    pipe = Pipe()
    StackLines(pipe, Table(), named=False).write(batch_of(entries(adds=True), entry(7, 4)))
    found = json.loads(pipe.text())
    assert found["value"] == {"count": 4, "total": 99}
    assert [one["symbol"] for one in found["key"]["kernel_stack_id"]] == ["k1", "k2", "k3"]


def test_members_of_one_name_in_key_and_value_are_not_mixed_up() -> None:
    layout = struct_of(
        ("key", struct_of(("kernel_stack_id", INT), ("pid", INT))),
        ("value", struct_of(("pid", INT), ("kernel_stack_id", INT))),
    )
    names = {"pid": "pid", "kstack": "kernel_stack_id"}
    stack = StackFields(names, symbols=True, frames=lambda one: STACKS[one])
    source = Source("counts", layout, ENTRIES, stack=stack)
    data = struct.pack("=iiii", 7, 1, 2, 3)
    pipe = Pipe()
    StackLines(pipe, Table(), named=False).write(batch_of(source, data))
    found = json.loads(pipe.text())
    assert (found["key"]["pid"], found["value"]) == (1, {"pid": 2, "kernel_stack_id": 3})
    assert len(found["key"]["kernel_stack_id"]) == 3
    assert text(data, of=source).endswith("pid = 2\nkernel_stack_id = 3\n\n")


# --- folded --------------------------------------------------------------------------------------


def test_events_are_counted_by_their_stacks_outermost_first() -> None:
    folded = Folded(Table())
    for _ in range(2):
        folded.write(batch_of(source(), record(16, 24), record(0, 0)))
    folded.write(batch_of(source(), record(8, 0)))
    assert folded_text(folded.totals()) == (
        "bash;[3];[x+0x77];a<b>(int);k2_[k];k1_[k] 2\nbash;k1_[k] 1\n"
    )


@pytest.mark.parametrize(("adds", "total"), [(True, 9), (False, 5)])
def test_a_map_that_is_not_cleared_counts_as_it_stands_last(adds: bool, total: int) -> None:
    folded, counts = Folded(Table()), entries(adds=adds)
    folded.write(batch_of(counts, entry(7, 4)))
    folded.write(batch_of(counts, entry(7, 5)))
    assert folded.totals() == {"sh;k3_[k];k2_[k];k1_[k]": total}


def test_what_separates_frames_is_no_part_of_a_name() -> None:
    class Odd(Table):
        def kernel(self, addresses: Sequence[int]) -> list[Frame]:
            return [Frame(1, "a;b\nc", 0)]

    folded = Folded(Odd())
    folded.write(batch_of(source(), record(8, 0)))
    assert list(folded.totals()) == ["bash;a:b\\nc_[k]"]


def test_the_number_of_stacks_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ebpm.output.folded._MOST", 1)
    folded = Folded(Table())
    folded.write(batch_of(source(), record(8, 0), record(16, 0), record(24, 0)))
    assert folded.totals() == {"[more stacks than are kept]": 2, "bash;k1_[k]": 1}


# --- flame graphs --------------------------------------------------------------------------------

SVG = "{http://www.w3.org/2000/svg}"


def boxes(drawing: str) -> dict[str, tuple[float, float, float]]:
    """Give the left edge, the top and the width of each frame by its title."""
    found = {}
    for group in ET.fromstring(drawing).iter(f"{SVG}g"):
        title, rect = group.find(f"{SVG}title"), group.find(f"{SVG}rect")
        assert title is not None
        assert rect is not None
        places = [float(rect.attrib[key]) for key in ("x", "y", "width")]
        found[str(title.text)] = (places[0], places[1], places[2])
    return found


def test_frames_lie_on_their_callers_and_are_as_wide_as_they_are_frequent() -> None:
    found = boxes(flamegraph({"sh;main;a": 3, "sh;main;b": 1}, "tool"))
    assert set(found) == {
        *("all: 4 (100.00 %)", "sh: 4 (100.00 %)", "main: 4 (100.00 %)"),
        *("a: 3 (75.00 %)", "b: 1 (25.00 %)"),
    }
    a, b = found["a: 3 (75.00 %)"], found["b: 1 (25.00 %)"]
    main = found["main: 4 (100.00 %)"]
    assert a[2] == pytest.approx(3 * b[2], abs=0.2)
    assert a[2] + b[2] == pytest.approx(main[2], abs=0.2)
    assert a[1] == b[1] == main[1] - 16
    assert b[0] == pytest.approx(a[0] + a[2], abs=0.2)


def test_a_drawing_is_xml_whatever_names_are_in_it() -> None:
    name = "a<b>&\"'\x00\x1b\ud800\ufffe"
    drawing = flamegraph({f"sh;{name}": 1}, f"<{name}>")
    drawing.encode()
    assert any(one.startswith("a<b>&\"'") for one in boxes(drawing))
    assert "script" not in drawing


def test_nothing_counted_is_an_empty_drawing() -> None:
    assert boxes(flamegraph({}, "tool")) == {}
