"""Tables and JSON lines, against what the format says byte for byte."""

from __future__ import annotations

import json
import os
import re
import struct
import time
import unicodedata
from datetime import datetime

import pytest

from ebpm.btf import layout as kinds
from ebpm.btf.layout import Layout, Member
from ebpm.event import ENTRIES, Batch, Source
from ebpm.output.clock import timestamp
from ebpm.output.filter import ProcessFilter
from ebpm.output.jsonl import JsonLines
from ebpm.output.stream import OutputClosed, Stream
from ebpm.output.table import Columns, Table, value_text
from ebpm.output.values import json_value

INT = Layout(kinds.INT, "int", 4, signed=True)
U64 = Layout(kinds.INT, "u64", 8)
WIDE = Layout(kinds.INT, "unsigned __int128", 16)
DOUBLE = Layout(kinds.FLOAT, "double", 8)
BOOL = Layout(kinds.BOOL, "bool", 1)
COMM = Layout(kinds.STRING, "", 16)
MODE = Layout(kinds.ENUM, "mode", 4, values={1: "FAST"})


def struct_of(*members: tuple[str, Layout]) -> Layout:
    placed, at = [], 0
    for name, layout in members:
        placed.append(Member(name, at * 8, 0, layout))
        at += layout.size
    return Layout(kinds.STRUCT, "event", at, members=tuple(placed))


class Pipe(Stream):
    """A stream into memory."""

    def __init__(self) -> None:
        self.reader, writer = os.pipe()
        super().__init__(writer)

    def text(self) -> str:
        os.close(self.fd)
        with os.fdopen(self.reader, encoding="utf-8") as file:
            return file.read()


def batch_of(source: Source, *records: bytes) -> Batch:
    (size,) = {len(record) for record in records}
    return Batch(source, b"".join(records), 0, size, size, len(records))


SIGNALS = struct_of(("pid", INT), ("tpid", INT), ("sig", INT), ("ret", INT), ("comm", COMM))


def signal_record(pid: int, comm: bytes) -> bytes:
    return struct.pack("=iiii16s", pid, 3168, 15, 0, comm)


def test_the_header_and_the_columns_are_those_of_the_manual() -> None:
    pipe = Pipe()
    Table(pipe).write(batch_of(Source("events", SIGNALS), signal_record(812, b"bash")))
    header, row, end = pipe.text().split("\n")
    assert header == "TIME     PID     TPID    SIG     RET     COMM    "
    assert re.fullmatch(r"\d\d:\d\d:\d\d  812    3168    15      0       bash", row)
    assert end == ""


def test_the_header_is_printed_once() -> None:
    pipe = Pipe()
    table, source = Table(pipe), Source("events", SIGNALS)
    for pid in (1, 2):
        table.write(batch_of(source, signal_record(pid, b"a"), signal_record(pid, b"b")))
    lines = pipe.text().splitlines()
    assert len(lines) == 5
    assert sum(line.startswith("TIME") for line in lines) == 1


def test_a_value_that_runs_over_pushes_the_next_by_one_space() -> None:
    columns = Columns(struct_of(("a", COMM), ("b", COMM), ("c", COMM)))
    row = columns.row("10:00:00", {"a": "irqbalance", "b": "x", "c": "y"})
    assert columns.header == "TIME     A       B       C       "
    assert row == "10:00:00  irqbalance x   y"


def test_a_name_longer_than_six_makes_its_column_wider() -> None:
    columns = Columns(struct_of(("exit_code", INT), ("b", INT)))
    assert columns.header == "TIME     EXIT_CODE  B       "
    assert columns.row("10:00:00", {"exit_code": 1, "b": 2}) == "10:00:00  1         2"


def test_each_source_gets_its_header_when_it_takes_the_word() -> None:
    pipe = Pipe()
    table = Table(pipe)
    first, second = Source("a", struct_of(("x", INT))), Source("b", struct_of(("y", INT)))
    for source in (first, second, second, first):
        table.write(batch_of(source, struct.pack("=i", 1)))
    headers = [line.split()[1] for line in pipe.text().splitlines() if line.startswith("TIME")]
    assert headers == ["X", "Y", "X"]


def test_a_header_is_emphasised_only_where_colour_is_allowed() -> None:
    pipe = Pipe()
    Table(pipe, colour=True).write(batch_of(Source("e", struct_of(("x", INT))), b"\1\0\0\0"))
    assert pipe.text().startswith("\x1b[1mTIME")


@pytest.mark.parametrize(
    ("layout", "value", "text"),
    [
        (INT, -1, "-1"),
        (U64, (1 << 64) - 1, "18446744073709551615"),
        (WIDE, 1 << 100, str(1 << 100)),
        (BOOL, True, "true"),
        (BOOL, False, "false"),
        (COMM, "a\x1bb", "a\\x1bb"),
        (DOUBLE, 0.5, "0.5"),
        (Layout(kinds.ARRAY, "", 8, count=2, element=INT), [1, 2], "[1,2]"),
        (Layout(kinds.ARRAY, "", 32, count=2, element=COMM), ["\u202e", "b"], '["\\u202e","b"]'),
        (Layout(kinds.OPAQUE, "", 2), b"\x01\xff", "01ff"),
        (INT, None, "-"),
    ],
)
def test_a_cell(layout: Layout, value: object, text: str) -> None:
    assert value_text(layout, value) == text


def test_a_record_without_a_layout_is_shown_in_hex() -> None:
    pipe = Pipe()
    Table(pipe).write(batch_of(Source("events", None), b"\x01\xab"))
    header, row, _ = pipe.text().split("\n")
    assert header == "TIME     SIZE    DATA"
    assert row.endswith("  2       01ab")


# --- JSON ----------------------------------------------------------------------------------------


def json_lines(source: Source, *records: bytes, named: bool = False) -> list[str]:
    pipe = Pipe()
    JsonLines(pipe, named=named).write(batch_of(source, *records))
    return pipe.text().splitlines()


def test_json_is_one_object_a_line_with_sorted_keys() -> None:
    (line,) = json_lines(Source("events", SIGNALS), signal_record(812, b"bash"))
    assert line == '{"comm":"bash","pid":812,"ret":0,"sig":15,"tpid":3168}'


def test_with_several_sources_the_source_stands_beside_the_fields() -> None:
    layout = struct_of(("source", INT))
    (line,) = json_lines(Source("ring", layout), struct.pack("=i", 5), named=True)
    assert json.loads(line) == {"source": "ring", "fields": {"source": 5}}


def test_integers_above_2_to_the_53_keep_all_their_digits() -> None:
    layout = struct_of(("big", U64))
    (line,) = json_lines(Source("e", layout), struct.pack("=Q", (1 << 64) - 1))
    assert line == '{"big":18446744073709551615}'


def test_bytes_that_are_no_utf8_are_replaced_and_controls_escaped() -> None:
    layout = struct_of(("comm", COMM))
    (line,) = json_lines(Source("e", layout), b"\xff\x1b\xe2\x80\xae\x00".ljust(16, b"\0"))
    assert json.loads(line) == {"comm": "\ufffd\x1b\u202e"}
    assert line.isprintable()


@pytest.mark.parametrize(
    ("value", "written"),
    [(float("nan"), "NaN"), (float("inf"), "Infinity"), (float("-inf"), "-Infinity"), (1.5, 1.5)],
)
def test_numbers_that_json_lacks_are_written_as_text(value: float, written: object) -> None:
    assert json_value(DOUBLE, value) == written


def test_an_enumerator_is_its_name_and_number() -> None:
    layout = struct_of(("a", MODE), ("b", MODE))
    (line,) = json_lines(Source("e", layout), struct.pack("=ii", 1, 9))
    assert json.loads(line) == {"a": "FAST(1)", "b": "<UNKNOWN_VARIANT>(9)"}


def test_a_128_bit_integer_is_a_string_of_digits() -> None:
    (line,) = json_lines(Source("e", struct_of(("w", WIDE))), bytes(8) + b"\1" + bytes(7))
    assert json.loads(line) == {"w": str(1 << 64)}


def test_a_record_cut_short_has_nulls_and_dashes() -> None:
    source = Source("events", SIGNALS)
    (line,) = json_lines(source, struct.pack("=ii", 1, 2))
    assert json.loads(line) == {"pid": 1, "tpid": 2, "sig": None, "ret": None, "comm": None}
    pipe = Pipe()
    Table(pipe).write(batch_of(source, struct.pack("=ii", 1, 2)))
    assert pipe.text().splitlines()[1].split()[1:] == ["1", "2", "-", "-", "-"]


def test_a_record_without_a_layout_is_hex_in_json() -> None:
    assert json.loads(json_lines(Source("e", None), b"\x01\xab")[0]) == {"data": "01ab", "size": 2}


# --- streams and filters -------------------------------------------------------------------------


def test_a_reader_that_is_gone_is_told_apart_from_a_failure() -> None:
    pipe = Pipe()
    os.close(pipe.reader)
    with pytest.raises(OutputClosed):
        pipe.write("x")
    assert not pipe.writing
    os.close(pipe.fd)


def test_only_the_events_of_one_process_pass_a_filter() -> None:
    pipe = Pipe()
    sink = ProcessFilter(JsonLines(pipe, named=False), 2)
    source = Source("events", SIGNALS)
    sink.write(batch_of(source, *(signal_record(pid, b"x") for pid in (1, 2, 3, 2))))
    assert [json.loads(line)["pid"] for line in pipe.text().splitlines()] == [2, 2]


def test_events_that_name_no_process_pass_a_filter() -> None:
    pipe = Pipe()
    sink = ProcessFilter(JsonLines(pipe, named=False), 2)
    sink.write(batch_of(Source("e", struct_of(("x", INT))), struct.pack("=i", 7)))
    assert pipe.text() == '{"x":7}\n'


# --- sampled maps, timestamps --------------------------------------------------------------------

ENTRY = struct_of(("key", struct_of(("u64", U64))), ("value", struct_of(("n", INT), ("c", COMM))))
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d"


def entry_record(key: int, number: int, comm: bytes) -> bytes:
    return struct.pack("=Qi16s", key, number, comm)


def test_an_entrys_columns_are_those_of_its_key_and_its_value() -> None:
    pipe = Pipe()
    source = Source("counts", ENTRY, ENTRIES)
    Table(pipe).write(batch_of(source, entry_record(1, -2, b"a"), entry_record(2, 3, b"b")))
    header, first, second, _ = pipe.text().split("\n")
    assert header == "TIME     U64     N       C       "
    assert first[8:] == "  1      -2      a"
    assert second[8:] == "  2      3       b"


def test_an_entry_in_json_is_its_key_and_its_value() -> None:
    lines = json_lines(Source("counts", ENTRY, ENTRIES), entry_record(1, -2, b"a"))
    assert lines == ['{"key":{"u64":1},"value":{"c":"a","n":-2}}']


def test_with_timestamps_time_is_a_date_by_rfc_3339() -> None:
    pipe = Pipe()
    Table(pipe, timestamps=True).write(batch_of(Source("e", SIGNALS), signal_record(1, b"a")))
    header, row, _ = pipe.text().split("\n")
    assert header == "TIME" + " " * 29 + "PID     TPID    SIG     RET     COMM    "
    assert re.fullmatch(STAMP + r"  1      3168    15      0       a", row)
    assert abs(datetime.fromisoformat(row[:32]).timestamp() - time.time()) < 60


@pytest.mark.parametrize("named", [True, False])
def test_with_timestamps_the_time_stands_beside_the_fields(named: bool) -> None:
    pipe = Pipe()
    JsonLines(pipe, named=named, timestamps=True).write(
        batch_of(Source("e", SIGNALS), signal_record(1, b"a"))
    )
    line = json.loads(pipe.text())
    assert set(line) == ({"fields", "source", "time"} if named else {"fields", "time"})
    assert re.fullmatch(STAMP, line["time"])
    assert line["fields"]["pid"] == 1


def test_the_zone_of_a_timestamp_is_the_local_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "XST-05:45")
    time.tzset()
    try:
        assert timestamp().endswith("+05:45")
    finally:
        monkeypatch.undo()
        time.tzset()


def test_what_is_held_back_is_written_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = Pipe()
    sizes: list[int] = []
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: sizes.append(len(data)) or write(fd, data))
    pipe.hold()
    for text in ("one\n", "two\n"):
        pipe.write(text)
    assert sizes == []
    pipe.flush()
    pipe.write("three\n")
    assert sizes == [8, 6]
    assert pipe.text() == "one\ntwo\nthree\n"


def test_not_everything_is_held_back() -> None:
    stream = Stream(os.open(os.devnull, os.O_WRONLY))
    stream.hold()
    for _ in range(20):
        stream.write("x" * 100_000)
        assert sum(map(len, stream._held or [])) < 1 << 18
    stream.flush()
    os.close(stream.fd)


# --- numbers with names, widths, terminals -------------------------------------------------------

SIGNAL = Layout(kinds.SIGNAL, "ebpm_signal", 4, signed=True)
RESULT = Layout(kinds.RESULT, "ebpm_result", 4, signed=True)
NAMED = struct_of(("sig", SIGNAL), ("ret", RESULT), ("comm", COMM))


def named_record(sig: int, ret: int) -> bytes:
    return struct.pack("=ii16s", sig, ret, b"sh")


def test_numbers_that_have_names_are_names_in_tables() -> None:
    pipe = Pipe()
    records = (named_record(15, -2), named_record(0, 3), named_record(77, -9999))
    Table(pipe).write(batch_of(Source("e", NAMED), *records))
    header, *rows, _ = pipe.text().split("\n")
    assert header == "TIME     SIG        RET        COMM    "
    assert [row.split()[1:] for row in rows] == [
        ["SIGTERM", "ENOENT", "sh"],
        ["0", "3", "sh"],
        ["77", "-9999", "sh"],
    ]


def test_in_json_the_number_stays_and_its_name_stands_beside_it() -> None:
    lines = json_lines(Source("e", NAMED), named_record(15, -2))
    assert lines == ['{"comm":"sh","ret":-2,"ret_name":"ENOENT","sig":15,"sig_name":"SIGTERM"}']
    (line,) = json_lines(Source("e", NAMED), named_record(0, 3))
    assert json.loads(line) == {
        "comm": "sh",
        "ret": 3,
        "ret_name": None,
        "sig": 0,
        "sig_name": None,
    }


def test_a_number_beyond_the_end_of_the_record_has_no_name() -> None:
    (line,) = json_lines(Source("e", NAMED), b"\x0f\0\0\0")
    assert json.loads(line)["sig_name"] == "SIGTERM"
    assert json.loads(line)["ret_name"] is None


@pytest.mark.parametrize("first", [True, False])
def test_a_member_that_is_called_like_a_name_keeps_its_place(first: bool) -> None:
    members = [("sig_name", INT), ("sig", SIGNAL)]
    layout = struct_of(*(members if first else members[::-1]))
    data = struct.pack("=ii", *((7, 15) if first else (15, 7)))
    assert json_lines(Source("e", layout), data) == ['{"sig":15,"sig_name":7}']
    busy = json_lines(Source("e", layout), *[data] * 200)
    assert set(busy) == {'{"sig":15,"sig_name":7}'}


def wide(name: str, layout: Layout, at: int, width: int) -> Member:
    return Member(name, at * 8, 0, layout, width)


TALK = Layout(
    kinds.STRUCT,
    "event",
    60,
    members=(
        wide("comm", COMM, 0, 15),
        wide("pid", INT, 16, 0),
        Member("to", 20 * 8, 0, Layout(kinds.ADDRESS, "ebpm_ip", 16)),
        wide("n", U64, 36, 0),
        wide("path", COMM, 44, 40),
    ),
)


def talk_record(comm: bytes, path: bytes = b"/a/path/of/some") -> bytes:
    address = bytes(10) + b"\xff\xff" + bytes([127, 0, 0, 1])
    return struct.pack("=16si16sQ16s", comm, 7, address, 10**6, path)


def test_a_column_is_as_wide_as_its_tool_says() -> None:
    pipe = Pipe()
    Table(pipe).write(batch_of(Source("e", TALK), talk_record(b"fifteen letters")))
    header, row, _ = pipe.text().split("\n")
    assert header == f"TIME     {'COMM':<17}PID     {'TO':<17}N       {'PATH':<40}  "
    assert row[8:] == "  fifteen letters 7       127.0.0.1        1000000 /a/path/of/some"


class Terminal(Pipe):
    """A stream into memory that passes for a terminal."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.room = columns

    def is_terminal(self) -> bool:
        return True

    def columns(self) -> int:
        return self.room


def test_on_a_terminal_columns_become_narrower_before_anything_is_cut() -> None:
    terminal = Terminal(60)
    Table(terminal).write(batch_of(Source("e", TALK), talk_record(b"fifteen letters")))
    header, row, _ = terminal.text().split("\n")
    assert header.split() == ["TIME", "COMM", "PID", "TO", "N", "PATH"]
    assert len(header) <= 60
    assert len(row) == 60
    assert "fifteen letters" not in row
    assert row[8:] == "  fif… 7      127.0.0.1       1000000 /a/pa…/of/some"


def test_on_a_terminal_that_is_wide_enough_nothing_is_cut() -> None:
    whole, terminal = Pipe(), Terminal(200)
    for stream in (whole, terminal):
        Table(stream).write(batch_of(Source("e", TALK), talk_record(b"sh")))
    there, here = whole.text().splitlines(), terminal.text().splitlines()
    assert [line.rstrip() for line in there] == [line.rstrip() for line in here]


@pytest.mark.parametrize("room", [1, 2, 9, 20, 39, 64, 80])
@pytest.mark.parametrize("path", [b"plain", "中文字中".encode(), "e\u0301" * 4, b""])
def test_no_row_is_wider_than_the_terminal(room: int, path: bytes | str) -> None:
    raw = path if isinstance(path, bytes) else path.encode()[:15]
    terminal = Terminal(room)
    table = Table(terminal)
    for _ in range(3):  # the last ones as a busy source's
        table.write(batch_of(Source("e", TALK), *[talk_record(b"sh", raw)] * 40))
    for line in terminal.text().splitlines():
        assert display_width(line) <= room, line


def display_width(text: str) -> int:
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1
        for one in text
    )


def test_a_terminal_that_becomes_wider_gets_its_header_again() -> None:
    terminal = Terminal(40)
    table, source = Table(terminal), Source("e", TALK)
    table.write(batch_of(source, talk_record(b"sh")))
    terminal.room = 100
    table.write(batch_of(source, talk_record(b"sh")))
    table.write(batch_of(source, talk_record(b"sh")))
    lines = terminal.text().splitlines()
    assert [line.startswith("TIME") for line in lines] == [True, False, True, False, False]
    assert lines[-1].endswith("/a/path/of/some")


@pytest.mark.parametrize(("ranked", "blank"), [(True, 1), (False, 0)])
def test_readings_of_a_sorted_table_stand_apart_on_a_terminal(ranked: bool, blank: int) -> None:
    source = Source("counts", ENTRY, ENTRIES, ranked=ranked)
    for stream, apart in ((Terminal(80), blank), (Pipe(), 0)):
        table = Table(stream)
        for number in range(2):
            table.write(batch_of(source, entry_record(number, -2, b"a")))
        lines = stream.text().splitlines()
        assert lines.count("") == apart
        assert sum(line.startswith("TIME") for line in lines) == 1 + apart
