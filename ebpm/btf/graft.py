"""Types of one BTF section added to another.

An event's struct that only local variables use is absent from an object's BTF. Its definition is
taken from a second compilation and added here, so that the shipped object describes its own events
without carrying a variable for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from ebpm.btf import types as t
from ebpm.btf.parse import Btf
from ebpm.btf.records import Record, StringTable, read_records, write_records
from ebpm.errors import InvalidBtf

_COMPOUND = (t.KIND_STRUCT, t.KIND_UNION)
_NOT_TYPES = (t.KIND_VAR, t.KIND_FUNC, t.KIND_DATASEC, t.KIND_DECL_TAG)
_DEPTH_LIMIT = 64

_Key: TypeAlias = tuple[object, ...]
_Follow: TypeAlias = Callable[[int, int], int]


def graft(into: Btf, source: Btf, roots: Sequence[int]) -> bytes:
    """Add types, and what they need by value, to a BTF section.

    Types that are there already, member for member, are shared. A pointer to a struct that is not
    there leads to a forward declaration: what an event points to in the kernel is not part of it.

    Args:
        into: the section to extend; the ids of its types stay.
        source: where the types come from.
        roots: their ids in ``source``.

    Raises:
        InvalidBtf: a type of either contains itself, or is nested too deeply.
    """
    grafter = _Grafter(read_records(into), read_records(source))
    for root in roots:
        grafter.take(root, _DEPTH_LIMIT)
    # The old strings keep their offsets, which .BTF.ext refers to.
    return write_records(into.order, grafter.records[1:], StringTable(into.strings))


class _Shapes:
    """What types are, as numbers that are equal where the types are.

    A type is all that it holds by value. What it points to it knows by name, so that a struct may
    point to itself, and a struct of the kernel does not bring the whole kernel along.
    """

    def __init__(self, records: list[Record], numbers: dict[_Key, int]) -> None:
        self._records = records
        self._numbers = numbers  # shared by all sections whose types are compared
        self._whole: dict[int, int] = {0: self._number("void")}

    def whole(self, type_id: int, depth: int = _DEPTH_LIMIT) -> int:
        """Number a type by all that it holds."""
        if type_id not in self._whole:
            if not depth:
                raise InvalidBtf(f"BTF type {type_id} is nested too deeply")
            self._whole[type_id] = self._number(*self._key(self._records[type_id], depth - 1))
        return self._whole[type_id]

    def pointee(self, type_id: int, depth: int) -> int:
        """Number a type by its name, if it has one."""
        record = self._records[type_id]
        if not depth:
            raise InvalidBtf(f"BTF type {type_id} is nested too deeply")
        if record.names[0] and record.kind in (*_COMPOUND, t.KIND_FWD):
            return self._number("named", _is_union(record), record.names[0])
        if record.names[0] and record.kind == t.KIND_TYPEDEF:
            return self._number("typedef", record.names[0])
        if record.kind in t.MODIFIERS:
            target = self.pointee(record.words[0], depth - 1)
            return self._number("modifier", record.kind, record.names[0], target)
        return self.whole(type_id, depth - 1)

    def forward(self, record: Record) -> int:
        """Number a forward declaration that no section has yet."""
        return self._number(*self._key(record, 1))

    def _key(self, record: Record, depth: int) -> _Key:
        if record.kind == t.KIND_PTR:
            return ("pointer", self.pointee(record.words[0], depth))
        names = record.entry_places() if len(record.names) > 1 else range(0)
        plain = tuple(
            word
            for at, word in enumerate(record.words)
            if at not in record.refs and at not in names
        )
        inner = tuple(self.whole(target, depth) for target in record.targets())
        return (record.info, tuple(record.names), plain, inner)

    def _number(self, *key: object) -> int:
        return self._numbers.setdefault(key, len(self._numbers))


class _Grafter:
    def __init__(self, records: list[Record], source: list[Record]) -> None:
        self.records = records
        self.source = source
        numbers: dict[_Key, int] = {}
        self.shapes = _Shapes(source, numbers)
        self.taken = {0: 0}  # id in source -> id in records
        self.pointees: dict[int, int] = {}  # the same, for what is only pointed to
        self.known: dict[int, int] = {}  # shape -> id in records
        shapes = _Shapes(list(records), numbers)
        for type_id in range(1, len(records)):
            if records[type_id].kind not in _NOT_TYPES:
                self.known.setdefault(shapes.whole(type_id), type_id)

    def take(self, type_id: int, depth: int) -> int:
        """Find or add a type of the source; tell its id in the result."""
        if type_id in self.taken:
            return self.taken[type_id]
        if not depth:
            raise InvalidBtf(f"BTF type {type_id} is nested too deeply")
        shape = self.shapes.whole(type_id)
        if shape not in self.known:
            self.known[shape] = len(self.records)
            self.taken[type_id] = self.known[shape]
            record = self.source[type_id]
            self._add(record, self._pointee if record.kind == t.KIND_PTR else self.take, depth)
        self.taken[type_id] = self.known[shape]
        return self.taken[type_id]

    def _add(self, record: Record, follow: _Follow, depth: int) -> int:
        """Add a record after those that are there, and then what it refers to."""
        place = len(self.records)
        self.records.append(record)
        numbers = {target: follow(target, depth - 1) for target in record.targets()}
        self.records[place] = record.renumbered(numbers)
        return place

    def _pointee(self, type_id: int, depth: int) -> int:
        """Find or add what a pointer leads to: a name is enough for a struct."""
        record = self.source[type_id]
        if not depth:
            raise InvalidBtf(f"BTF type {type_id} is nested too deeply")
        named = record.kind in _COMPOUND and record.names[0]
        if type_id in self.taken or not (named or record.kind in t.MODIFIERS):
            return self.take(type_id, depth)
        there = self.known.get(self.shapes.whole(type_id))
        if there is not None:
            return there
        if named:
            info = (record.kind == t.KIND_UNION) << 31 | t.KIND_FWD << 24
            forward = Record(info, [record.names[0]], [0])
            shape = self.shapes.forward(forward)
            if shape not in self.known:
                self.known[shape] = self._add(forward, self._pointee, depth)
            return self.known[shape]
        if type_id not in self.pointees:
            self.pointees[type_id] = len(self.records)
            self._add(record, self._pointee, depth)
        return self.pointees[type_id]


def _is_union(record: Record) -> bool:
    return bool(record.info >> 31) if record.kind == t.KIND_FWD else record.kind == t.KIND_UNION
