"""Events as a table, in eunomia-bpf's column layout.

The header is TIME padded to 9, then each name in capitals, padded to 6 or to the column's width,
and two spaces. A value begins below its header; where the one before has run over that place, and
for the first column always, one space separates them. A sampled map's columns are those of its key,
then of its value.
"""

from __future__ import annotations

from ebpm.btf import layout as kinds
from ebpm.event import ENTRIES
from ebpm.output.clock import time_of_day, timestamp
from ebpm.output.escape import escape
from ebpm.output.values import json_value
from ebpm.plainjson import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ebpm.btf.decode import Buffer
    from ebpm.btf.layout import Layout, Member
    from ebpm.event import Batch, Source
    from ebpm.output.busy import Writer
    from ebpm.output.stream import Stream

_NAME_WIDTH, _GAP = 6, 2
_WIDTHS = {  # of the types that are ours alone
    kinds.ADDRESS: 15,  # of IPv4; those of IPv6 run over
    kinds.SYSCALL: 16,
    kinds.SIGNAL: 9,
    kinds.ERRNO: 9,
    kinds.RESULT: 9,
}
_TEXTS = (kinds.STRING, kinds.ENUM)  # may be cut; digits, addresses and short names are not
_LAST = 24  # characters that a text in the last column is to have, where others can give them
BUSY = 64  # records, after which a writer of its own pays for a source
_CLOCK_WIDTH, _STAMP_WIDTH = 8, 32
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"


class Table:
    """A sink that prints rows as they come.

    On a terminal rows are as wide as it is, and a table that is sorted has an empty line and its
    header between two readings.

    Args:
        stream: where to.
        colour: whether headers may be emphasised.
        timestamps: whether TIME is a date and a time by RFC 3339 rather than the time of day.
        pure: do without C.
    """

    def __init__(
        self,
        stream: Stream,
        *,
        colour: bool = False,
        timestamps: bool = False,
        pure: bool = False,
    ) -> None:
        self._stream = stream
        self._pure = pure
        self._colour = colour
        self._clock = timestamp if timestamps else time_of_day
        self._width = _STAMP_WIDTH if timestamps else _CLOCK_WIDTH
        self._columns: dict[str, Columns] = {}
        self._last: Source | None = None  # whose header stands above the rows
        self._terminal = stream.is_terminal()
        self._room = 0  # columns of the terminal; 0 is no terminal, where nothing is cut

    def write(self, batch: Batch) -> None:
        """Print the records of a batch; a header first where another source had the word."""
        source = batch.source
        lines = []
        if self._terminal:
            self._measure()
            if source.ranked and self._last is source:
                lines.append("")
                self._last = None
        if self._last is not source:
            lines.append(self._header(source))
            self._last = source
        clock = self._clock().ljust(self._width)
        if source.layout is None:
            lines += [_raw_row(clock, bytes(record)) for record in batch.records()]
        else:
            columns = self._of(source)
            writer = columns.writer(batch) if not self._room else None
            if writer is not None:
                self._stream.write("".join(f"{line}\n" for line in lines))
                writer.write(batch, f"{clock} ", "\n", self._stream)
                return
            rows = [columns.row(clock, source.read(record, 0)) for record in batch.records()]
            lines += [self._cut(row) for row in rows] if self._room else rows
        lines.append("")
        self._stream.write("\n".join(lines))

    def interrupt(self) -> None:
        """Say that something else was printed: the next batch gets its header again."""
        self._last = None

    def _header(self, source: Source) -> str:
        raw = f"{'TIME':<{self._width}} SIZE    DATA"
        text = self._of(source).header if source.layout else raw
        text = self._cut(text.rstrip()) if self._room else text
        return f"{_BOLD}{text}{_PLAIN}" if self._colour else text

    def _of(self, source: Source) -> Columns:
        if source.name not in self._columns:
            assert source.layout is not None
            entries = source.form == ENTRIES
            self._columns[source.name] = Columns(
                source.layout, self._width, entries=entries, room=self._room, pure=self._pure
            )
        return self._columns[source.name]

    def _measure(self) -> None:
        """See how wide the terminal is by now."""
        room = self._stream.columns()
        if room != self._room:
            self._room = room
            self._columns.clear()
            self._last = None

    def _cut(self, line: str) -> str:
        from ebpm.output.fit import cut

        return cut(line, self._room)


class Columns:
    """The header of a struct's table, and rows that stand below it.

    Args:
        layout: of the struct.
        width: characters of the time.
        entries: the struct is a map's entry, whose parts have the columns.
        pure: do without C.
        room: columns of the terminal that the table is to fit; 0 for any width.
    """

    def __init__(
        self,
        layout: Layout,
        width: int = _CLOCK_WIDTH,
        *,
        entries: bool = False,
        pure: bool = False,
        room: int = 0,
    ) -> None:
        self._layout = layout
        self._pure = pure
        self._entries = entries
        self._seen = 0
        self._writer: Writer | None = None
        self._places: list[tuple[str, str, Layout, int]] = []  # part, member, layout, column
        header = f"{'TIME':<{width}} "
        self._width = width
        shown = _parts(layout) if entries else [("", one) for one in named_members(layout)]
        names = [member.name.upper() for _, member in shown]
        widths = [max(_width(member), len(member.name)) + _GAP for _, member in shown]
        self._room = room
        self._cuts: dict[int, int] = {}  # by column, what its cells are cut to; 0: what is left
        if room:
            widths = self._fit(widths, [member for _, member in shown], room - len(header))
        for (part, member), name, wide in zip(shown, names, widths, strict=True):
            self._places.append((part, member.name, member.layout, len(header)))
            header += name.ljust(wide)
        self.header = header

    def _fit(self, widths: list[int], shown: list[Member], room: int) -> list[int]:
        """Make columns narrower where the terminal has too few, and have their texts cut."""
        from ebpm.output.fit import fitted

        least = [_least(member) + 1 for member in shown]
        if least:
            least[0] += 1  # cells of the first column stand one to the right of its name
            if shown[-1].layout.kind == kinds.STRING:  # such as a path: worth more than the others
                least[-1] = max(least[-1], _LAST)
                self._cuts[len(shown) - 1] = 0
        narrow = fitted(widths, least, room)
        self._cuts |= {
            at: narrow[at] - 1 - (not at)
            for at in range(len(widths) - 1)
            if narrow[at] < widths[at]
        }
        return narrow

    def writer(self, batch: Batch) -> Writer | None:
        """Give who writes the rows of a busy source; None while it is not busy, or has none."""
        if self._seen < BUSY:
            self._seen += batch.count
            if self._seen >= BUSY and not self._entries:
                self._writer = self._make_writer(batch.source)
        return self._writer

    def _make_writer(self, source: Source) -> Writer | None:
        from ebpm.output.busy import Writer
        from ebpm.output.style import Style, flat_members

        members = flat_members(self._layout)
        if members is None:
            return None
        first = self._width + 1
        places = [place - first for _, _, _, place in self._places]

        def one(record: Buffer) -> str:
            return self.row("", source.read(record, 0))[first:]

        style = Style(members, value_text, self._gaps, places)
        return Writer(style, self._layout.size, one, pure=self._pure)

    def _gaps(self, lengths: list[int]) -> list[str]:
        """Tell the space before each cell, and after the last, which is none."""
        gaps, at = [], self._width + 1
        for length, (_, _, _, place) in zip(lengths, self._places, strict=True):
            gap = max(place - at, 1)
            gaps.append(" " * gap)
            at += gap + length
        return [*gaps, ""]

    def row(self, clock: str, fields: dict[str, Any]) -> str:
        """Write the row of a decoded struct."""
        line = f"{clock:<{self._width}} "
        for at, (part, name, layout, place) in enumerate(self._places):
            line = line.ljust(place) if place > len(line) else line + " "
            cell = value_text(layout, (fields[part] if part else fields).get(name))
            if at in self._cuts and layout.kind in _TEXTS:
                from ebpm.output.fit import cut, cut_middle

                if self._cuts[at]:
                    cell = cut(cell, self._cuts[at])
                else:
                    cell = cut_middle(cell, self._room - len(line))
            line += cell
        return line


def _width(member: Member) -> int:
    """Tell how wide a column is: as its tool says, else by its type, else as eunomia-bpf has it."""
    return max(member.width or _WIDTHS.get(member.layout.kind, 0), _NAME_WIDTH)


def _least(member: Member) -> int:
    """Tell how narrow a column may become on a terminal."""
    name, kind = len(member.name), member.layout.kind
    if kind in _TEXTS:
        return name
    return max(name, _WIDTHS.get(kind, 0) if kind == kinds.ADDRESS else _NAME_WIDTH)


def _parts(layout: Layout) -> list[tuple[str, Member]]:
    """List the columns of an entry: of its key, its CPU, its value."""
    found: list[tuple[str, Member]] = []
    for member in layout.members:
        if member.layout.kind == kinds.STRUCT:
            found += [(member.name, one) for one in named_members(member.layout)]
        else:
            found.append(("", member))
    return found


def named_members(layout: Layout) -> list[Member]:
    """List the members, those of anonymous members in their place."""
    found: list[Member] = []
    for member in layout.members:
        found += [member] if member.name else named_members(member.layout)
    return found


def value_text(layout: Layout, value: Any) -> str:  # noqa: ANN401  # decoded
    """Write a value as a cell: text as it is but for hostile characters, the rest as JSON."""
    if value is None:
        return "-"
    if layout.kind == kinds.STRING:
        return escape(value)
    if layout.kind == kinds.BOOL:
        return "true" if value else "false"
    if layout.kind == kinds.ENUM:
        return escape(str(value))
    if layout.kind in kinds.NAMED:
        from ebpm.btf.numbers import number_text

        return number_text(layout.kind, value)
    if isinstance(value, int):
        return str(value)
    plain = json_value(layout, value)
    return escape(plain if isinstance(plain, str) else dumps(plain))


def _raw_row(clock: str, record: bytes) -> str:
    return f"{clock}  {len(record):<7} {record.hex()}"
