"""Stacks counted and folded.

A line ``comm;outermost;…;innermost COUNT`` for each, as flamegraph.pl and its kin read them. Frames
of the kernel end in ``_[k]``.
"""

from __future__ import annotations

from ebpm.event import EVENTS
from ebpm.output.escape import escape
from ebpm.output.trace import Trace, entry_count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ebpm.btf.decode import Buffer
    from ebpm.event import Batch
    from ebpm.output.trace import Frame, Symbols

_MOST = 100_000  # different stacks
_REST = "[more stacks than are kept]"
_KERNEL = "_[k]"


class Folded:
    """A sink that counts stacks until :meth:`totals` is asked.

    Of a sampled map that is not cleared the last reading counts, entry by entry.
    """

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._counts: dict[str, int] = {}
        self._entries: dict[tuple[str, bytes], tuple[str, int]] = {}

    def write(self, batch: Batch) -> None:
        """Count the records of a batch; sources without stacks are passed over."""
        source = batch.source
        if source.stack is None:
            return
        for record in batch.records():
            if source.form == EVENTS or source.stack.adds:
                trace = Trace(source, record, self._symbols)
                self._add(_line(trace), trace.count)
                continue
            self._set(batch, record)

    def _set(self, batch: Batch, record: Buffer) -> None:
        """Count an entry as it stands now, under the names that it had when it was first seen.

        By the next reading the process may be gone.
        """
        source = batch.source
        key = source.name, bytes(record[: self._key_size(batch)])
        known = self._entries.get(key)
        if known is not None:
            self._entries[key] = known[0], entry_count(source.read(record, 0))
        elif len(self._entries) < _MOST:
            trace = Trace(source, record, self._symbols)
            self._entries[key] = _line(trace), trace.count

    def totals(self) -> dict[str, int]:
        """Give the stacks, folded, with their counts; in the order of their names."""
        counts = dict(self._counts)
        for line, count in self._entries.values():
            counts[line] = counts.get(line, 0) + count
        return {line: counts[line] for line in sorted(counts) if line and counts[line] > 0}

    def _add(self, line: str, count: int) -> None:
        if line not in self._counts and len(self._counts) >= _MOST:
            line = _REST
        self._counts[line] = self._counts.get(line, 0) + count

    @staticmethod
    def _key_size(batch: Batch) -> int:
        layout = batch.source.layout
        assert layout is not None
        return next(one.bit_offset // 8 for one in layout.members if one.name == "value")


def folded_text(totals: dict[str, int]) -> str:
    """Write totals as lines."""
    return "".join(f"{line} {count}\n" for line, count in totals.items())


def _line(trace: Trace) -> str:
    """Fold a record; "" if it has no stack."""
    if not trace.kernel and not trace.user:
        return ""
    names = [trace.comm or "-", *_names(trace.user, ""), *_names(trace.kernel, _KERNEL)]
    return ";".join(escape(name.replace(";", ":")) for name in names)


def _names(frames: Sequence[Frame], mark: str) -> list[str]:
    """Name the frames, outermost first."""
    names = []
    for frame in reversed(frames):
        if frame.symbol is not None:
            names.append(f"{frame.symbol}{mark}")
        elif frame.module is not None and frame.module_offset is not None:
            module = frame.module.rpartition("/")[2]
            names.append(f"[{module}+0x{frame.module_offset:x}]{mark}")
        else:
            names.append(f"[{frame.address:x}]{mark}")
    return names
