"""A map read at intervals: its entries as records of a key, for per-CPU maps the CPU, and a value.

The values of a per-CPU map are added up over the CPUs: numbers of up to 64 bits, wherever they
stand, wrapping as they do in C; whatever is no number comes from the first CPU whose value is not
all zero.
"""

from __future__ import annotations

import struct

from ebpm.btf import layout as kinds
from ebpm.btf.layout import Layout, Member
from ebpm.errors import InvalidParameter, MapUnreadable
from ebpm.event import Batch, Source
from ebpm.runtime.libbpf.binding import LibbpfError
from ebpm.runtime.libbpf.contents import Contents

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from ebpm.event import StackFields
    from ebpm.runtime.libbpf.binding import Map
    from ebpm.runtime.order import Order
    from ebpm.runtime.plan import SourcePlan

_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
_FLOATS = {4: "f", 8: "d"}
_LONGEST_WAIT = 3600.0  # seconds: any number may stand in the metadata, and epoll takes fewer
_LARGEST_FLOAT = 3.4028234663852886e38


class Sampler:
    """Reads one map each time that its interval has passed.

    Args:
        table: the map, loaded.
        plan: of the source; its layout is a struct of ``key`` (absent for queues) and ``value``.
        now: the monotonic clock, in seconds: the first reading is an interval later.
        interval: seconds; None for the tool's own.
        per_cpu: whether each CPU's value is a record of its own, with a member ``cpu``.
        stack: where the entries hold stack traces.
        sort: columns that rows are sorted by; None for the tool's own.
        rows: how many rows of a reading are shown, 0 for all; None for the tool's own.
    """

    def __init__(
        self,
        table: Map,
        plan: SourcePlan,
        now: float,
        *,
        interval: float | None = None,
        per_cpu: bool = False,
        stack: StackFields | None = None,
        sort: str | None = None,
        rows: int | None = None,
    ) -> None:
        assert plan.sample is not None
        assert plan.layout is not None
        self._entries = Contents(table)
        self._clear = plan.sample.clear
        self._interval = interval or plan.sample.interval / 1000
        self._next = now + self._interval
        apart = per_cpu and self._entries.cpus > 1
        layout = with_cpu(plan.layout) if apart else plan.layout
        sort = plan.sample.sort if sort is None else sort
        rows = plan.sample.limit if rows is None else rows
        self._order = _order(layout, sort, rows) if sort or rows else None
        self.source = Source(
            plan.name, layout, plan.form, plan.sample.unit, stack, ranked=self._order is not None
        )
        places = {one.name: one.bit_offset // 8 for one in layout.members}
        value = next(one.layout for one in layout.members if one.name == "value")
        self._value_at, self._cpu_at = places["value"], places.get("cpu", 0)
        self._size = layout.size
        self._apart = apart
        self._pids = _pid_column(plan.layout, stack) if stack else None
        self._add = _adder(value, self._entries.each, self._entries.value_size)

    def wait(self, now: float) -> float:
        """Tell the seconds until the next reading, or until this is to be asked again."""
        return min(max(self._next - now, 0.0), _LONGEST_WAIT)

    def due(self, now: float) -> bool:
        """Whether it is time to read; if so, the next reading is set. Missed ones are left out."""
        if now < self._next:
            return False
        self._next += self._interval
        if self._next <= now:
            self._next = now + self._interval
        return True

    def processes(self) -> set[int]:
        """Tell whose stacks lie in the map, by its keys; nothing is taken out."""
        if self._pids is None:
            return set()
        found: set[int] = set()
        try:
            for count, keys, _ in self._entries.read():
                whole = memoryview(keys)[: count * self._pids.size]
                found.update(pid for (pid,) in self._pids.iter_unpack(whole))
        except LibbpfError:
            pass  # the next reading says what is wrong
        return found

    def read(self) -> Iterator[Batch]:
        """Read all entries now. A batch is valid until the next is asked for.

        Those of a table that is sorted or limited come in one batch.

        Raises:
            MapUnreadable: the kernel refuses.
        """
        if self._order is None:
            yield from self._read()
            return
        best = self._order.best(one for batch in self._read() for one in batch.records())
        if best:
            yield Batch(self.source, b"".join(best), 0, self._size, self._size, len(best))

    def _read(self) -> Iterator[Batch]:
        make = self._apart_records if self._apart else self._records
        chunks = self._entries.read(take=self._clear)
        size = self._size
        while True:
            try:
                chunk = next(chunks, None)
            except LibbpfError as error:
                raise MapUnreadable(f"map {self.source.name}: {error.strerror}") from None
            if chunk is None:
                return
            records = make(*chunk)
            yield Batch(self.source, records, 0, size, size, len(records) // size)

    def _records(self, count: int, keys: bytes, values: bytes) -> bytearray:
        """Put keys and values beside each other."""
        entries, at = self._entries, self._value_at
        size, key_size, stride = self._size, entries.key_size, entries.stride
        records = bytearray(count * size)
        for one in range(count):
            place = one * size
            records[place : place + key_size] = keys[one * key_size : (one + 1) * key_size]
            value = values[one * stride : (one + 1) * stride]
            if entries.cpus > 1:
                value = self._add(value)
            place += at
            records[place : place + entries.value_size] = value[: entries.value_size]
        return records

    def _apart_records(self, count: int, keys: bytes, values: bytes) -> bytearray:
        """Make a record of each CPU's value."""
        entries, size = self._entries, self._size
        key_size, length = entries.key_size, entries.value_size
        records = bytearray(count * entries.cpus * size)
        place = 0
        for one in range(count):
            key = keys[one * key_size : (one + 1) * key_size]
            for cpu in range(entries.cpus):
                at = one * entries.stride + cpu * entries.each
                records[place : place + key_size] = key
                struct.pack_into("=I", records, place + self._cpu_at, cpu)
                start = place + self._value_at
                records[start : start + length] = values[at : at + length]
                place += size
        return records


def _pid_column(layout: Layout, stack: StackFields) -> struct.Struct | None:
    """Give what takes the process out of a key; None where it is not in there."""
    key = layout.members[0].layout
    for one in key.members if layout.members[0].name == "key" else ():
        if one.name == stack.names.get("pid") and not one.bits and one.layout.size in _CODES:
            before = one.bit_offset // 8
            after = key.size - before - one.layout.size
            return struct.Struct(f"={before}x{_CODES[one.layout.size]}{after}x")
    return None


def _order(layout: Layout, sort: str, rows: int) -> Order:
    from ebpm.runtime.order import Order

    try:
        return Order(layout, sort, rows)
    except ValueError as error:  # the column of CPUs, of a map that has none
        raise InvalidParameter(str(error)) from None


def with_cpu(layout: Layout) -> Layout:
    """Put the number of the CPU before the value."""
    *before, value = layout.members
    at = value.bit_offset
    cpu = Member("cpu", at, 0, Layout(kinds.INT, "u32", 4))
    moved = Member(value.name, at + 64, 0, value.layout)
    return Layout(kinds.STRUCT, "", layout.size + 8, members=(*before, cpu, moved))


def _adder(layout: Layout, stride: int, size: int) -> Callable[[bytes], bytes]:
    """Make the function that adds up the values of all CPUs, which are ``stride`` bytes apart."""
    numbers = [
        (at, struct.Struct(code), code[-1])
        for at, code in _numbers(layout, 0)
        if at + struct.calcsize(code) <= size
    ]

    def add(values: bytes) -> bytes:
        each = [values[at : at + size] for at in range(0, len(values), stride)]
        nothing = bytes(size)
        used = [one for one in each if one != nothing]
        if len(used) < 2:
            return used[0] if used else nothing
        total = bytearray(used[0])
        for at, form, code in numbers:
            columns = zip(*[form.unpack_from(one, at) for one in used], strict=True)
            form.pack_into(total, at, *[_wrapped(sum(column), code) for column in columns])
        return bytes(total)

    return add


def _wrapped(number: Any, code: str) -> Any:  # noqa: ANN401  # an int, or a float
    """Cut a sum to what its type holds."""
    if code in _FLOATS.values():
        too_large = code == "f" and abs(number) > _LARGEST_FLOAT
        return number * float("inf") if too_large else number
    return number & ((1 << 8 * struct.calcsize(code)) - 1)


def _numbers(layout: Layout, at: int) -> Iterator[tuple[int, str]]:
    """Walk the numbers of a value: where they stand, and the form of one or more for ``struct``."""
    element = layout.element
    if code := _code(layout):
        yield at, f"={code}"
    elif layout.kind == kinds.ARRAY and element is not None and (code := _code(element)):
        yield at, f"={layout.count}{code}"
    elif layout.kind == kinds.ARRAY and element is not None:
        for one in range(layout.count):
            yield from _numbers(element, at + one * element.size)
    elif layout.kind == kinds.STRUCT:
        for member in layout.members:
            if not member.bits:
                yield from _numbers(member.layout, at + member.bit_offset // 8)


def _code(layout: Layout) -> str:
    """Give the letter of a number for ``struct``; "" for what is none."""
    if layout.kind == kinds.INT:
        return _CODES.get(layout.size, "")  # unsigned: two's complement adds up alike
    return _FLOATS.get(layout.size, "") if layout.kind == kinds.FLOAT else ""
