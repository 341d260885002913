"""Only some of the events."""

from __future__ import annotations

from ebpm.event import EVENTS, LINES, Batch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ebpm.btf.layout import Layout
    from ebpm.output.sink import Sink

PID_FIELDS = ("pid", "tgid")


class ProcessFilter:
    """A sink that passes on the events of one process, told by their field ``pid`` or ``tgid``.

    The entries of a map are told by such a member of their key. What has none is passed on.
    """

    def __init__(self, sink: Sink, pid: int) -> None:
        self._sink = sink
        self._pid = pid

    def write(self, batch: Batch) -> None:
        """Pass on what is of the process, in the order it came."""
        source = batch.source
        if source.layout is None:
            self._sink.write(batch)
            return
        for record in batch.records():
            fields = source.read(record, 0)
            if source.form not in (EVENTS, LINES):
                fields = fields.get("key") or {}
            pids = [fields[name] for name in PID_FIELDS if name in fields]
            if not pids or self._pid in pids:
                self._sink.write(Batch(source, record, 0, batch.size, batch.stride, 1))


def tells_processes(layout: Layout | None, form: str) -> bool:
    """Whether the events of a source, or the keys of its entries, name a process."""
    if layout is not None and form not in (EVENTS, LINES):
        layout = next((one.layout for one in layout.members if one.name == "key"), None)
    return layout is not None and any(one.name in PID_FIELDS for one in layout.members)
