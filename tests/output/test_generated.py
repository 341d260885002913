"""Who writes batches says what the sinks say record by record, whatever layout and bytes."""

from __future__ import annotations

import itertools
import random
import struct
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpm.btf import layout as kinds
from ebpm.btf.layout import Layout, Member
from ebpm.event import Batch, Source
from ebpm.output import generated
from ebpm.output.generated import Formatter
from ebpm.output.jsonl import JsonLines
from ebpm.output.stream import Stream
from ebpm.output.table import Table
from tests.output.test_sinks import BOOL, COMM, INT, MODE, U64, struct_of
from tests.strategies import LAYOUTS, examples

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ebpm.output.sink import Sink


class Memory(Stream):
    """A stream that keeps what is written."""

    def __init__(self) -> None:
        super().__init__(-1)
        self.written: list[str] = []

    def write(self, text: str | memoryview) -> None:
        self.written.append(text if isinstance(text, str) else bytes(text).decode())

    def lines(self) -> list[str]:
        text = "".join(self.written)
        self.written.clear()
        return text.split("\n")


SINKS: list[tuple[str, Callable[[Stream, bool], Sink]]] = [
    ("ebpm.output.table.BUSY", lambda stream, pure: Table(stream, pure=pure)),
    ("ebpm.output.jsonl.BUSY", lambda stream, pure: JsonLines(stream, named=False, pure=pure)),
    ("ebpm.output.jsonl.BUSY", lambda stream, pure: JsonLines(stream, named=True, pure=pure)),
]


def batch_of(source: Source, records: list[bytes], size: int, gap: int = 0) -> Batch:
    """Lay records out as a ring does: ``gap`` bytes of noise between them, none after the last."""
    data = (b"\xee" * gap).join(record.ljust(size, b"\xaa") for record in records)
    return Batch(source, memoryview(b"\xdd" * 8 + data), 8, size, size + gap, len(records))


def check(layout: Layout, records: list[bytes], *, gap: int = 8, sample: int = 4) -> None:
    """Hold the lines of a busy source against those of single records."""
    source = Source("events", layout)
    size = max([layout.size, *map(len, records)])
    batch = batch_of(source, records, size, gap)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.strftime", lambda *_: "12:00:00")
        patch.setattr(generated, "_FIRST", min(sample, len(records)))
        for busy, make in SINKS:
            stream = Memory()
            patch.setattr(busy, 1 << 60)
            make(stream, True).write(batch)
            expected = stream.lines()
            patch.setattr(busy, 1)
            for pure in (True, False):  # with C where there is some
                sink = make(stream, pure)
                sink.write(batch)
                assert stream.lines() == expected
                sink.write(batch)
                assert stream.lines() == [line for line in expected if not line.startswith("TIME")]


RECORDS = st.lists(st.binary(min_size=1, max_size=64), min_size=1, max_size=6)


@examples(150)
@given(
    st.lists(LAYOUTS, min_size=1, max_size=6),
    RECORDS,
    st.lists(st.integers(0, 5), min_size=1, max_size=24),
    st.integers(1, 9),
)
def test_random_types_and_bytes(
    parts: list[Layout], pool: list[bytes], order: list[int], gap: int
) -> None:
    members, bit = [], 0
    for number, part in enumerate(parts):
        members.append(Member(f"m{number}", bit, 0, part))
        bit += 8 * part.size
    layout = Layout(kinds.STRUCT, "event", bit // 8, members=tuple(members))
    size = layout.size
    pool = [(one * (size // len(one) + 1))[:size] for one in pool]
    check(layout, [pool[number % len(pool)] for number in order], gap=gap)


def test_columns_that_run_over_push_those_behind_them_as_far_as_they_do_alone() -> None:
    layout = struct_of(
        ("ts", U64), ("a", INT), ("comm", COMM), ("seq", U64), ("b", INT), ("c", U64)
    )
    numbers = [0, 9, 99_999, 999_999, 9_999_999, 10**9, 10**15]
    names = [b"", b"sh", b"sixsix", b"sevense", b"fifteen letters"]
    records = [
        struct.pack("=Qi16sQiQ", ts, a, comm, seq, -a, ts)
        for ts, a, comm, seq in itertools.product(numbers, numbers[:4], names, numbers)
    ]
    random.Random(1).shuffle(records)
    for sample in (4, len(records)):
        check(layout, records, sample=sample)


def test_what_stands_in_a_text_for_something_in_a_template_is_text() -> None:
    layout = struct_of(("comm", COMM), ("n", U64))
    records = [struct.pack("=16sQ", b"%s 100%% {x}", number) for number in range(8)]
    check(layout, records, sample=8)


def test_noise_behind_the_nul_of_a_string_is_not_shown() -> None:
    layout = struct_of(("comm", COMM), ("n", U64))
    records = [struct.pack("=16sQ", b"bash\0" + bytes([n] * 11), n) for n in range(1, 200)]
    check(layout, records, sample=199)


def test_members_that_share_bytes_and_bitfields() -> None:
    four = Layout(kinds.UNION, "", 4, members=(Member("i", 0, 0, INT), Member("m", 0, 0, MODE)))
    byte = Layout(kinds.INT, "u8", 1)
    layout = Layout(
        kinds.STRUCT,
        "event",
        10,
        members=(
            Member("", 0, 0, four),
            Member("low", 32, 3, byte),
            Member("high", 35, 5, INT),
            Member("flag", 40, 0, BOOL),
            Member("tail", 48, 0, Layout(kinds.STRING, "", 0)),
            Member("last", 48, 0, INT),
        ),
    )
    records = [struct.pack("=iBBi", n % 3, n % 256, n & 1, n) for n in range(300)]
    check(layout, records, sample=300)


def test_short_records_are_written_one_by_one() -> None:
    layout = struct_of(("a", INT), ("b", INT))
    source = Source("events", layout)
    stream = Memory()
    sink = JsonLines(stream, named=False)
    sink.write(batch_of(source, [bytes(8)] * 1000, 8))
    stream.lines()
    sink.write(batch_of(source, [bytes(4)] * 2, 4))
    assert stream.lines() == ['{"a":0,"b":null}'] * 2 + [""]


def test_two_members_of_one_name_have_no_formatter() -> None:
    inner = struct_of(("a", INT))
    layout = Layout(
        kinds.STRUCT, "e", 8, members=(Member("a", 0, 0, INT), Member("", 32, 0, inner))
    )
    check(layout, [struct.pack("=ii", n, -n) for n in range(8)])


def feed(formatter: Formatter, batches: Iterable[Batch]) -> int:
    """Write batches; give the most entries that its caches held."""
    most = 0
    for batch in batches:
        formatter.lines(batch)
        most = max(most, len(formatter._templates))
    return most


def test_caches_stay_bounded_and_the_key_is_learnt_again_when_it_no_longer_fits() -> None:
    layout = struct_of(("comm", COMM), ("n", U64))
    sink = Table(Memory(), pure=True)
    source = Source("events", layout)

    def batches(names: Iterable[bytes]) -> Iterable[Batch]:
        while chunk := list(itertools.islice(names, 1000)):
            yield batch_of(source, [struct.pack("=16sQ", one, 7) for one in chunk], 24)

    for batch in batches(itertools.repeat(b"same", 1000)):
        sink.write(batch)
    writer = sink._columns["events"]._writer
    assert writer is not None
    formatter = writer._formatter
    assert formatter is not None
    key = [unit.start for unit in formatter._key]
    assert key == [0, 16]
    names = (b"%d" % number for number in range(40_000))
    assert feed(formatter, batches(names)) <= 4096
    assert [unit.start for unit in formatter._key] == [16]
    texts = formatter._made[24].__globals__["textsv0"]
    assert len(texts) <= 4096
