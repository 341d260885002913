"""How the lines of a busy source are written: by C, by Python made for its layout, or one by one.

Each does what the next cannot, or what it does badly: C (``rows``) stops at whatever is not plain,
and where much is not, a generated formatter (``generated``) is faster than to stop so often; that
one knows nothing of records shorter than their layout. On the path of ``ebpm run``.
"""

from __future__ import annotations

from ebpm.event import Batch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ebpm.btf.decode import Buffer
    from ebpm.output.generated import Formatter
    from ebpm.output.rows import Rows
    from ebpm.output.stream import Stream
    from ebpm.output.style import Style

_STRANGE_PART = 32  # one record for so many may be left by C to others
_STRANGE_FREE = 8  # ... and so many more, of each _WINDOW of records
_WINDOW = 4096
_REST, _LONGEST_REST = 1 << 16, 1 << 24  # records before C is tried again


class Writer:
    """Writes the lines of one source.

    Args:
        style: of the lines.
        size: of the layout in bytes.
        one: writes a record, without what begins and ends a line: the reference.
        pure: do without C.
    """

    def __init__(
        self, style: Style, size: int, one: Callable[[Buffer], str], *, pure: bool
    ) -> None:
        self._style = style
        self._size = size
        self._one = one
        self._formatter: Formatter | None = None
        self._rows = None if pure else _rows(style)
        self._seen = self._strange = 0  # records of this window, and those that C left
        self._rest, self._resting = _REST, 0

    def write(self, batch: Batch, start: str, end: str, stream: Stream) -> None:
        """Write the records of a batch, each between two texts.

        Raises:
            OutputClosed, OutputFailed: as the stream does.
        """
        if batch.size < self._size:
            self._write_singly(batch, start, end, stream)
        elif self._rows is None:
            self._write_generated(batch, start, end, stream)
        elif self._resting > 0:
            self._resting -= batch.count
            self._write_generated(batch, start, end, stream)
        else:
            self._write_rows(self._rows, batch, start, end, stream)

    def _write_rows(self, rows: Rows, batch: Batch, start: str, end: str, stream: Stream) -> None:
        for piece in rows.lines(batch, start, end):
            if not isinstance(piece, int):
                stream.write(piece)
                continue
            self._strange += 1
            if self._strange > _STRANGE_FREE + (self._seen + piece) // _STRANGE_PART:
                self._seen = self._strange = 0
                self._resting, self._rest = self._rest, min(2 * self._rest, _LONGEST_REST)
                self._write_generated(batch.tail(piece), start, end, stream)
                return
            self._write_singly(batch.tail(piece).head(1), start, end, stream)
        self._seen += batch.count
        if self._seen >= _WINDOW:
            self._seen = self._strange = 0

    def _write_generated(self, batch: Batch, start: str, end: str, stream: Stream) -> None:
        if self._formatter is None:
            from ebpm.output.generated import Formatter

            self._formatter = Formatter(self._style, self._size)
        lines = self._formatter.lines(batch)
        if lines is None:
            self._write_singly(batch, start, end, stream)
            return
        between = f"{end}{start}".join(lines)
        stream.write(f"{start}{between}{end}")

    def _write_singly(self, batch: Batch, start: str, end: str, stream: Stream) -> None:
        lines = [f"{start}{self._one(record)}{end}" for record in batch.records()]
        stream.write("".join(lines))


def prepare(*, pure: bool) -> None:
    """Import what a busy source will need, for one that has no time for it later."""
    import ebpm.output.style

    if pure or not available():
        import ebpm.output.generated  # noqa: F401


def available() -> bool:
    """Tell whether there is C for this machine."""
    from ebpm.output.rows import NotWritten, load

    try:
        load()
    except NotWritten:
        return False
    return True


def _rows(style: Style) -> Rows | None:
    from ebpm.output.rows import NotWritten, Rows

    try:
        return Rows(style)
    except NotWritten:
        return None
