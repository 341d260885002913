"""Lines that C writes: the plain cases are its own, the rest is left, and nothing leads it astray.

That it says what decoding says is tested beside the generated formatters (test_generated).
"""

from __future__ import annotations

import ctypes
import random
import socket
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpm.btf import layout as kinds
from ebpm.btf.layout import Layout, Member
from ebpm.btf.numbers import number_text
from ebpm.event import Batch, Source
from ebpm.output import busy, rows
from ebpm.output.busy import Writer
from ebpm.output.jsonl import JsonLines
from ebpm.output.rows import NotWritten, Rows
from ebpm.output.style import Style
from ebpm.output.table import Table, value_text
from tests.output.test_generated import Memory, batch_of, check
from tests.output.test_sinks import BOOL, COMM, DOUBLE, INT, MODE, U64, struct_of
from tests.strategies import examples

pytestmark = pytest.mark.needs("rows")
BYTE = Layout(kinds.INT, "u8", 1)
ADDRESS = Layout(kinds.ADDRESS, "ebpm_ip", 16)
POINTER = Layout(kinds.POINTER, "", 8)
SIGNED = Layout(kinds.ENUM, "signed", 1, signed=True, values={-1: "LESS", 0: "NONE", 5: "MORE"})
EVENT = struct_of(("a", INT), ("comm", COMM), ("b", BYTE), ("c", INT))


def style_of(layout: Layout) -> Style:
    """The style of lines as bare as they can be: cells with a space in front."""
    count = len(layout.members)
    places = [0] * count
    return Style(list(layout.members), value_text, lambda _: [" "] * count + [""], places)


def lines_of(layout: Layout, records: list[bytes]) -> list[str | int]:
    """What C writes of a batch, line by line, and the numbers of the records that it leaves."""
    found: list[str | int] = []
    size = max(layout.size, *map(len, records))
    for piece in Rows(style_of(layout)).lines(
        batch_of(Source("e", layout), records, size), "", "\n"
    ):
        found += [piece] if isinstance(piece, int) else bytes(piece).decode().splitlines()
    return found


def numbers(text: str) -> list[int]:
    return [int(word) for word in text.split()]


@examples(200)
@given(st.integers(-(1 << 63), (1 << 64) - 1), st.booleans())
def test_every_integer_is_written(value: int, signed: bool) -> None:
    parts = [Layout(kinds.INT, f"i{size}", size, signed=signed) for size in (1, 2, 4, 8)]
    layout = struct_of(*((f"m{part.size}", part) for part in parts))
    record = b"".join(
        (value & (1 << 8 * size) - 1).to_bytes(size, "little") for size in (1, 2, 4, 8)
    )
    (line,) = lines_of(layout, [record])
    wanted = struct.unpack("=bhiq" if signed else "=BHIQ", record)
    assert numbers(str(line)) == list(wanted)


@pytest.mark.parametrize("edge", [10**n + d for n in range(20) for d in (-1, 0)])
def test_numbers_of_each_length(edge: int) -> None:
    layout = struct_of(("a", U64), ("b", U64))
    assert lines_of(layout, [struct.pack("=QQ", edge, 7)]) == [f" {edge} 7"]


def test_kinds_that_it_writes_itself() -> None:
    layout = struct_of(
        ("flag", BOOL), ("mode", MODE), ("less", SIGNED), ("ip", ADDRESS), ("at", POINTER)
    )
    v4 = bytes(10) + b"\xff\xff\x7f\x00\x00\x01"
    records = [
        struct.pack("=?Ib16sQ", True, 1, -1, v4, 1 << 63),
        struct.pack("=?Ib16sQ", False, 1, 5, v4[:-4] + b"\xff" * 4, 0),
    ]
    assert lines_of(layout, records) == [
        f" true FAST(1) LESS(-1) 127.0.0.1 {1 << 63}",
        " false FAST(1) MORE(5) 255.255.255.255 0",
    ]
    check(layout, records)


def test_numbers_that_have_names() -> None:
    layout = struct_of(
        ("call", Layout(kinds.SYSCALL, "ebpm_syscall", 4, signed=True)),
        ("sig", Layout(kinds.SIGNAL, "ebpm_signal", 1)),
        ("error", Layout(kinds.ERRNO, "ebpm_errno", 8)),
        ("ret", Layout(kinds.RESULT, "ebpm_result", 2, signed=True)),
    )
    numbers = [-1, 0, 1, 2, 3, 15, 64, 65, 257, 512, 524, 10_000, *range(300, 400, 7)]
    records = [struct.pack("=iBQh", one, one & 0xFF, one & (1 << 64) - 1, -one) for one in numbers]
    assert all(isinstance(line, str) for line in lines_of(layout, records))
    for line, one in zip(lines_of(layout, records), numbers, strict=True):
        cells = str(line).split()
        assert cells[0] == number_text(kinds.SYSCALL, one)
        assert cells[3] == number_text(kinds.RESULT, -one)
    check(layout, records)
    check(Layout(kinds.STRUCT, "event", 15, members=layout.members[::-1]), records)


def test_any_bit_of_a_boolean_counts() -> None:
    wide = Layout(kinds.BOOL, "b32", 4)
    assert lines_of(struct_of(("a", wide)), [b"\0\0\0\x80", bytes(4)]) == [" true", " false"]


def test_bitfields() -> None:
    members = (
        Member("low", 0, 3, BYTE),
        Member("sign", 3, 5, INT),
        Member("mode", 8, 4, MODE),
        Member("flag", 12, 1, BOOL),
        Member("wide", 13, 51, U64),
    )
    layout = Layout(kinds.STRUCT, "e", 8, members=members)
    record = (5 | (-7 & 31) << 3 | 1 << 8 | 1 << 12 | (1 << 50 | 9) << 13).to_bytes(8, "little")
    assert lines_of(layout, [record]) == [f" 5 -7 FAST(1) true {1 << 50 | 9}"]
    check(layout, [record, bytes(8), b"\xff" * 8])


@pytest.mark.parametrize(
    "text", [b"", b"sh", b"seven..", b"eight...", b"fifteen letters", b"sixteen letters!"]
)
def test_text_up_to_its_nul_or_its_end(text: bytes) -> None:
    record = struct.pack("=i16sBi", 1, text, 2, 3)
    assert lines_of(EVENT, [record]) == [f" 1 {text.decode()} 2 3"]
    noisy = struct.pack("=i16sBi", 1, (text + b"\0" + b"\xff\x1b" * 8)[:16], 2, 3)
    assert lines_of(EVENT, [noisy]) == [f" 1 {text.decode()} 2 3"]


@pytest.mark.parametrize("byte", [1, 9, 10, 13, 27, 31, 127, 128, 0xC3, 255])
@pytest.mark.parametrize("place", [0, 3, 7, 8, 15])
def test_text_that_is_not_plain_is_left_to_others(byte: int, place: int) -> None:
    text = b"x" * place + bytes([byte]) + b"y" * (15 - place)
    plain = struct.pack("=i16sBi", 1, b"ok", 2, 3)
    records = [plain, struct.pack("=i16sBi", 1, text, 2, 3), plain]
    assert lines_of(EVENT, records) == [" 1 ok 2 3", 1, " 1 ok 2 3"]
    check(EVENT, records)


@pytest.mark.parametrize("name", [b'say "hi"', b"back\\slash", b"{} 100%"])
def test_quotation_marks_in_json(name: bytes) -> None:
    check(EVENT, [struct.pack("=i16sBi", n, name, 2, 3) for n in range(4)])


def test_what_only_decoding_knows_is_left_to_others() -> None:
    records = [struct.pack("=I", one) for one in (1, 2, 1)]
    assert lines_of(struct_of(("mode", MODE)), records) == [" FAST(1)", 1, " FAST(1)"]


@examples(100)
@given(st.lists(st.sampled_from([0, 0, 1, 0x20, 0xFF]), min_size=16, max_size=16))
def test_addresses(raw: list[int]) -> None:
    wanted = socket.inet_ntop(socket.AF_INET6, bytes(raw))
    v4 = raw[:10] == [0] * 10 and raw[10:12] == [0xFF, 0xFF]
    assert lines_of(struct_of(("ip", ADDRESS)), [bytes(raw)]) == [
        " " + (socket.inet_ntop(socket.AF_INET, bytes(raw[12:])) if v4 else wanted)
    ]
    longest = bytes([0x2F]) * 16
    check(struct_of(("ip", ADDRESS), ("n", INT)), [bytes(raw) + bytes(4), longest + bytes(4)])


def test_a_control_group_is_a_number() -> None:
    layout = struct_of(("group", Layout(kinds.CGROUP, "ebpm_cgroup", 8)))
    assert lines_of(layout, [struct.pack("=Q", 4711)]) == [" 4711"]
    check(layout, [struct.pack("=Q", 4711)])


@pytest.mark.parametrize(
    "layout",
    [
        DOUBLE,
        Layout(kinds.INT, "wide", 16),
        Layout(kinds.ARRAY, "", 8, count=2, element=INT),
        struct_of(("a", INT)),
        Layout(kinds.OPAQUE, "", 4),
        Layout(kinds.BOOL, "long", 9),
        Layout(kinds.ENUM, "hostile", 4, values={1: "\x1b[2J"}),
        Layout(kinds.ENUM, "many", 4, values={n: f"N{n}" for n in range(5000)}),
    ],
    ids=lambda layout: f"{layout.kind} {layout.name}",
)
def test_a_layout_with_such_a_column_is_not_for_it(layout: Layout) -> None:
    with pytest.raises(NotWritten):
        Rows(style_of(struct_of(("a", INT), ("b", layout))))
    whole = struct_of(("a", INT), ("b", layout))
    check(whole, [random.Random(n).randbytes(whole.size) for n in range(8)])


def test_a_member_of_33_bits_that_crosses_nine_bytes_is_not_for_it() -> None:
    layout = Layout(kinds.STRUCT, "e", 9, members=(Member("a", 7, 64, U64),))
    with pytest.raises(NotWritten):
        Rows(style_of(layout))


def test_more_lines_than_there_is_room_for_come_in_pieces() -> None:
    layout = struct_of(("n", U64), ("text", Layout(kinds.STRING, "", 3000)))
    records = [struct.pack("=Q3000s", n, b"x" * (n * 30)) for n in range(100)]
    source = Source("e", layout)
    batch = batch_of(source, records, 3008)
    pieces = [len(one) for one in Rows(style_of(layout)).lines(batch, "", "\n")]  # type: ignore[arg-type]
    assert len(pieces) > 2
    assert max(pieces) <= rows._CAPACITY
    check(layout, records)


def test_a_line_longer_than_the_room_is_written_by_others() -> None:
    layout = struct_of(("n", U64), ("text", Layout(kinds.STRING, "", rows._CAPACITY)))
    records = [struct.pack(f"=Q{rows._CAPACITY}s", n, b"x" * 70) for n in range(3)]
    assert lines_of(layout, records) == [0, 1, 2]
    check(layout, records)


def test_a_released_buffer_is_an_error_and_no_crash() -> None:
    data = memoryview(bytes(EVENT.size))
    batch = Batch(Source("e", EVENT), data, 0, EVENT.size, EVENT.size, 1)
    data.release()
    with pytest.raises(ValueError, match="released"):
        list(Rows(style_of(EVENT)).lines(batch, "", "\n"))


# --- jobs that are not possible ------------------------------------------------------------------


def job_of(layout: Layout, records: int = 4) -> tuple[rows._Job, list[object]]:
    """A job that is possible, and what it points to."""
    writer = Rows(style_of(layout))
    data = (ctypes.c_char * (layout.size * records))()
    job = writer._job
    job.head = job.tail = b""
    job.data, job.data_size = ctypes.addressof(data), len(data)
    job.start, job.size, job.stride, job.count = 0, layout.size, layout.size, records
    return job, [data, writer]


def test_a_job_that_is_possible_is_done() -> None:
    job, _kept = job_of(EVENT)
    assert rows.load()[0](job) == 4


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("job_size", 8),
        ("data_size", EVENT.size * 4 - 1),
        ("start", 1),
        ("start", 1 << 63),
        ("count", 5),
        ("count", (1 << 64) - 1),
        ("stride", 1 << 62),
        ("stride", 0),
        ("stride", EVENT.size - 1),
        ("size", 1 << 40),
        ("size", EVENT.size - 1),  # a column would be outside
        ("capacity", 40),
        ("capacity", 0),
        ("texts_size", 0),
        ("name_count", 0),
        ("head_size", 1 << 32),
        ("tail_size", (1 << 64) - 40),
    ],
)
def test_a_job_that_is_not_possible_is_refused(name: str, value: int) -> None:
    layout = struct_of(*((one.name, one.layout) for one in EVENT.members), ("mode", MODE))
    base = EVENT.size
    given = value + 4 if name in ("size", "stride") and value in (base, base - 1) else value
    job, _kept = job_of(layout)
    if name == "data_size":
        given = layout.size * 4 - 1
    setattr(job, name, given)
    assert rows.load()[0](job) == -1
    assert job.written == 0


COLUMNS = st.tuples(
    *[st.integers(0, 40) | st.integers(0, (1 << 32) - 1)] * 7, *[st.integers(0, 255)] * 4
)


@examples(300)
@given(st.lists(COLUMNS, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_no_description_leads_it_outside_its_buffers(
    columns: list[tuple[int, ...]], chance: random.Random
) -> None:
    """Whatever is said of columns, what lies around the room for lines stays as it is."""
    job, kept = job_of(EVENT)
    writer = kept[1]
    assert isinstance(writer, Rows)
    packed = b"".join(rows._COLUMN.pack(*one) for one in columns)
    room = (ctypes.c_char * 4096)(*[0x55] * 4096)
    capacity = chance.choice([64, 200, 1000])
    job.columns, job.column_count = packed, len(columns)
    job.aligned = chance.random() < 0.5
    job.out, job.capacity = ctypes.addressof(room) + 1024, capacity
    ctypes.memmove(job.data, chance.randbytes(job.data_size), job.data_size)
    done = rows.load()[0](job)
    assert -1 <= done <= 4
    assert job.written <= capacity
    assert room.raw[:1024] == b"\x55" * 1024
    assert room.raw[1024 + capacity :] == b"\x55" * (4096 - 1024 - capacity)


# --- who writes ----------------------------------------------------------------------------------


def table(monkeypatch: pytest.MonkeyPatch) -> tuple[Table, Memory]:
    monkeypatch.setattr("ebpm.output.table.BUSY", 1)
    stream = Memory()
    return Table(stream), stream


def test_a_stream_that_is_seldom_plain_goes_to_the_generated_formatter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(busy, "_REST", 4096)
    layout = struct_of(("comm", COMM), ("n", U64))
    source, (sink, stream) = Source("e", layout), table(monkeypatch)

    def send(name: bytes, count: int = 1024) -> Writer:
        records = [struct.pack("=16sQ", name, n) for n in range(count)]
        sink.write(batch_of(source, records, 24))
        shown = [line.split()[1:] for line in stream.lines()[:-1] if not line.startswith("TIME")]
        assert shown == [[name.decode(), str(n)] for n in range(count)]
        writer = sink._columns["e"]._writer
        assert writer is not None
        return writer

    assert send(b"plain")._resting == 0
    strange = "grün".encode()
    assert send(strange)._resting == 4096
    for left in (3072, 2048, 1024, 0):
        assert send(b"plain")._resting == left
    assert send(b"plain")._resting == 0  # C again
    assert send(strange)._resting == 8192  # it was too early


def test_what_was_plain_for_long_may_be_so_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    sink, _ = table(monkeypatch)
    layout = struct_of(("comm", COMM), ("n", U64))
    source = Source("e", layout)
    plain = batch_of(source, [struct.pack("=16sQ", b"sh", n) for n in range(4096)], 24)
    for _ in range(50):
        sink.write(plain)
    alone = 0
    read = source.read

    def counting(data: object, at: int) -> object:
        nonlocal alone
        alone += 1
        return read(data, at)  # type: ignore[arg-type]

    monkeypatch.setattr(source, "_reader", counting)
    sink.write(batch_of(source, [struct.pack("=16sQ", b"\xff", n) for n in range(4096)], 24))
    assert 0 < alone < 200


def test_a_few_records_that_are_not_plain_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    sink, stream = table(monkeypatch)
    source = Source("e", EVENT)
    records = [
        struct.pack("=i16sBi", n, b"caf\xc3\xa9" if n % 100 == 0 else b"sh", 0, 0)
        for n in range(1000)
    ]
    for _ in range(3):
        sink.write(batch_of(source, records, EVENT.size))
        assert [line.split()[2] for line in stream.lines() if " café " in line] == ["café"] * 10
    writer = sink._columns["e"]._writer
    assert writer is not None
    assert writer._resting == 0
    assert writer._formatter is None


def test_pure_means_without_c(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ebpm.output.jsonl.BUSY", 1)
    source = Source("e", EVENT)
    for pure in (True, False):
        sink = JsonLines(Memory(), named=False, pure=pure)
        sink.write(batch_of(source, [bytes(EVENT.size)], EVENT.size))
        writer = sink._writers["e"]
        assert writer is not None
        assert (writer._rows is None) == pure


@pytest.mark.parametrize("content", [b"", b"no library", None])
def test_without_the_library_python_writes(
    content: bytes | None, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = work / "rows.so"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setattr(rows, "LIBRARY", str(path))
    monkeypatch.setattr(rows, "_loaded", [])
    assert not busy.available()
    check(EVENT, [struct.pack("=i16sBi", n, b"sh", 2, 3) for n in range(8)])
