"""Histograms against what bcc's print_log2_hist and print_linear_hist print, byte for byte."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import termios

import pytest

from ebpm.btf import layout as kinds
from ebpm.btf.layout import Layout
from ebpm.event import LINEAR, LOG2, Source
from ebpm.output.histogram import linear_histogram, log2_histogram
from ebpm.output.histograms import Histograms
from ebpm.output.stream import Stream
from ebpm.output.text import Text
from tests.output.test_sinks import COMM, U64, Pipe, batch_of, struct_of

NARROW = """\
     usecs               : count    distribution
         0 -> 1          : 3        |************                            |
         2 -> 3          : 0        |                                        |
         4 -> 7          : 10       |****************************************|
         8 -> 15         : 1        |****                                    |"""
WIDE_HEADING = "               nsecs                         : count    distribution"
WIDE_ROW = "          8589934592 -> 17179869183          : 2        |********************|"
LINE = """\
     (unit)        : count     distribution
        10         : 4        |********************                    |
        30         : 8        |****************************************|"""


def test_a_narrow_log2_histogram() -> None:
    assert "\n".join(log2_histogram([3, 0, 10, 1, 0, 0], "usecs")) == NARROW


def test_from_the_34th_slot_on_values_are_wide_and_bars_short() -> None:
    lines = log2_histogram([0] * 33 + [2], "nsecs")
    assert len(lines) == 35
    assert lines[0] == WIDE_HEADING
    assert lines[-1] == WIDE_ROW
    assert log2_histogram([0] * 32 + [2], "nsecs")[0].startswith("     nsecs    ")


def test_bars_are_cut_down_to_whole_stars() -> None:
    lines = log2_histogram([2, 3], "u")
    assert lines[1].count("*") == 26  # 26.67
    assert lines[2].count("*") == 40


@pytest.mark.parametrize("slots", [[], [0], [0] * 64])
def test_nothing_counted_draws_nothing(slots: list[int]) -> None:
    assert log2_histogram(slots, "u") == []
    assert linear_histogram(slots, "u") == []


def test_the_last_of_64_slots_holds_the_largest_numbers() -> None:
    last = log2_histogram([0] * 63 + [1], "u")[-1]
    assert last.startswith(" 9223372036854775808 -> 18446744073709551615 : 1 ")


def test_a_linear_histogram_leaves_out_what_is_zero() -> None:
    assert "\n".join(linear_histogram([0, 4, 0, 8, 0], "(unit)", 0, 10)) == LINE


def test_colour_changes_nothing_but_bars() -> None:
    plain, coloured = log2_histogram([1, 2], "u"), log2_histogram([1, 2], "u", colour=True)
    assert coloured != plain
    assert [re.sub("\x1b\\[[0-9]*m", "", line) for line in coloured] == plain
    assert log2_histogram([1, 2], "u", width=50)[2].count("*") == 50


# --- entries of a map ----------------------------------------------------------------------------

SLOTS = Layout(kinds.ARRAY, "", 12, count=3, element=Layout(kinds.INT, "u32", 4))
KEY = struct_of(("u64", U64))
HIST = struct_of(("key", KEY), ("value", struct_of(("slots", SLOTS), ("comm", COMM))))


def record(key: int, comm: bytes, *slots: int) -> bytes:
    return struct.pack("=Q3I16s", key, *slots, comm)


def test_an_entry_is_its_key_its_other_members_and_the_histogram() -> None:
    pipe = Pipe()
    source = Source("hists", HIST, LOG2, "usecs")
    Histograms(pipe).write(batch_of(source, record(305419896, b"cpptools", 1, 0, 2)))
    assert pipe.text() == (
        "key =  305419896\n"
        "comm = cpptools\n"
        "\n"
        "     usecs               : count    distribution\n"
        "         0 -> 1          : 1        |********************                    |\n"
        "         2 -> 3          : 0        |                                        |\n"
        "         4 -> 7          : 2        |****************************************|\n"
        "\n"
    )


def test_an_entry_that_counted_nothing_is_left_out() -> None:
    pipe = Pipe()
    source = Source("hists", HIST, LINEAR)
    Histograms(pipe).write(batch_of(source, record(1, b"a", 0, 0, 0), record(2, b"b", 0, 1, 0)))
    assert pipe.text() == (
        "key =  2\ncomm = b\n\n     (unit)        : count     distribution\n"
        "        1          : 1        |****************************************|\n\n"
    )


def test_the_members_of_a_key_stand_in_its_line() -> None:
    pipe = Pipe()
    layout = struct_of(
        ("key", struct_of(("pid", U64), ("comm", COMM))), ("value", struct_of(("slots", SLOTS)))
    )
    data = struct.pack("=Q16s3I", 7, b"a\x1bb", 1, 0, 0)
    Histograms(pipe).write(batch_of(Source("h", layout, LOG2), data))
    assert pipe.text().startswith("key =  7 a\\x1bb\n\n     (unit)")


def test_with_timestamps_a_line_says_when() -> None:
    pipe = Pipe()
    text = Text(pipe, timestamps=True)
    text.write(batch_of(Source("hists", HIST, LOG2), record(1, b"a", 1, 0, 0)))
    first, second, *_ = pipe.text().splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{6}[+-]\d\d:\d\d", first)
    assert second == "key =  1"


def test_a_table_gets_its_header_again_after_a_histogram() -> None:
    pipe = Pipe()
    text = Text(pipe)
    rows, hists = Source("rows", struct_of(("x", U64))), Source("hists", HIST, LOG2)
    for source in (rows, hists, rows):
        data = struct.pack("=Q", 1) if source is rows else record(1, b"a", 1, 0, 0)
        text.write(batch_of(source, data))
    lines = pipe.text().splitlines()
    assert [line for line in lines if line.startswith(("TIME", "key"))] == [
        "TIME     X       ",
        "key =  1",
        "TIME     X       ",
    ]


@pytest.mark.parametrize(("columns", "stars"), [(100, 62), (40, 20), (500, 100)])
def test_on_a_terminal_bars_are_as_wide_as_it_allows(columns: int, stars: int) -> None:
    ours, theirs = os.openpty()
    try:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("=4H", 24, columns, 0, 0))
        sink = Histograms(Stream(theirs), colour=True)
        sink.write(batch_of(Source("h", HIST, LOG2), record(1, b"a", 0, 2, 0)))
        seen = os.read(ours, 1 << 16).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "\x1b[32m" + "*" * stars + "\x1b[0m|" in seen
