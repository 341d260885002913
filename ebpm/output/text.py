"""Each source the way that suits it: tables, trace lines, histograms, stacks."""

from __future__ import annotations

from ebpm.event import ENTRIES, EVENTS, LINES
from ebpm.output.lines import trace_lines
from ebpm.output.table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ebpm.event import Batch
    from ebpm.output.sink import Sink
    from ebpm.output.stream import Stream


class Text:
    """A sink that prints tables, and lines, histograms and stacks of the sources that are such.

    Args:
        stream: where to.
        colour: whether it is a terminal that may be coloured.
        timestamps: whether TIME is by RFC 3339.
        stacks: who prints the sources that have stacks.
        pure: do without C.
    """

    def __init__(
        self,
        stream: Stream,
        *,
        colour: bool = False,
        timestamps: bool = False,
        stacks: Sink | None = None,
        pure: bool = False,
    ) -> None:
        self._stream = stream
        self._stacks = stacks
        self._timestamps = timestamps
        self._colour = colour
        self._table = Table(stream, colour=colour, timestamps=timestamps, pure=pure)
        self._histograms: Sink | None = None

    def write(self, batch: Batch) -> None:
        """Print the records of a batch."""
        if batch.source.stack is not None and self._stacks is not None:
            self._table.interrupt()
            self._stacks.write(batch)
            return
        if batch.source.form in (EVENTS, ENTRIES):
            self._table.write(batch)
            return
        self._table.interrupt()
        if batch.source.form == LINES:
            self._stream.write(trace_lines(batch))
            return
        if self._histograms is None:
            from ebpm.output.histograms import Histograms

            self._histograms = Histograms(
                self._stream, colour=self._colour, timestamps=self._timestamps
            )
        self._histograms.write(batch)
