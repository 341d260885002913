"""Types of one BTF section added to another.

An event's struct that only local variables use is absent from an object's BTF. Its definition is
taken from a second compilation and added here, so that the shipped object describes its own events
without carrying a variable for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from ebpm.btf import types as t
from ebpm.btf.parse import Btf
from ebpm.btf.records import Record, StringTable, read_records, write_records
from ebpm.errors import InvalidBtf

_COMPOUND = (t.KIND_STRUCT, t.KIND_UNION)
_DEPTH_LIMIT = 64

_Shape: TypeAlias = tuple[object, ...]


def graft(into: Btf, source: Btf, roots: Sequence[int]) -> bytes:
    """Add types, and what they need by value, to a BTF section.

    Types that are there already, member for member, are shared. A pointer to a struct that is not
    there leads to a forward declaration: what an event points to in the kernel is not part of it.

    Args:
        into: the section to extend; the ids of its types stay.
        source: where the types come from.
        roots: their ids in ``source``.
    """
    grafter = _Grafter(read_records(into), read_records(source))
    for root in roots:
        grafter.take(root, _DEPTH_LIMIT)
    # The old strings keep their offsets, which .BTF.ext refers to.
    return write_records(into.order, grafter.records[1:], StringTable(into.strings))


class _Grafter:
    def __init__(self, records: list[Record], source: list[Record]) -> None:
        self.records = records
        self.source = source
        self.taken = {0: 0}  # id in source -> id in records
        self.known: dict[_Shape, int] = {}
        for type_id in range(1, len(records)):
            self.known.setdefault(_shape(records, type_id, _DEPTH_LIMIT), type_id)

    def take(self, type_id: int, depth: int) -> int:
        """Find or add a type of the source; tell its id in the result."""
        if type_id in self.taken:
            return self.taken[type_id]
        if not depth:
            raise InvalidBtf(f"BTF type {type_id} is nested too deeply")
        shape = _shape(self.source, type_id, _DEPTH_LIMIT)
        if shape in self.known:
            self.taken[type_id] = self.known[shape]
            return self.taken[type_id]
        record = self.source[type_id]
        place = self.taken[type_id] = self.known[shape] = len(self.records)
        self.records.append(record)
        follow = self._pointee if record.kind == t.KIND_PTR else self.take
        numbers = {target: follow(target, depth - 1) for target in record.targets()}
        self.records[place] = record.renumbered(numbers)
        return place

    def _pointee(self, type_id: int, depth: int) -> int:
        record = self.source[type_id]
        if record.kind not in _COMPOUND or not record.names[0] or type_id in self.taken:
            return self.take(type_id, depth)
        if (there := self.known.get(_shape(self.source, type_id, _DEPTH_LIMIT))) is not None:
            return there
        union = record.kind == t.KIND_UNION
        forward = Record(union << 31 | t.KIND_FWD << 24, [record.names[0]], [0])
        shape = (t.KIND_FWD, union, (record.names[0],))
        if shape not in self.known:
            self.known[shape] = len(self.records)
            self.records.append(forward)
        return self.known[shape]


def _shape(records: list[Record], type_id: int, depth: int) -> _Shape:
    """Tell what a type is, all of it but the insides of named structs behind pointers."""
    if not depth:
        raise InvalidBtf(f"BTF type {type_id} is nested too deeply")
    record = records[type_id]
    names = tuple(record.names)
    if record.kind == t.KIND_FWD:
        return (t.KIND_FWD, bool(record.info >> 31), names)
    if record.kind == t.KIND_PTR:
        target = records[record.words[0]]
        if target.kind in _COMPOUND and target.names[0]:
            return (t.KIND_PTR, target.kind, target.names[0])
    plain = tuple(
        word
        for at, word in enumerate(record.words)
        if at not in record.refs and not (names[1:] and at in record.entry_places())
    )
    inner = tuple(_shape(records, target, depth - 1) for target in record.targets())
    return (record.info, names, plain, inner)
