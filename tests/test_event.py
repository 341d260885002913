from __future__ import annotations

from ebpm.btf import layout as kinds
from ebpm.btf.layout import Layout, Member
from ebpm.event import Batch, Event, Source

BYTE = Layout(kinds.INT, "u8", 1)
PAIR = Layout(kinds.STRUCT, "pair", 2, members=(Member("a", 0, 0, BYTE), Member("b", 8, 0, BYTE)))


def test_a_batch_walks_its_records_by_stride() -> None:
    batch = Batch(Source("s", PAIR), b"hh\1\2..hh\3\4..", 2, 2, 6, 2)
    assert [bytes(record) for record in batch.records()] == [b"\1\2", b"\3\4"]
    assert [event.fields for event in batch.events()] == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]


def test_the_head_of_a_batch_is_no_longer_than_the_batch() -> None:
    batch = Batch(Source("s", PAIR), bytes(8), 0, 2, 2, 4)
    assert batch.head(3).count == 3
    assert batch.head(9).count == 4


def test_events_are_kept_when_the_buffer_changes() -> None:
    buffer = bytearray(b"\1\2")
    events = list(Batch(Source("s", PAIR), memoryview(buffer), 0, 2, 2, 1).events())
    buffer[0] = 9
    assert events[0].fields == {"a": 1, "b": 2}


def test_an_event_of_unknown_layout_has_its_bytes() -> None:
    assert Event(Source("s", None), b"\1").fields == {"data": b"\1"}


def test_an_event_shows_what_it_is() -> None:
    assert repr(Event(Source("s", PAIR), b"\1\2")) == "Event('s', {'a': 1, 'b': 2})"
