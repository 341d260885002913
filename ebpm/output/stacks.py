"""Stack traces for people, as eunomia-bpf's loader prints them, and for programs as JSON."""

from __future__ import annotations

from ebpm.event import EVENTS
from ebpm.output.clock import timestamp
from ebpm.output.escape import escape, escape_json
from ebpm.output.table import named_members, value_text
from ebpm.output.trace import Trace
from ebpm.output.values import json_fields
from ebpm.plainjson import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ebpm.btf.layout import Layout, Member
    from ebpm.event import Batch, Source
    from ebpm.output.stream import Stream
    from ebpm.output.trace import Frame, Symbols
    from ebpm.plainjson import Json


class StackText:
    """A sink that prints each record with its stacks, innermost frame first.

    Args:
        stream: where to.
        symbols: names the addresses.
        timestamps: whether a line with the date and time goes before each.
    """

    def __init__(self, stream: Stream, symbols: Symbols, *, timestamps: bool = False) -> None:
        self._stream = stream
        self._symbols = symbols
        self._timestamps = timestamps

    def write(self, batch: Batch) -> None:
        """Print the records of a batch; those without any stack are left out."""
        for record in batch.records():
            trace = Trace(batch.source, record, self._symbols)
            if trace.kernel or trace.user:
                lines = [timestamp()] if self._timestamps else []
                lines += _text(batch.source, trace)
                self._stream.write("\n".join([*lines, "", ""]))


def _text(source: Source, trace: Trace) -> list[str]:
    pid = "-" if trace.pid is None else trace.pid
    head = f"COMM: {escape(trace.comm or '-')} (pid={pid})"
    lines = [head if trace.cpu is None else f"{head} @ CPU {trace.cpu}"]
    for name, frames in (("Kernel", trace.kernel), ("Userspace", trace.user)):
        lines.append(f"{name}:" if frames else f"No {name} Stack")
        lines += [f"  {at} {_frame(frame)}" for at, frame in enumerate(frames)]
    if source.form != EVENTS:
        value = next(one.layout for one in _members(source) if one.name == "value")
        lines += [
            f"{one.name} = {value_text(one.layout, trace.parts['value'].get(one.name))}"
            for one in named_members(value)
        ]
    return lines


def _frame(frame: Frame) -> str:
    text = f"[<{frame.address:016x}>]"
    if frame.symbol is not None:
        return f"{text} {escape(frame.symbol)}+0x{frame.offset or 0:x}"
    if frame.module is not None and frame.module_offset is not None:
        return f"{text} {escape(frame.module)}+0x{frame.module_offset:x}"
    return text


class StackLines:
    """A sink that writes records with stacks as JSON: the frames stand where the addresses did.

    Args:
        stream: where to.
        symbols: names the addresses.
        named: as in :class:`ebpm.output.jsonl.JsonLines`.
        timestamps: as there.
    """

    def __init__(
        self, stream: Stream, symbols: Symbols, *, named: bool, timestamps: bool = False
    ) -> None:
        self._stream = stream
        self._symbols = symbols
        self._named = named
        self._timestamps = timestamps

    def write(self, batch: Batch) -> None:
        """Write the records of a batch; those without any stack are left out."""
        source = batch.source
        beside: dict[str, Json] = {"source": source.name} if self._named else {}
        if self._timestamps:
            beside["time"] = timestamp()
        lines = []
        for record in batch.records():
            trace = Trace(source, record, self._symbols)
            if trace.kernel or trace.user:
                fields = _object(source, trace)
                lines.append(escape_json(dumps({"fields": fields, **beside} if beside else fields)))
        self._stream.write("\n".join([*lines, ""]) if lines else "")


def _object(source: Source, trace: Trace) -> dict[str, Json]:
    assert source.layout is not None
    if source.form == EVENTS:
        return _with_frames(source, trace, "", source.layout)
    found: dict[str, Json] = {}
    for part in _members(source):
        if part.layout.members:
            found[part.name] = _with_frames(source, trace, part.name, part.layout)
        else:
            found[part.name] = trace.parts.get(part.name)
    return found


def _with_frames(source: Source, trace: Trace, part: str, layout: Layout) -> dict[str, Json]:
    assert source.stack is not None
    fields = json_fields(layout, trace.parts[part])
    for role, frames in (("kstack", trace.kernel), ("ustack", trace.user)):
        name = source.stack.names.get(role, "")
        if name in fields and (part != "value" or name not in trace.parts.get("key", {})):
            fields[name] = [_frame_object(frame) for frame in frames]
    return fields


def _frame_object(frame: Frame) -> Json:
    known: dict[str, Json] = {
        "address": frame.address,
        "symbol": frame.symbol,
        "offset": frame.offset,
        "module": frame.module,
        "module_offset": frame.module_offset,
        "build_id": frame.build_id,
    }
    return {name: value for name, value in known.items() if value is not None}


def _members(source: Source) -> Sequence[Member]:
    assert source.layout is not None
    return source.layout.members
