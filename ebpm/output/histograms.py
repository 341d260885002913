"""Sampled maps whose values are histograms, as eunomia-bpf's loader prints them.

For each entry: ``key =`` and the key's columns, each after a space, with the extra space that the
first column has in tables too; a line ``name = value`` for each other member of the value; an empty
line; the histogram; an empty line. An entry that has counted nothing is left out.
"""

from __future__ import annotations

from ebpm.btf import layout as kinds
from ebpm.event import LOG2
from ebpm.output.clock import timestamp
from ebpm.output.histogram import linear_histogram, log2_histogram
from ebpm.output.table import named_members, value_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ebpm.btf.layout import Layout, Member
    from ebpm.event import Batch, Source
    from ebpm.output.stream import Stream

SLOTS = "slots"
"""The member of a value that holds the counts."""
_BESIDE_BAR, _BESIDE_LONG_BAR = 38, 58  # characters of a line that are not its bar
_SHORTEST, _LONGEST = 20, 100


class Histograms:
    """A sink that draws each entry of sampled maps.

    Args:
        stream: where to.
        colour: whether it is a terminal that may be coloured; bars then take its width.
        timestamps: whether a line with the date and time goes before each entry.
    """

    def __init__(self, stream: Stream, *, colour: bool = False, timestamps: bool = False) -> None:
        self._stream = stream
        self._colour = colour
        self._timestamps = timestamps

    def write(self, batch: Batch) -> None:
        """Draw the records of a batch."""
        source = batch.source
        for record in batch.records():
            lines = self._entry(source, source.read(record, 0))
            if lines:
                if self._timestamps:
                    lines.insert(0, timestamp())
                self._stream.write("\n".join([*lines, "", ""]))

    def _entry(self, source: Source, entry: dict[str, Any]) -> list[str]:
        assert source.layout is not None
        head: list[str] = []
        slots: list[int] = []
        for part in source.layout.members:
            value = entry[part.name]
            if part.name == "value":
                inner = [one for one in named_members(part.layout) if one.name != SLOTS]
                head += [f"{one.name} = {_cell(one, value)}" for one in inner]
                slots = value.get(SLOTS) or []
            elif part.layout.kind == kinds.STRUCT:
                cells = [_cell(one, value) for one in named_members(part.layout)]
                head.append(f"{part.name} =  {' '.join(cells)}")
            else:
                head.append(f"{part.name} = {value_text(part.layout, value)}")
        drawn = self._draw(source, slots)
        return [*head, "", *drawn] if drawn else []

    def _draw(self, source: Source, slots: list[int]) -> list[str]:
        width = self._width(slots) if self._colour else 0
        draw = log2_histogram if source.form == LOG2 else linear_histogram
        return draw(slots, source.unit, width=width, colour=self._colour)

    def _width(self, slots: list[int]) -> int:
        long = any(slots[33:])
        beside = _BESIDE_LONG_BAR if long else _BESIDE_BAR
        return min(max(self._stream.columns() - beside, _SHORTEST), _LONGEST)


def _cell(member: Member, around: dict[str, Any]) -> str:
    layout: Layout = member.layout
    return value_text(layout, around.get(member.name))
