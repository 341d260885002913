"""The order of sampled tables: against Python's own sorting of the decoded rows."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpm.btf import layout as kinds
from ebpm.btf.decode import reader
from ebpm.btf.layout import Layout, Member
from ebpm.errors import InvalidParameter
from ebpm.runtime.order import Order, chosen_sort
from ebpm.runtime.plan import SAMPLED, SamplePlan, SourcePlan
from tests.runtime.test_params import plan
from tests.strategies import examples

U32 = Layout(kinds.INT, "u32", 4)
S64 = Layout(kinds.INT, "s64", 8, signed=True)
COMM = Layout(kinds.STRING, "", 4)
KEY = Layout(
    kinds.STRUCT, "key", 8, members=(Member("pid", 0, 0, U32), Member("comm", 32, 0, COMM))
)
VALUE = Layout(
    kinds.STRUCT,
    "value",
    24,
    members=(
        Member("bytes", 0, 0, S64),
        Member("ratio", 64, 0, Layout(kinds.FLOAT, "double", 8)),
        Member("low", 128, 3, U32),
        Member("calls", 160, 0, U32),
    ),
)
ENTRY = Layout(
    kinds.STRUCT, "", 32, members=(Member("key", 0, 0, KEY), Member("value", 64, 0, VALUE))
)
READ = reader(ENTRY)


def record(
    pid: int = 0, comm: bytes = b"", size: int = 0, ratio: float = 0.0, low: int = 0, calls: int = 0
) -> bytes:
    return struct.pack("=I4sqdII", pid, comm, size, ratio, low, calls)


RECORDS = st.lists(
    st.builds(
        record,
        st.integers(0, 3),
        st.sampled_from([b"", b"a", b"ab", b"abc", "\xe9".encode(), b"b"]),
        st.integers(-3, 3),
        st.sampled_from([0.5, -1.0, float("inf"), float("nan")]),
        st.integers(0, 7),
        st.integers(0, 2),
    ),
    max_size=12,
)


def cell(row: dict[str, Any], name: str) -> Any:
    value = {**row["key"], **row["value"]}[name]
    if isinstance(value, str):
        return value.encode()
    return float("-inf") if value != value else value


@examples(200)
@given(
    RECORDS,
    st.lists(
        st.tuples(
            st.sampled_from(["pid", "comm", "bytes", "ratio", "low"]), st.sampled_from("+- ")
        ),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from([0, 1, 3, 100]),
)
def test_rows_come_as_python_sorts_them(
    records: list[bytes], columns: list[tuple[str, str]], limit: int
) -> None:
    expected = sorted(records)  # ties: by their bytes
    for name, sign in reversed(columns):
        decreasing = sign == "-" or (sign == " " and name != "comm")
        expected.sort(key=lambda one: cell(READ(one, 0), name), reverse=decreasing)
    sort = ",".join(f"{sign.strip()}{name.upper()}" for name, sign in columns)
    assert Order(ENTRY, sort, limit).best(records) == expected[: limit or None]


@examples(80)
@given(RECORDS)
def test_columns_are_added_up(records: list[bytes]) -> None:
    def total(one: bytes) -> int:
        row = READ(one, 0)
        return int(row["value"]["bytes"] + row["value"]["calls"])

    expected = sorted(sorted(records), key=total, reverse=True)
    assert Order(ENTRY, "bytes+calls", 0).best(records) == expected
    assert Order(ENTRY, "+bytes+calls", 2).best(records) == sorted(sorted(records), key=total)[:2]


def test_the_order_does_not_depend_on_that_of_the_map() -> None:
    records = [record(pid, b"a", size=7) for pid in range(50)]
    for limit in (0, 5):
        order = Order(ENTRY, "bytes", limit)
        assert order.best(records) == order.best(reversed(records))


def test_a_limit_alone_takes_the_largest_by_the_first_number_of_the_value() -> None:
    records = [record(pid=9, size=1), record(pid=1, size=3), record(pid=5, size=2)]
    assert Order(ENTRY, "", 2).best(records) == [records[1], records[2]]


def test_addresses_are_sorted_as_numbers() -> None:
    address = Layout(kinds.ADDRESS, "ebpm_ip", 16)
    layout = Layout(kinds.STRUCT, "", 16, members=(Member("ip", 0, 0, address),))
    prefix = bytes(10) + b"\xff\xff"
    nine, ten = prefix + bytes([10, 0, 0, 9]), prefix + bytes([10, 0, 0, 10])
    assert Order(layout, "ip", 0).best([ten, nine]) == [nine, ten]
    assert Order(layout, "-ip", 0).best([nine, ten]) == [ten, nine]


@pytest.mark.parametrize(
    ("sort", "text"),
    [
        ("byte", "there is no column 'byte'; did you mean BYTES?"),
        ("zzz", "there is no column 'zzz'; there are PID, COMM, BYTES, RATIO, LOW, CALLS"),
        ("bytes+comm", "column COMM is text, which has no sum"),
        ("pid,,-", "there is no column ''"),
    ],
)
def test_what_cannot_be_sorted_by_is_said(sort: str, text: str) -> None:
    with pytest.raises(ValueError, match=text.replace("?", r"\?")):
        Order(ENTRY, sort, 0)


def test_an_array_is_nothing_to_sort_by() -> None:
    array = Layout(kinds.ARRAY, "", 8, count=2, element=U32)
    with pytest.raises(ValueError, match="SLOTS is neither a number nor text"):
        Order(Layout(kinds.STRUCT, "", 8, members=(Member("slots", 0, 0, array),)), "slots", 0)


def test_a_hundred_thousand_rows_keep_no_more_than_their_limit() -> None:
    import tracemalloc

    order = Order(ENTRY, "bytes", 20)
    tracemalloc.start()
    best = order.best(record(size=number * 7919 % 100_003) for number in range(100_000))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [READ(one, 0)["value"]["bytes"] for one in best] == list(range(100_002, 99_982, -1))
    assert most < 100_000


# --- what the user asks for ----------------------------------------------------------------------


def sampled(name: str, layout: Layout = ENTRY) -> SourcePlan:
    sample = SamplePlan(interval=1000, unit="", clear=False, sort="bytes")
    return SourcePlan(map=name, kind=SAMPLED, name=name, layout=layout, sample=sample)


def test_a_map_without_the_column_keeps_its_own_order() -> None:
    other = Layout(kinds.STRUCT, "", 8, members=(Member("value", 0, 0, KEY),))
    tool = plan(sources=[sampled("one"), sampled("two", other)])
    assert chosen_sort(tool, "ratio", None) == {"one": "ratio"}
    assert chosen_sort(tool, "pid", None) == {"one": "pid", "two": "pid"}
    assert chosen_sort(tool, None, 3) == {}
    assert chosen_sort(tool, "cpu", None, per_cpu=True) == {"one": "cpu", "two": "cpu"}


def test_a_column_that_no_map_has_is_an_error_with_the_nearest() -> None:
    with pytest.raises(InvalidParameter, match="no column 'rato'") as caught:
        chosen_sort(plan(sources=[sampled("one")]), "rato", None)
    assert caught.value.hint == "did you mean RATIO?"


@pytest.mark.parametrize(("sort", "rows"), [("pid", None), (None, 3), (None, 0)])
def test_a_tool_without_sampled_maps_has_nothing_to_sort(
    sort: str | None, rows: int | None
) -> None:
    with pytest.raises(InvalidParameter, match="no table that is read at intervals"):
        chosen_sort(plan(), sort, rows)
