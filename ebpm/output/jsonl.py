"""Events as JSON, one object a line; docs/spec/events.md is the contract."""

from __future__ import annotations

from ebpm.btf.layout import NAMED, STRUCT, UNION, Layout, Member
from ebpm.event import EVENTS, LINES
from ebpm.output.clock import timestamp
from ebpm.output.escape import escape_json
from ebpm.output.values import NAME, NAME_OF, json_fields, json_value, name_json
from ebpm.plainjson import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ebpm.btf.decode import Buffer
    from ebpm.event import Batch, Source
    from ebpm.output.busy import Writer
    from ebpm.output.stream import Stream
    from ebpm.plainjson import Json

BUSY = 64  # records, after which a writer of its own pays for a source


class JsonLines:
    """A sink that writes one compact object for each record, keys sorted.

    Args:
        stream: where to.
        named: the tool has several sources: each line is ``{"fields": …, "source": NAME}``.
        timestamps: each line is ``{"fields": …, "time": RFC 3339}``, with ``source`` if named.
        pure: do without C.
    """

    def __init__(
        self, stream: Stream, *, named: bool, timestamps: bool = False, pure: bool = False
    ) -> None:
        self._stream = stream
        self._pure = pure
        self._named = named
        self._timestamps = timestamps
        self._seen: dict[str, int] = {}  # records, by source
        self._writers: dict[str, Writer | None] = {}  # None: the layout has none

    def write(self, batch: Batch) -> None:
        """Write the records of a batch."""
        source = batch.source
        beside: dict[str, Json] = {"source": source.name} if self._named else {}
        if self._timestamps:
            beside["time"] = timestamp()
        writer = self._writer(batch) if source.form == EVENTS else None
        if writer is not None:
            start, end = "", "\n"
            if beside:
                start, end = '{"fields":', f",{escape_json(dumps(beside))[1:]}\n"
            writer.write(batch, start, end, self._stream)
            return
        lines = []
        for record in batch.records():
            fields = _fields(source, record)
            value: Json = {"fields": fields, **beside} if beside else fields
            lines.append(escape_json(dumps(value)))
        lines.append("")
        self._stream.write("\n".join(lines))

    def _writer(self, batch: Batch) -> Writer | None:
        """Give who writes the records of a busy source; None while it is not busy, or has none."""
        name = batch.source.name
        if name not in self._writers:
            seen = self._seen[name] = self._seen.get(name, 0) + batch.count
            if seen < BUSY:
                return None
            self._writers[name] = _make_writer(batch.source, pure=self._pure)
        return self._writers[name]


def _make_writer(source: Source, *, pure: bool) -> Writer | None:
    from ebpm.output.busy import Writer
    from ebpm.output.style import Style, flat_members

    layout = source.layout
    members = flat_members(layout) if layout and layout.kind in (STRUCT, UNION) else None
    if layout is None or members is None:
        return None
    names = {member.name for member in members}
    members += [
        Member(f"{one.name}{NAME}", one.bit_offset, one.bits, _name_of(one.layout))
        for one in members
        if one.layout.kind in NAMED and f"{one.name}{NAME}" not in names
    ]
    members.sort(key=lambda member: member.name)
    heads = [f"{',' if at else '{'}{dumps(one.name)}:" for at, one in enumerate(members)]
    gaps = [escape_json(head) for head in heads] + ["}"]

    def one(record: Buffer) -> str:
        return escape_json(dumps(_fields(source, record)))

    return Writer(Style(members, _value, lambda _: gaps), layout.size, one, pure=pure)


def _name_of(layout: Layout) -> Layout:
    """Give the layout of a number's name: the number's own, under a name that no type can have."""
    return Layout(layout.kind, NAME_OF, layout.size, signed=layout.signed)


def _value(layout: Layout, value: Any) -> str:  # noqa: ANN401  # decoded
    if layout.name == NAME_OF:
        return dumps(name_json(layout, value))
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
