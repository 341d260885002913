"""What words find what, in which order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpm.errors import InvalidIndex
from ebpm.index.search import BETWEEN, SearchText, edit_distance, write_text

ROWS = [
    ("biolatency", "Latency of block devices", "block", "disk histogram", "tracepoint block_rq"),
    ("execsnoop", "Programs that are started", "processes", "exec execve", "tracepoint sched"),
    ("filelife", "Files that live shortly", "files", "creat unlink", "kprobe vfs_unlink"),
    ("opensnoop", "Files that processes open", "files", "openat path", "tracepoint sys_enter_open"),
    ("statsnoop", "Files that are looked at", "files", "stat", "tracepoint sys_enter_newstat"),
]


def names(*words: str) -> list[str]:
    return [one.name for one in SearchText(write_text(ROWS)).search(words)]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["opensnoop"], ["opensnoop"]),
        (["open"], ["opensnoop"]),
        (["OPEN", "Files"], ["opensnoop"]),
        (["disk"], ["biolatency"]),
        (["vfs_unlink"], ["filelife"]),
        (["opne"], ["opensnoop"]),
        (["opensnop"], ["opensnoop"]),
        (["latensy"], ["biolatency"]),
        (["biolatnecyy"], ["biolatency"]),
        (["proceses"], ["execsnoop", "opensnoop"]),
        (["files", "exec"], []),
        (["nothing"], []),
        (["zz"], []),
    ],
)
def test_words_find_tools(words: list[str], found: list[str]) -> None:
    assert names(*words) == found


def test_a_name_is_worth_more_than_a_word_of_a_summary() -> None:
    assert names("snoop") == ["execsnoop", "opensnoop", "statsnoop"]
    assert names("file")[0] == "filelife"
    assert names("exec")[0] == "execsnoop"


def test_no_words_find_everything() -> None:
    assert names() == [one[0] for one in ROWS]


def test_a_name_that_nobody_knows_has_near_ones() -> None:
    text = SearchText(write_text(ROWS))
    assert text.nearest("opensnoob") == ["opensnoop"]
    assert text.nearest("qqqq") == []


def test_an_empty_index_has_nothing() -> None:
    empty = SearchText(write_text([]))
    assert empty.search(["open"]) == []
    assert empty.search([]) == []


@pytest.mark.parametrize(
    "text", ["a", f"a{BETWEEN}b", BETWEEN.join(["a\nb", "c", "", "", "", "a"])]
)
def test_a_malformed_text_is_an_error(text: str) -> None:
    with pytest.raises(InvalidIndex):
        SearchText(text)


def _slow_distance(one: str, other: str) -> int:
    """Optimal string alignment, by its definition."""
    if not one or not other:
        return len(one) + len(other)
    best = min(
        _slow_distance(one[1:], other) + 1,
        _slow_distance(one, other[1:]) + 1,
        _slow_distance(one[1:], other[1:]) + (one[0] != other[0]),
    )
    if one[:2] == other[1::-1] and len(one) > 1 < len(other):
        best = min(best, _slow_distance(one[2:], other[2:]) + 1)
    return best


@given(st.text("abc", max_size=5), st.text("abc", max_size=5))
def test_the_distance_is_that_of_its_definition(one: str, other: str) -> None:
    right = _slow_distance(one, other)
    assert edit_distance(one, other, 9) == right
    assert (edit_distance(one, other, 1) <= 1) == (right <= 1)


@given(st.lists(st.tuples(*[st.text(max_size=8)] * 5), max_size=5), st.text(max_size=6))
def test_any_rows_can_be_written_and_searched(rows: list[tuple[str, ...]], word: str) -> None:
    found = SearchText(write_text(rows)).search([word])
    assert len(found) <= len(rows)
