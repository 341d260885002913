from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ebpm.oci.content import Content
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.store import CHUNK, MemoryStore

DATA = bytes(range(256)) * ((2 * CHUNK + 100) // 256)
BLOB = Descriptor.of(DATA, "a/b")


class Told:
    def __init__(self) -> None:
        self.total = 0

    def start(self, total: int) -> None:
        raise AssertionError("that is for the copy to say")

    def advance(self, count: int) -> None:
        self.total += count


class Watched(MemoryStore):
    """Memory that knows how many of its blobs are open."""

    def __init__(self) -> None:
        super().__init__()
        self.add(DATA, BLOB)
        self.opened = self.closed = 0

    @contextmanager
    def open(self, descriptor: Descriptor, start: int = 0) -> Iterator[Iterator[bytes]]:
        self.opened += 1
        with super().open(descriptor, start) as chunks:
            try:
                yield chunks
            finally:
                self.closed += 1


def test_it_is_read_as_often_as_it_takes_and_from_any_byte_on() -> None:
    content = Content(Watched(), BLOB)
    assert b"".join(content) == b"".join(content) == DATA
    for start in (1, CHUNK, len(DATA)):
        assert b"".join(content.since(start)) == DATA[start:]


def test_each_byte_is_told_once() -> None:
    told = Told()
    content = Content(Watched(), BLOB, progress=told)
    next(reading := iter(content))
    next(reading)
    assert told.total == CHUNK  # a chunk counts when the next one is asked for
    assert b"".join(content) == DATA
    assert told.total == len(DATA)
    told = Told()
    list(Content(Watched(), BLOB, progress=told).since(CHUNK))
    assert told.total == len(DATA)


def test_what_is_given_up_is_closed_at_once() -> None:
    source = Watched()
    with Content(source, BLOB) as content:
        next(iter(content))
        next(iter(content))
        assert (source.opened, source.closed) == (2, 1)
    assert source.closed == 2
