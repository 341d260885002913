"""The reader of ring buffers, over a file laid out as the kernel lays out a ring."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpm.event import Source
from ebpm.runtime.ringbuf import RingBuffer
from ebpm.runtime.rings import batch_limit

BUSY, DISCARD = 1 << 31, 1 << 30
SIZE = 4096


class FakeRing:
    """What the kernel's side of a ring does; the second mapping of the data is kept in step."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("ring")
        os.ftruncate(self.fd, 2 * mmap.PAGESIZE + 2 * SIZE)
        self.memory = mmap.mmap(self.fd, 0)
        self.producer = 0
        self.reader = RingBuffer(self.fd, SIZE, Source("ring", None))

    @property
    def consumer(self) -> int:
        return int(struct.unpack_from("=Q", self.memory, 0)[0])

    def put(self, data: bytes, flags: int = 0) -> None:
        record = struct.pack("=II", len(data) | flags, 0) + data
        record += bytes(-len(record) % 8)
        assert self.producer + len(record) - self.consumer <= SIZE, "the test overfills the ring"
        base = 2 * mmap.PAGESIZE
        for at, byte in enumerate(record):
            place = (self.producer + at) % SIZE
            self.memory[base + place] = self.memory[base + SIZE + place] = byte
        self.producer += len(record)
        struct.pack_into("=Q", self.memory, mmap.PAGESIZE, self.producer)

    def commit(self, position: int) -> None:
        base = 2 * mmap.PAGESIZE + position % SIZE
        (word,) = struct.unpack_from("=I", self.memory, base)
        struct.pack_into("=I", self.memory, base, word & ~BUSY)

    def take(self) -> list[bytes]:
        return [bytes(record) for batch in self.reader.read() for record in batch.records()]

    def close(self) -> None:
        self.reader.close()
        self.memory.close()
        os.close(self.fd)


@pytest.fixture
def ring() -> Iterator[FakeRing]:
    fake = FakeRing()
    yield fake
    fake.close()


def test_an_empty_ring_has_no_batches(ring: FakeRing) -> None:
    assert ring.take() == []


def test_records_of_one_size_come_in_one_batch(ring: FakeRing) -> None:
    for number in range(5):
        ring.put(struct.pack("=I", number))
    (batch,) = [(batch.count, batch.size, batch.stride) for batch in ring.reader.read()]
    assert batch == (5, 4, 16)
    assert ring.consumer == ring.producer


def test_a_full_ring_is_emptied_by_quarters(ring: FakeRing) -> None:
    for number in range(SIZE // 16):
        ring.put(struct.pack("=I", number))
    free = [(batch.count, ring.producer - ring.consumer) for batch in ring.reader.read()]
    assert free == [(64, SIZE), (64, SIZE - 1024), (64, SIZE - 2048), (64, SIZE - 3072)]


@pytest.mark.parametrize(
    ("size", "stride", "records"),
    [(1 << 20, 312, 840), (1 << 24, 16, 4096), (4096, 56, 64), (4096, 2048, 1), (4096, 4096, 0)],
)
def test_a_batch_is_a_part_of_its_ring(size: int, stride: int, records: int) -> None:
    assert batch_limit(size, stride) == records


def test_records_of_mixed_sizes_come_in_their_order(ring: FakeRing) -> None:
    sent = [b"a", b"bb" * 9, b"ccc", b"ddd", b"", b"e" * 64]
    for data in sent:
        ring.put(data)
    assert ring.take() == sent


def test_discarded_records_are_skipped(ring: FakeRing) -> None:
    ring.put(b"one")
    ring.put(b"gone", DISCARD)
    ring.put(b"two")
    assert ring.take() == [b"one", b"two"]
    assert ring.consumer == ring.producer


def test_a_busy_record_stops_the_reader_until_it_is_committed(ring: FakeRing) -> None:
    ring.put(b"one!")
    place = ring.producer
    ring.put(b"busy", BUSY)
    ring.put(b"late")
    assert ring.take() == [b"one!"]
    assert ring.consumer == place
    ring.commit(place)
    assert ring.take() == [b"busy", b"late"]


def test_a_busy_record_among_alike_ones_ends_their_batch(ring: FakeRing) -> None:
    for number in range(3):
        ring.put(struct.pack("=I", number))
    place = ring.producer
    ring.put(struct.pack("=I", 3), BUSY)
    assert len(ring.take()) == 3
    assert ring.consumer == place


def test_the_space_of_a_batch_is_given_back_only_after_it_was_used(ring: FakeRing) -> None:
    ring.put(b"data")
    batches = ring.reader.read()
    next(batches)
    assert ring.consumer == 0
    assert next(batches, None) is None
    assert ring.consumer == ring.producer


def test_records_that_wrap_are_whole(ring: FakeRing) -> None:
    sent = []
    for number in range(200):
        data = struct.pack("=Q", number) * (number % 30 + 1)
        ring.put(data)
        sent.append(data)
        if number % 7 == 0:
            continue
        assert ring.take() == sent
        sent = []


def test_a_full_ring_is_noticed(ring: FakeRing) -> None:
    while ring.producer - ring.consumer <= SIZE - 64:
        ring.put(b"x" * 56)
    assert not ring.reader.full
    ring.take()
    assert ring.reader.full


def test_closing_while_a_record_is_kept_is_no_error(ring: FakeRing) -> None:
    ring.put(b"data")
    record = next(next(ring.reader.read()).records())
    ring.reader.close()
    assert bytes(record) == b"data"


def test_a_batch_of_a_closed_reader_is_refused_rather_than_read(ring: FakeRing) -> None:
    ring.put(b"data")
    batch = next(ring.reader.read())
    ring.reader.close()
    with pytest.raises(ValueError, match="released"):
        list(batch.records())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.binary(max_size=80), st.sampled_from([0, DISCARD])), max_size=12),
        max_size=20,
    )
)
def test_whatever_is_put_in_comes_out(rounds: list[list[tuple[bytes, int]]]) -> None:
    fake = FakeRing()
    try:
        for records in rounds:
            for data, flags in records:
                fake.put(data, flags)
            assert fake.take() == [data for data, flags in records if not flags]
    finally:
        fake.close()
