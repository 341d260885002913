"""What the readers of the kernel's rings share: a memory fence, and how records become batches."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_BATCH_LIMIT = 4096  # records: bounds the memory of whoever turns a batch into text
_PARTS, _FEW = 4, 64
_STRONGLY_ORDERED = ("x86_64", "i686", "s390x")


def _nothing() -> None:
    """Do nothing: the machine orders by itself."""


def _make_fence() -> Callable[[], None]:
    if os.uname().machine in _STRONGLY_ORDERED:
        return _nothing
    from _thread import allocate_lock

    lock = allocate_lock()
    lock.acquire()

    def swap() -> None:
        lock.release()
        lock.acquire()

    return swap


fence = _make_fence()
"""A full memory fence: the kernel writes on another CPU.

x86 and s390x order loads with loads, and loads with later stores, by themselves. Elsewhere what was
loaded before a ring's header, or stored after its data, may be seen in another order. Releasing and
taking a lock orders them (a store-release followed by a load-acquire, in CPython's PyThread locks),
at 0.1 µs a batch.
"""


def batch_limit(size: int, stride: int) -> int:
    """Tell how many records a batch may have.

    A quarter of their ring, so that the kernel gets room while they are written; but not so few
    that a batch costs more than its records, and no more than a ring holds.

    Args:
        size: of the ring, in bytes.
        stride: bytes of it that a record takes.
    """
    return min(max(size // _PARTS // stride, _FEW), _BATCH_LIMIT, (size - 1) // stride)


def count_alike(words: memoryview, first: int, step: int, most: int) -> int:
    """Count the records from one on that have the same header.

    Args:
        words: the ring, in words as long as the part of the header to compare.
        first: the index of the first record's header.
        step: words from one record to the next, if they are alike.
        most: records that may be looked at.
    """
    header, known, span = words[first], 1, 8
    while known < most:  # wider looks as they succeed: sizes may as well alternate
        span = min(known * span, most)
        headers = words[first : first + span * step : step].tolist()
        if headers.count(header) != span:
            while headers[known] == header:
                known += 1
            return known
        known = span
    return known
