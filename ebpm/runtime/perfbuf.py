"""A perf event array read through mmap: one ring for each CPU, in batches.

The perf events are opened here rather than by libbpf, which wakes the reader for every record; with
a watermark, a busy stream costs the traced processes a tenth. But nobody would be woken by a quiet
one. So each ring has two perf events that write into it, one that wakes at every record and one
that wakes at the watermark, and the map holds that which suits the stream. Layout:
include/uapi/linux/perf_event.h, ``struct perf_event_mmap_page``; who wakes when:
kernel/events/ring_buffer.c, ``perf_output_end`` (the event's own wakeup_events) and
``perf_output_begin`` (the ring's watermark, that of the event which was mapped).
"""

from __future__ import annotations

import errno
import mmap
import os
import struct

from ebpm.event import Batch
from ebpm.runtime.libbpf.syscalls import open_bpf_output, write_into
from ebpm.runtime.rings import batch_limit, count_alike, fence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ebpm.event import Source
    from ebpm.runtime.libbpf.binding import Map

_HEAD_AT, _TAIL_AT = 1024, 1032  # data_head and data_tail
_RECORD_LOST, _RECORD_SAMPLE = 2, 9
_HEADER = struct.Struct("=IHH")  # type, misc, size
_RAW = 12  # the header, and the 32-bit size of the raw data


class PerfBuffer:
    """The rings of one perf event array map.

    Args:
        array: the map.
        pages: of data in each ring; a power of two.
        source: what the records are.

    Raises:
        OSError: a perf event cannot be opened; nothing stays open then.
    """

    def __init__(self, array: Map, pages: int, source: Source) -> None:
        self.source = source
        self.size = pages * mmap.PAGESIZE  # bytes, of each ring
        self.lost = 0
        self._rings: list[_Ring] = []
        self._array = array
        self._busy = False
        try:
            for cpu in online_cpus():
                try:
                    ring = _Ring(cpu, pages)
                except OSError as error:
                    if error.errno == errno.ENODEV:  # went offline meanwhile
                        continue
                    raise
                self._rings.append(ring)
                self._write_through(ring, ring.quiet_fd)
        except BaseException:
            self.close()
            raise

    def _write_through(self, ring: _Ring, fd: int) -> None:
        self._array.update(struct.pack("=I", ring.cpu), struct.pack("=I", fd))

    def expect(self, *, busy: bool) -> None:
        """Have the reader woken at the watermark from now on, or by every record.

        What was written just before still lies in the rings, and wakes nobody.
        """
        if busy != self._busy:
            self._busy = busy
            for ring in self._rings:
                self._write_through(ring, ring.fd if busy else ring.quiet_fd)

    @property
    def fds(self) -> list[int]:
        """The descriptors that become readable at the watermark."""
        return [ring.fd for ring in self._rings]

    def read(self) -> Iterator[Batch]:
        """Take all that is there now. A batch is valid until the next is asked for."""
        for ring in self._rings:
            for kind, data, start, size, stride, count in ring.read():
                if kind == _RECORD_SAMPLE:
                    yield Batch(self.source, data, start, size, stride, count)
                elif kind == _RECORD_LOST:
                    self.lost += struct.unpack_from("=Q", data, start + 16)[0]

    @property
    def waiting(self) -> float:
        """How full the fullest ring is, 0 to 1."""
        return max((ring.waiting for ring in self._rings), default=0.0)

    def close(self) -> None:
        """Close the perf events. May be called twice."""
        for ring in self._rings:
            ring.close()
        self._rings = []


class _Ring:
    """One CPU's ring; records wrap at its end."""

    def __init__(self, cpu: int, pages: int) -> None:
        page = mmap.PAGESIZE
        self.cpu = cpu
        self._size = pages * page
        self.fd = open_bpf_output(cpu, watermark=self._size // 8)
        self.quiet_fd = -1
        try:
            self._map = mmap.mmap(self.fd, page + self._size, mmap.MAP_SHARED)
            self.quiet_fd = open_bpf_output(cpu)
            write_into(self.quiet_fd, self.fd)
        except BaseException:
            self._close_events()
            raise
        whole = memoryview(self._map)
        self._head = whole[_HEAD_AT : _HEAD_AT + 8].cast("Q")
        self._tail = whole[_TAIL_AT : _TAIL_AT + 8].cast("Q")
        self._data = whole[page:]
        self._words = self._data.cast("Q")
        self._whole = whole

    def read(self) -> Iterator[tuple[int, bytes | memoryview, int, int, int, int]]:
        """Walk the records: type, buffer, offset of the data, its size, stride and count."""
        position, end = self._tail[0], self._head[0]
        fence()
        while position < end:
            at = position & (self._size - 1)
            kind, _, length = _HEADER.unpack_from(self._data, at)  # 8-aligned: never wraps
            if length < 8:
                raise OSError(errno.EIO, "the perf ring holds a record without a length")
            if at + length > self._size:
                data: bytes | memoryview = b"".join(
                    (self._data[at:], self._data[: at + length - self._size])
                )
                record, count = 0, 1
            else:
                data, record = self._data, at
                most = min(end - position, self._size - at) // length
                count = self._alike(at, length, most) if kind == _RECORD_SAMPLE else 1
            if kind == _RECORD_SAMPLE:
                (size,) = struct.unpack_from("=I", data, record + 8)
                yield kind, data, record + _RAW, min(size, length - _RAW), length, count
            else:
                yield kind, data, record, length, length, count
            fence()
            position += count * length
            self._tail[0] = position

    def _alike(self, at: int, length: int, most: int) -> int:
        """Count the records from here that have the same header.

        They hold nothing but raw data, whose size the kernel rounds up to fill the record: it is
        the same where the records' lengths are.
        """
        if length % 8:
            return 1
        most = min(most, batch_limit(self._size, length))
        return count_alike(self._words, at >> 3, length >> 3, most)

    @property
    def waiting(self) -> float:
        """How full it is, 0 to 1."""
        return (self._head[0] - self._tail[0]) / self._size

    def close(self) -> None:
        for view in (self._words, self._head, self._tail, self._data, self._whole):
            view.release()
        try:
            self._map.close()
        except BufferError:  # somebody keeps a batch; unmapped with the last of them
            pass
        finally:
            self._close_events()

    def _close_events(self) -> None:
        for fd in (self.quiet_fd, self.fd):
            if fd >= 0:
                os.close(fd)


def online_cpus() -> list[int]:
    """List the CPUs that are online, from /sys/devices/system/cpu/online ("0-3,5")."""
    try:
        with open("/sys/devices/system/cpu/online", encoding="ascii") as file:
            text = file.read().strip()
    except OSError:
        return sorted(os.sched_getaffinity(0))
    cpus: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        cpus += range(int(first), int(last or first) + 1)
    return cpus
