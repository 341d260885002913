"""Events as JSON, one object a line; docs/spec/events.md is the contract."""

from __future__ import annotations

from ebpm.output.escape import escape_json
from ebpm.output.values import json_fields, json_value
from ebpm.plainjson import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ebpm.event import Batch, Source
    from ebpm.output.stream import Stream
    from ebpm.plainjson import Json


class JsonLines:
    """A sink that writes one compact object for each record, keys sorted.

    Args:
        stream: where to.
        named: the tool has several sources: each line is ``{"fields": …, "source": NAME}``.
    """

    def __init__(self, stream: Stream, *, named: bool) -> None:
        self._stream = stream
        self._named = named

    def write(self, batch: Batch) -> None:
        """Write the records of a batch."""
        source = batch.source
        lines = []
        for record in batch.records():
            fields = _fields(source, record)
            value: Json = {"fields": fields, "source": source.name} if self._named else fields
            lines.append(escape_json(dumps(value)))
        lines.append("")
        self._stream.write("\n".join(lines))


def _fields(source: Source, record: bytes | bytearray | memoryview) -> Json:
    layout = source.layout
    if layout is None:
        return {"data": bytes(record).hex(), "size": len(record)}
    value = source.read(record, 0)
    if isinstance(value, dict):
        return json_fields(layout, value)
    return {"value": json_value(layout, value)}
