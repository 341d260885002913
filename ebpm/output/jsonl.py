"""Events as JSON, one object a line; docs/spec/events.md is the contract."""

from __future__ import annotations

from ebpm.btf.layout import STRUCT, UNION
from ebpm.event import EVENTS, LINES
from ebpm.output.clock import timestamp
from ebpm.output.escape import escape_json
from ebpm.output.values import json_fields, json_value
from ebpm.plainjson import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ebpm.btf.layout import Layout
    from ebpm.event import Batch, Source
    from ebpm.output.generated import Formatter
    from ebpm.output.stream import Stream
    from ebpm.plainjson import Json

BUSY = 64  # records, after which a formatter of its own pays for a source


class JsonLines:
    """A sink that writes one compact object for each record, keys sorted.

    Args:
        stream: where to.
        named: the tool has several sources: each line is ``{"fields": …, "source": NAME}``.
        timestamps: each line is ``{"fields": …, "time": RFC 3339}``, with ``source`` if named.
    """

    def __init__(self, stream: Stream, *, named: bool, timestamps: bool = False) -> None:
        self._stream = stream
        self._named = named
        self._timestamps = timestamps
        self._seen: dict[str, int] = {}  # records, by source
        self._formatters: dict[str, Formatter] = {}
        self._plain: set[str] = set()  # sources whose layout has no formatter

    def write(self, batch: Batch) -> None:
        """Write the records of a batch."""
        source = batch.source
        beside: dict[str, Json] = {"source": source.name} if self._named else {}
        if self._timestamps:
            beside["time"] = timestamp()
        objects = self._objects(batch) if source.form == EVENTS else None
        if objects is not None:
            start, end = "", "\n"
            if beside:
                start, end = '{"fields":', f",{escape_json(dumps(beside))[1:]}\n"
            text = f"{end}{start}".join(objects)
            self._stream.write(f"{start}{text}{end}")
            return
        lines = []
        for record in batch.records():
            fields = _fields(source, record)
            value: Json = {"fields": fields, **beside} if beside else fields
            lines.append(escape_json(dumps(value)))
        lines.append("")
        self._stream.write("\n".join(lines))

    def _objects(self, batch: Batch) -> list[str] | None:
        """Write the fields of a busy source's records; None while it is not busy."""
        name = batch.source.name
        formatter = self._formatters.get(name)
        if formatter is None:
            seen = self._seen[name] = self._seen.get(name, 0) + batch.count
            if seen < BUSY or name in self._plain:
                return None
            formatter = _make_formatter(batch.source)
            if formatter is None:
                self._plain.add(name)
                return None
            self._formatters[name] = formatter
        return formatter.lines(batch)


def _make_formatter(source: Source) -> Formatter | None:
    from ebpm.output.generated import Formatter, Style, flat_members

    layout = source.layout
    members = flat_members(layout) if layout and layout.kind in (STRUCT, UNION) else None
    if layout is None or members is None:
        return None
    members.sort(key=lambda member: member.name)
    heads = [f"{',' if at else '{'}{dumps(one.name)}:" for at, one in enumerate(members)]
    gaps = [escape_json(head) for head in heads] + ["}"]
    return Formatter(Style(members, _value, lambda _: gaps, aligned=False), layout.size)


def _value(layout: Layout, value: Any) -> str:  # noqa: ANN401  # decoded
    return escape_json(dumps(json_value(layout, value)))


def _fields(source: Source, record: bytes | bytearray | memoryview) -> Json:
    layout = source.layout
    if layout is None:
        return {"data": bytes(record).hex(), "size": len(record)}
    value = source.read(record, 0)
    if source.form not in (EVENTS, LINES):
        return _entry(layout, value)
    if isinstance(value, dict):
        return json_fields(layout, value)
    return {"value": json_value(layout, value)}


def _entry(layout: Layout, value: dict[str, Any]) -> Json:
    """Write an entry of a map: its parts are events' equals, without the marks of inner structs."""
    return {
        part.name: json_fields(part.layout, value[part.name])
        if part.layout.kind == STRUCT
        else json_value(part.layout, value[part.name])
        for part in layout.members
    }
