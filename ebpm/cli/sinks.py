"""Who prints what a tool reports, by the options of the run. On the path of ``ebpm run``."""

from __future__ import annotations

from ebpm.cli.report import note, warn
from ebpm.errors import OutputFailed, UsageError
from ebpm.runtime.plan import PERF_EVENT_ARRAY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any

    from ebpm.event import Batch
    from ebpm.output.folded import Folded
    from ebpm.output.sink import Sink
    from ebpm.output.stream import Stream
    from ebpm.runtime.plan import Plan
    from ebpm.symbols.symbolizer import Symbolizer


_FOLDED_INTERVAL = 1.0


class Outlet:
    """The sink of a run: passes batches on, and knows what is left to do at the end.

    Args:
        options: ``json``, ``timestamps``, ``folded``, ``flamegraph``, ``sort``, ``rows``.
        plan: of the tool.
        stream: where events go.
        colour: whether it is a terminal that may be coloured.
        pure: write the lines of busy tools without C.

    Raises:
        UsageError: stacks are asked for, and the tool reports none.
        OutputFailed: the flame graph's file cannot be written.
    """

    def __init__(
        self,
        options: dict[str, Any],
        plan: Plan,
        stream: Stream,
        *,
        colour: bool,
        pure: bool,
    ) -> None:
        self._stream = stream
        self._title = plan.name
        self._order: tuple[str | None, int | None] = (options["sort"], options["rows"])
        if plan.printk is True:
            warn(
                f"{plan.name}: the formats of its bpf_printk are not known: the lines of all BPF "
                "programs are shown"
            )
        for one in plan.sources:
            if one.unknown:
                warn(
                    f"{plan.name}: what map {one.name} carries is not known ({one.unknown}): its "
                    "events are shown as sizes and bytes in hex"
                )
        self._prints_folded = bool(options["folded"])
        self._file: _Svg | None = None
        self._folded: Folded | None = None
        self._symbols: Symbolizer | None = None
        self._shown: Sink | None = None
        if any(one.stack for one in plan.sources):
            from ebpm.symbols.symbolizer import Symbolizer

            self._symbols = Symbolizer()
        if options["folded"] or options["flamegraph"]:
            self._folded = self._make_folded(plan)
        if options["flamegraph"]:  # opened last: nothing is lost by a mistake
            self._file = _Svg(options["flamegraph"])
        if not self._folded or options["json"]:
            self._shown = self._make_shown(options, plan, colour=colour, pure=pure)

    def _make_folded(self, plan: Plan) -> Folded:
        if self._symbols is None:
            raise UsageError(
                f"{plan.name} reports no stack traces",
                hint="--folded and --flamegraph are for tools that do; see docs/spec/output.md",
            )
        from ebpm.output.folded import Folded

        return Folded(self._symbols)

    def _make_shown(self, options: dict[str, Any], plan: Plan, *, colour: bool, pure: bool) -> Sink:
        if any(one.kind == PERF_EVENT_ARRAY for one in plan.sources):
            # Their rings are small: a burst fills one while this is being imported.
            from ebpm.output.busy import prepare

            prepare(pure=pure)
        timestamps = bool(options["timestamps"])
        if options["json"]:
            from ebpm.output.jsonl import JsonLines

            named = len(plan.sources) > 1
            lines = JsonLines(self._stream, named=named, timestamps=timestamps, pure=pure)
            if self._symbols is None:
                return lines
            from ebpm.output.stacks import StackLines

            stacks = StackLines(self._stream, self._symbols, named=named, timestamps=timestamps)
            return _Either(lines, stacks)
        from ebpm.output.text import Text

        text = None
        if self._symbols is not None:
            from ebpm.output.stacks import StackText

            text = StackText(self._stream, self._symbols, timestamps=timestamps)
        return Text(self._stream, colour=colour, timestamps=timestamps, stacks=text, pure=pure)

    @property
    def interval(self) -> float | None:
        """Seconds between readings of sampled maps: stacks get names while processes live."""
        return _FOLDED_INTERVAL if self._folded is not None and self._shown is None else None

    @property
    def order(self) -> tuple[str | None, int | None]:
        """How the session is to sort and limit the rows of sampled maps: what is folded, not."""
        return self._order if self._folded is None else ("", 0)

    @property
    def look(self) -> Callable[[Collection[int]], None] | None:
        """Who learns where the code of processes lies, before their stacks are read."""
        return None if self._symbols is None else self._symbols.look

    def write(self, batch: Batch) -> None:
        """Take the records of a batch."""
        if self._folded is not None:
            self._folded.write(batch)
        if self._shown is not None:
            self._shown.write(batch)

    def finish(self) -> None:
        """Print and draw what was counted until the end."""
        if self._symbols is not None and self._symbols.kernel_hidden:
            warn("the kernel hides its addresses: its functions have no names (run as root)")
        if self._folded is None:
            return
        totals = self._folded.totals()
        if self._file is not None:
            from ebpm.output.flamegraph import flamegraph

            self._file.write(flamegraph(totals, self._title))
            note(f"wrote {self._file.path}")
        if self._prints_folded:
            from ebpm.output.folded import folded_text

            self._stream.write(folded_text(totals))


class _Either:
    """A sink that gives sources with stacks to one and the others to another."""

    def __init__(self, plain: Sink, stacks: Sink) -> None:
        self._plain, self._stacks = plain, stacks

    def write(self, batch: Batch) -> None:
        (self._plain if batch.source.stack is None else self._stacks).write(batch)


class _Svg:
    """A file that is opened before the tool runs: what cannot be written is said at once."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._stream = open_output(path)

    def write(self, text: str) -> None:
        self._stream.write(text)


def open_output(path: str | None) -> Stream:
    """Open a file to write, or standard output.

    Raises:
        OutputFailed: it cannot be opened.
    """
    import os

    from ebpm.output.stream import Stream

    if path is None or path == "-":
        return Stream(1)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        return Stream(os.open(path, flags, 0o644), path)
    except OSError as error:
        raise OutputFailed(f"cannot open {path}: {error.strerror}") from None
