"""Records that hold stack traces, whoever prints them."""

from __future__ import annotations

from ebpm.event import EVENTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Protocol

    from ebpm.btf.decode import Buffer
    from ebpm.event import Source

    class Frame(Protocol):
        """An address, and what is known of it; see :class:`ebpm.symbols.frame.Frame`."""

        address: int
        symbol: str | None
        offset: int | None
        module: str | None
        module_offset: int | None
        build_id: str | None

    class Symbols(Protocol):
        """Who names addresses; see :class:`ebpm.symbols.symbolizer.Symbolizer`."""

        def kernel(self, addresses: Sequence[int]) -> Sequence[Frame]:
            """Name a stack of the kernel."""

        def user(self, pid: int, addresses: Sequence[int]) -> Sequence[Frame]:
            """Name a stack of a process."""


_COUNTS = ("count", "samples", "value", "hits")


class Trace:
    """One record's stacks, innermost frame first; either may be empty.

    ``parts`` are the record's members, by the name of the part: "" for an event, else an entry's
    ``key`` and ``value``. ``count`` is how often the stack was seen: 1 for an event, what the value
    says for the entry of a map.
    """

    __slots__ = ("comm", "count", "cpu", "kernel", "parts", "pid", "user")

    def __init__(self, source: Source, record: Buffer, symbols: Symbols) -> None:
        where = source.stack
        assert where is not None
        value = source.read(record, 0)
        self.parts: dict[str, Any] = {"": value} if source.form == EVENTS else value
        fields: dict[str, Any] = {}  # a key's members go before a value's of the same name
        for part in ("value", "key", ""):
            fields |= self.parts.get(part) or {}
        self.pid = _number(fields, "pid", where.names)
        self.cpu = _number(fields, "cpu_id", where.names)
        comm = fields.get(where.names.get("comm", ""))
        self.comm = comm if isinstance(comm, str) else None
        kernel = _addresses(source, fields, "kstack")
        user = _addresses(source, fields, "ustack")
        if where.symbols:
            self.kernel = symbols.kernel(kernel)
            self.user = symbols.user(self.pid if self.pid is not None else -1, user)
        else:
            self.kernel, self.user = _bare(kernel), _bare(user)
        self.count = 1 if source.form == EVENTS else entry_count(value)


def _number(fields: dict[str, Any], role: str, names: dict[str, str]) -> int | None:
    found = fields.get(names.get(role, ""))
    return found if isinstance(found, int) else None


class BareFrame:
    """An address that nobody is to name."""

    __slots__ = ("address", "build_id", "module", "module_offset", "offset", "symbol")

    def __init__(self, address: int) -> None:
        self.address = address
        self.symbol: str | None = None
        self.offset: int | None = None
        self.module: str | None = None
        self.module_offset: int | None = None
        self.build_id: str | None = None


def _bare(addresses: list[int]) -> Sequence[Frame]:
    return [BareFrame(one) for one in addresses]


def _addresses(source: Source, fields: dict[str, Any], role: str) -> list[int]:
    """Read a stack: the array cut to its size, or what the stack map has under an id."""
    assert source.stack is not None
    names = source.stack.names
    stack = fields.get(names.get(role, ""))
    if isinstance(stack, int):
        if stack < 0 or stack >> 31 or source.stack.frames is None:  # an errno rather than an id
            return []
        return source.stack.frames(stack)
    if not isinstance(stack, list):
        return []
    size = fields.get(names.get(f"{role}_sz", ""))
    if isinstance(size, int):
        return [one for one in stack[: max(size, 0) // 8] if isinstance(one, int)]
    length = next((at for at, one in enumerate(stack) if not one), len(stack))
    return stack[:length]


def entry_count(entry: dict[str, Any]) -> int:
    """Find the number of an entry that says how often: by its name, else the value's first."""
    numbers = {
        name: one
        for name, one in entry["value"].items()
        if isinstance(one, int) and not isinstance(one, bool)
    }
    for name in _COUNTS:
        if name in numbers:
            return numbers[name]
    return next(iter(numbers.values()), 1)
