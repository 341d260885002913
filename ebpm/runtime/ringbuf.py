"""A BPF ring buffer read through mmap, in batches.

Layout: kernel/bpf/ringbuf.c. One page that we write (the consumer position), then one that the
kernel writes (the producer position), then the data, mapped twice in a row so that no record wraps.
Each record is a 32-bit length with a busy and a discard bit, 32 bits for the kernel, and the data,
rounded up to 8 bytes.
"""

from __future__ import annotations

import mmap

from ebpm.event import Batch
from ebpm.runtime.rings import batch_limit, count_alike, fence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ebpm.event import Source

_BUSY, _DISCARD = 1 << 31, 1 << 30
_HEADER = 8


class RingBuffer:
    """One ring buffer map.

    Args:
        fd: the map; :meth:`close` leaves it open.
        size: its max_entries, in bytes.
        source: what its records are.
    """

    def __init__(self, fd: int, size: int, source: Source) -> None:
        page = mmap.PAGESIZE
        self.fd = fd
        self.source = source
        self.full = 0  # times that there was no room for one more: the program may have lost some
        self._largest = 64
        self.size, self._mask = size, size - 1
        protection = mmap.PROT_READ | mmap.PROT_WRITE
        self._consumer_map = mmap.mmap(fd, page, mmap.MAP_SHARED, protection, offset=0)
        self._producer_map = mmap.mmap(
            fd, page + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=page
        )
        # An item of a 'Q' view is read and written by one aligned 8-byte access; struct's "<Q"
        # goes byte by byte and could see half of an update.
        self._consumer = memoryview(self._consumer_map).cast("Q")
        self._producer = memoryview(self._producer_map)[:8].cast("Q")
        self._data = memoryview(self._producer_map)[page:]
        self._words = self._data.cast("I")

    def read(self) -> Iterator[Batch]:
        """Take all that is there now. A batch is valid until the next is asked for."""
        position, end = self._consumer[0], self._producer[0]
        fence()
        if self.size - (end - position) < self._largest:
            self.full += 1
        while position < end:
            at = position & self._mask
            header = self._words[at >> 2]
            if header & _BUSY:
                return
            size = header & ~_DISCARD
            stride = (size + 7) // 8 * 8 + _HEADER
            if header & _DISCARD:
                position += stride
                self._consumer[0] = position
                continue
            self._largest = max(self._largest, stride)
            # Committed ones of one size; of the data mapped twice, none is looked at twice.
            most = min((end - position) // stride, batch_limit(self.size, stride))
            count = count_alike(self._words, at >> 2, stride >> 2, most)
            fence()
            yield Batch(self.source, self._data, at + _HEADER, size, stride, count)
            fence()
            position += count * stride
            self._consumer[0] = position

    @property
    def waiting(self) -> float:
        """How full it is, 0 to 1."""
        return (self._producer[0] - self._consumer[0]) / self.size

    def close(self) -> None:
        """Unmap it. May be called twice."""
        for view in (self._words, self._data, self._producer, self._consumer):
            view.release()
        for mapped in (self._consumer_map, self._producer_map):
            try:
                mapped.close()
            except BufferError:  # somebody keeps a batch; unmapped with the last of them
                continue
