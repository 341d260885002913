"""Formatters made for one layout: batches to lines at a tenth of the cost of decoding each record.

A busy tool's records differ in few bytes. The bytes that take few values together are the key of a
cache of line templates, in which everything is written but the numbers and texts that keep
changing; a record is then one lookup and one ``%``. Which bytes those are is learnt from a sample,
and again where the cache misses too often. All caches are bounded.

What a line looks like is said twice on purpose: by the sinks, record by record, which is the
reference, and here; tests hold both equal for random layouts and bytes. On the path of ``ebpm
run``, imported when a tool has become busy.
"""

from __future__ import annotations

import struct

from ebpm.btf import layout as kinds
from ebpm.btf.decode import reader
from ebpm.btf.layout import Layout, Member
from ebpm.output.style import bits_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import Any

    from ebpm.btf.decode import Buffer
    from ebpm.event import Batch
    from ebpm.output.style import Style

    Lines = Callable[[Buffer], list[str]]

_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
_CACHE_ENTRIES = 4096
_CACHE_BYTES = 4 << 20  # of raw keys; what is written for them takes about as much again
_FIRST, _SAMPLE = 64, 256  # records that the first and a later choice of key is made from
_KEYS_PART = 8  # a key may take one value for this many records
_RELEARN_AFTER = 4096  # records, doubled each time
_MISSES_PART = 4  # more than one miss for so many records: the key is not a good one any more


class Formatter:
    """Lines of the batches of one source.

    Args:
        style: of the lines.
        size: of the layout in bytes; shorter records are not for this class.
    """

    def __init__(self, style: Style, size: int) -> None:
        self._style = style
        self._size = size
        self._units = _units(style.members)
        self._empty = {  # cells that have no bytes, such as a flexible array
            cell: style.text(one.layout, reader(one.layout)(b"", 0))
            for cell, one in enumerate(style.members)
            if not bits_of(one)
        }
        self._made: dict[int, Lines] = {}  # by stride
        self._templates = _Cache(self._template, size)
        self._sample: list[bytes] = []
        self._rows, self._relearn_at = 0, _RELEARN_AFTER
        self._hasty = True  # what is known is known from few records: the ring was filling up
        self._key: list[_Unit] = []
        self._trimmed: set[int] = set()  # starts of strings whose bytes behind the NUL are noise

    def lines(self, batch: Batch) -> list[str] | None:
        """Write the records of a batch; None where that has to be done one by one."""
        if batch.size < self._size:
            return None
        if not self._made:
            self._take_sample(batch, _FIRST)
            if len(self._sample) < _FIRST:
                return None
            self._learn()
        self._rows += batch.count
        if self._rows >= self._relearn_at:
            self._look_back(batch)
        make = self._made.get(batch.stride)
        if make is None:
            if len(self._made) > 16:
                self._made.clear()
            make = self._made[batch.stride] = self._compile(batch.stride)
        whole = batch.count * batch.stride
        block = batch.data[batch.start : batch.start + whole]
        if len(block) < whole:  # the last record ends the buffer, before its stride does
            block = bytes(block).ljust(whole, b"\0")
        return make(block)

    # --- learning --------------------------------------------------------------------------------

    def _take_sample(self, batch: Batch, wanted: int) -> None:
        step = max(1, batch.count // wanted) * batch.stride
        end = batch.start + batch.count * batch.stride
        for at in range(batch.start, end, step):
            if len(self._sample) >= wanted:
                return
            self._sample.append(bytes(batch.data[at : at + self._size]))

    def _look_back(self, batch: Batch) -> None:
        """Learn again if the templates were missed too often, and once from a larger sample."""
        if self._hasty or self._templates.misses * _MISSES_PART > self._relearn_at:
            self._sample = []
            self._take_sample(batch, _SAMPLE)
            if len(self._sample) >= _FIRST:
                self._made = {}
                self._learn()
                self._relearn_at = min(self._relearn_at * 2, 1 << 24)
        self._rows = self._templates.misses = 0

    def _learn(self) -> None:
        """Choose the key: the units that together take few values."""
        sample, limit = self._sample, len(self._sample) // _KEYS_PART
        self._hasty = len(sample) < _SAMPLE
        self._sample = []
        self._trimmed = set()
        columns: list[tuple[int, int, list[bytes]]] = []
        for number, unit in enumerate(self._units):
            values = [record[unit.start : unit.end] for record in sample]
            count = len(set(values))
            if unit.string and count > 1:
                short = [value.split(b"\0", 1)[0] for value in values]
                if len(set(short)) < count:
                    self._trimmed.add(unit.start)
                    values, count = short, len(set(short))
            columns.append((count, number, values))
        together: list[tuple[bytes, ...]] = [()] * len(sample)
        chosen = set()
        for _, number, values in sorted(columns, key=lambda column: column[:2]):
            wider = [(*old, new) for old, new in zip(together, values, strict=True)]
            if len(set(wider)) <= limit or self._units[number].joined:
                together = wider
                chosen.add(number)
        self._key = [unit for number, unit in enumerate(self._units) if number in chosen]
        self._templates.clear()

    # --- code ------------------------------------------------------------------------------------

    def _compile(self, stride: int) -> Lines:
        """Write the function for records that are ``stride`` bytes apart."""
        form = "="
        names: list[str] = []
        key: list[str] = []
        changing: dict[int, str] = {}  # what is no part of the key: cell, name
        body: list[str] = []
        known: dict[str, Any] = {"templates": self._templates}
        at = 0
        for group in self._groups():
            first, name = group[0], f"v{len(names)}"
            names.append(name)
            size = group[-1].end - first.start
            code = first.code if first.code and first not in self._key else f"{size}s"
            form += f"{first.start - at}x{code}" if first.start > at else code
            at = group[-1].end
            raw = f'{name}.split(b"\\0", 1)[0]' if first.start in self._trimmed else name
            if first in self._key:
                key.append(raw)
                continue
            if not first.code:
                known[f"texts{name}"] = _Cache(first.only_text(self._style), size)
                body.append(f"{name} = texts{name}[{raw}]")
            if self._measured(first):
                if first.code:
                    body.append(f"{name} = str({name})")
                key.append(f"len({name})")
            changing[first.cells[0]] = name
        form += f"{stride - at}x"
        known["unpack"] = struct.Struct(form).iter_unpack
        source = self._source(names, key, changing, body)
        exec(source, known)  # noqa: S102  # made of numbers and names of our own alone
        made: Lines = known["make"]
        return made

    def _source(
        self, names: list[str], key: list[str], changing: dict[int, str], body: list[str]
    ) -> str:
        """Write the Python of the function."""
        fixed = self._fixed_pieces(changing)
        pieces = [f"piece{number}" for number in range(len(changing) + 1)]
        taken = [one for number, one in enumerate(pieces) if number not in fixed]
        shown = [
            _literal(fixed[at]) if at in fixed else f"{{{one}}}" for at, one in enumerate(pieces)
        ]
        values = [f"{{{name}}}" for _, name in sorted(changing.items())]
        line = "".join(part for pair in zip(shown, [*values, ""], strict=True) for part in pair)
        take = f"{', '.join(taken)} = templates[{', '.join(key) or '()'}]" if taken else ""
        return "\n".join(
            (
                "def make(block):",
                "    lines = []",
                "    add = lines.append",
                f"    for {', '.join(names)}, in unpack(block):",
                *(f"        {one}" for one in body),
                f"        {take}",
                f"        add({taken[0] if not changing else f'f{chr(34)}{line}{chr(34)}'})",
                "    return lines",
            )
        )

    def _fixed_pieces(self, changing: Collection[int]) -> dict[int, str]:
        """Give the pieces of a line that are the same whatever the key is, by their number."""
        count = len(changing)
        if not self._key and not self._style.aligned:
            texts = [self._empty.get(cell) for cell in range(len(self._style.members))]
            return dict(enumerate(self._pieces(texts, [])))
        *gaps, tail = self._style.gaps([0] * len(self._style.members))
        fixed = {0: gaps[0]} if 0 in changing else {}
        return fixed | ({count: tail} if len(gaps) - 1 in changing else {})

    def _groups(self) -> list[list[_Unit]]:
        """List the units by place; those of the key that touch each other are read as one."""
        groups: list[list[_Unit]] = []
        for unit in self._units:
            whole = unit in self._key and unit.start not in self._trimmed
            last = groups[-1][-1] if groups else None
            if (
                last is not None
                and whole
                and last in self._key
                and last.start not in self._trimmed
                and last.end == unit.start
            ):
                groups[-1].append(unit)
            else:
                groups.append([unit])
        return groups

    def _measured(self, unit: _Unit) -> bool:
        """Whether what stands behind a unit depends on its length."""
        return self._style.aligned and unit.cells[0] < len(self._style.members) - 1

    def _template(self, key: Any) -> str | tuple[str, ...]:  # noqa: ANN401  # one part, or a tuple
        """Write the line of a key: the pieces between what is not in it; text if it is one."""
        parts = iter(key if isinstance(key, tuple) else (key,))
        texts = [self._empty.get(cell) for cell in range(len(self._style.members))]
        lengths = [len(text or "") for text in texts]
        for group in self._groups():
            if group[0] not in self._key:
                if self._measured(group[0]):
                    lengths[group[0].cells[0]] = next(parts)
                continue
            raw = next(parts)
            start = group[0].start
            for unit in group:
                data = raw[unit.start - start : unit.end - start]
                for cell, text in unit.texts(self._style, data):
                    texts[cell], lengths[cell] = text, len(text)
        pieces = self._pieces(texts, lengths)
        fixed = self._fixed_pieces([cell for cell, text in enumerate(texts) if text is None])
        taken = tuple(piece for number, piece in enumerate(pieces) if number not in fixed)
        return taken if len(taken) > 1 else taken[0]

    def _pieces(self, texts: Sequence[str | None], lengths: list[int]) -> list[str]:
        """Join the texts that are known; each of the others parts two pieces."""
        *gaps, tail = self._style.gaps(lengths)
        pieces = [""]
        for gap, known in zip(gaps, texts, strict=True):
            pieces[-1] += gap + (known or "")
            if known is None:
                pieces.append("")
        pieces[-1] += tail
        return pieces


def _literal(text: str) -> str:
    """Write text for the inside of an f-string."""
    escaped = ascii(text)[1:-1].replace('"', '\\"')  # a codec would be one import more
    return escaped.replace("{", "{{").replace("}", "}}")


class _Cache(dict[Any, Any] if TYPE_CHECKING else dict):  # type: ignore[misc]
    """A dict that makes what it lacks, counts that, and begins anew when it is full."""

    __slots__ = ("_limit", "_make", "misses")

    def __init__(self, make: Callable[[Any], Any], size: int) -> None:
        self._make = make
        self._limit = max(64, min(_CACHE_ENTRIES, _CACHE_BYTES // max(1, size)))
        self.misses = 0

    def __missing__(self, key: Any) -> Any:  # noqa: ANN401
        self.misses += 1
        if len(self) >= self._limit:
            self.clear()
        text = self[key] = self._make(key)
        return text


class _Unit:
    """Bytes of a record that hold one cell; or several, where members share bytes."""

    __slots__ = ("_read", "cells", "code", "end", "joined", "members", "start", "string")

    def __init__(self, start: int, end: int, cells: list[int], members: list[Member]) -> None:
        self.start, self.end = start, end
        self.cells = cells
        self.members = members
        first = members[0]
        self.joined = len(cells) > 1 or first.bits != 0  # can only be a part of the key
        layout = first.layout
        self.string = not self.joined and layout.kind == kinds.STRING
        self.code = ""
        if not self.joined and layout.kind in (kinds.INT, kinds.POINTER):
            code = _CODES.get(layout.size, "")
            self.code = code.lower() if layout.signed else code
        moved = tuple(
            Member(str(cell), one.bit_offset - start * 8, one.bits, one.layout)
            for cell, one in zip(cells, members, strict=True)
        )
        self._read = reader(Layout(kinds.STRUCT, "", end - start, members=moved))

    def texts(self, style: Style, raw: bytes) -> list[tuple[int, str]]:
        """Write the cells of its bytes; a string's may be cut off before its NUL."""
        values = self._read(raw.ljust(self.end - self.start, b"\0"), 0)
        return [
            (cell, style.text(member.layout, values[str(cell)]))
            for cell, member in zip(self.cells, self.members, strict=True)
        ]

    def only_text(self, style: Style) -> Callable[[bytes], str]:
        """Give the function that writes its one cell."""
        return lambda raw: self.texts(style, raw)[0][1]


def _units(members: list[Member]) -> list[_Unit]:
    """Cut a record into units, by place; what has no bytes is in none."""
    spans = []
    for cell, member in enumerate(members):
        if bits := bits_of(member):
            spans.append((member.bit_offset // 8, (member.bit_offset + bits + 7) // 8, cell))
    units: list[_Unit] = []
    joined: list[int] = []
    start = end = 0
    for first, last, cell in sorted(spans):
        if joined and first >= end:
            units.append(_Unit(start, end, joined, [members[one] for one in joined]))
            joined = []
        if not joined:
            start, end = first, last
        joined.append(cell)
        end = max(end, last)
    if joined:
        units.append(_Unit(start, end, joined, [members[one] for one in joined]))
    return units
