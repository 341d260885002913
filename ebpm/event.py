"""What tools report: batches of records, and events, their decoded view.

Readers hand on batches; whoever prints, counts, filters or exports them decides how much of them to
decode. On the path of ``ebpm run``: imports nothing but our own layouts.
"""

from __future__ import annotations

from ebpm.btf.decode import reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from ebpm.btf.decode import Buffer, Reader
    from ebpm.btf.layout import Layout


EVENTS, LINES = "events", "lines"
ENTRIES, LOG2, LINEAR = "default_kv", "log2_hist", "linear_hist"
"""What the records of a source are, and how people want to see them: events as they come, in a
table or as the lines of a trace; or the entries of a map that is read at intervals, as a table or
as histograms (names: eunomia-bpf's)."""


class Source:
    """Where records come from: a map, by its name, and the layout of what it carries.

    ``layout`` is None where nobody knows what the records are. That of a sampled map is a struct
    of two, ``key`` and ``value``, which are structs themselves; ``unit`` heads its histograms.
    ``stack`` says where records hold stack traces, if they do. Of a ``ranked`` one each batch is a
    whole reading, the first rows first.
    """

    __slots__ = ("_reader", "form", "layout", "name", "ranked", "stack", "unit")

    def __init__(
        self,
        name: str,
        layout: Layout | None,
        form: str = EVENTS,
        unit: str = "(unit)",
        stack: StackFields | None = None,
        *,
        ranked: bool = False,
    ) -> None:
        self.name = name
        self.layout = layout
        self.form = form
        self.unit = unit
        self.stack = stack
        self.ranked = ranked
        self._reader: Reader | None = None

    @property
    def read(self) -> Reader:
        """The function (buffer, offset) -> value that decodes a record."""
        if self._reader is None:
            assert self.layout is not None
            self._reader = reader(self.layout)
        return self._reader


class StackFields:
    """Where records hold a stack trace.

    Args:
        names: of the members, by their roles: STACK_ROLES; an absent role has no member.
        symbols: whether addresses are to be named.
        frames: gives the addresses of a stack id; None where records hold the addresses.
        adds: of a sampled map: whether each reading counts anew (it is cleared), or goes on.
    """

    __slots__ = ("adds", "frames", "names", "symbols")

    def __init__(
        self,
        names: dict[str, str],
        *,
        symbols: bool,
        frames: Callable[[int], list[int]] | None,
        adds: bool = True,
    ) -> None:
        self.names = names
        self.symbols = symbols
        self.frames = frames
        self.adds = adds


STACK_ROLES = ("pid", "cpu_id", "comm", "kstack_sz", "ustack_sz", "kstack", "ustack")
"""What the members of a stack trace are, by eunomia-bpf's names: sizes are in bytes."""


class Batch:
    """Records of one source, one after another in one buffer.

    Record ``i`` is the ``size`` bytes at ``start + i * stride``. The buffer may be the kernel's own
    ring: it is valid until the reader is asked for the next batch. :meth:`events` copies.
    """

    __slots__ = ("count", "data", "size", "source", "start", "stride")

    def __init__(
        self, source: Source, data: Buffer, start: int, size: int, stride: int, count: int
    ) -> None:
        self.source = source
        self.data = data
        self.start = start
        self.size = size
        self.stride = stride
        self.count = count

    def records(self) -> Iterator[Buffer]:
        """Walk the records' bytes, each as long as the kernel says it is."""
        for at in range(self.start, self.start + self.count * self.stride, self.stride):
            yield self.data[at : at + self.size]

    def events(self) -> Iterator[Event]:
        """Walk the records as events that may be kept."""
        for record in self.records():
            yield Event(self.source, bytes(record))

    def head(self, count: int) -> Batch:
        """Take the first records only."""
        taken = min(count, self.count)
        return Batch(self.source, self.data, self.start, self.size, self.stride, taken)

    def tail(self, first: int) -> Batch:
        """Take the records from one on."""
        start = self.start + first * self.stride
        return Batch(self.source, self.data, start, self.size, self.stride, self.count - first)


class Event:
    """One record. ``fields`` decodes it when first asked for."""

    __slots__ = ("_fields", "raw", "source")

    def __init__(self, source: Source, raw: bytes) -> None:
        self.source = source
        self.raw = raw
        self._fields: dict[str, Any] | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """The members by name; ``{"data": bytes}`` where the layout is not known."""
        if self._fields is None:
            value = self.source.read(self.raw, 0) if self.source.layout else self.raw
            self._fields = value if isinstance(value, dict) else {"data": value}
        return self._fields

    def __repr__(self) -> str:
        """Show the source and the fields."""
        return f"Event({self.source.name!r}, {self.fields!r})"
