"""Only some of the events."""

from __future__ import annotations

from ebpm.event import Batch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ebpm.output.sink import Sink

PID_FIELDS = ("pid", "tgid")


class ProcessFilter:
    """A sink that passes on the events of one process, told by their field ``pid`` or ``tgid``.

    Events that have no such field are passed on.
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
            pids = [fields[name] for name in PID_FIELDS if name in fields]
            if not pids or self._pid in pids:
                self._sink.write(Batch(source, record, 0, batch.size, batch.stride, 1))
