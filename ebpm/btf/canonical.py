"""BTF in one canonical form, so that the same source gives the same bytes in any folder.

LLVM numbers some types in the order of heap addresses. Here they are numbered by a walk that
depends on nothing but what the object says, strings stand in the order of their first use, and
.BTF.ext follows.
"""

from __future__ import annotations

import struct

from ebpm.btf import types as t
from ebpm.btf.parse import MAGIC, Btf
from ebpm.btf.records import Record, StringTable, read_records, write_records
from ebpm.errors import InvalidBtf

_RELOCATIONS = 24  # where the header tells the place of CO-RE's
_ROOTS = {t.KIND_DATASEC: 0, t.KIND_VAR: 1, t.KIND_FUNC: 2}


def canonical(btf: Btf, ext: bytes | None) -> tuple[bytes, bytes | None]:
    """Write BTF, and the .BTF.ext that goes with it, in canonical form.

    Raises:
        InvalidBtf: a record of either refers to what is not there.
    """
    records = read_records(btf)
    extension = Extension(btf.order, ext) if ext else None
    order = _order(records, extension)
    numbers = {0: 0} | {type_id: place for place, type_id in enumerate(order, 1)}
    for record in records:
        if record.kind == t.KIND_DATASEC:
            _sort_variables(record, records)
    strings = StringTable()
    renumbered = [records[type_id].renumbered(numbers) for type_id in order]
    for record in renumbered:
        for name in record.names:
            strings.add(name)
    if extension:
        for at in extension.types:
            extension.put(at, numbers[extension.word(at)])
        for at in extension.strings:
            extension.put(at, strings.add(btf.string(extension.word(at))))
    raw = write_records(btf.order, renumbered, strings)
    return raw, bytes(extension.data) if extension else None


class Extension:
    """.BTF.ext: where its records refer to types and to strings.

    Source: ``struct btf_ext_header`` and its tables, Documentation/bpf/btf.rst.
    """

    def __init__(self, order: str, raw: bytes) -> None:
        self.order = order
        self.data = bytearray(raw)
        self.types: list[int] = []  # byte offsets of the words that hold a type id
        self.strings: list[int] = []
        self.relocations: list[tuple[int, int]] = []  # CO-RE's: the section's name, and the record
        if len(raw) < 24 or struct.unpack_from(order + "H", raw)[0] != MAGIC:
            raise InvalidBtf(".BTF.ext is cut off or has no magic number")
        header = self.word(4)
        tables = [(8, (4,), ()), (16, (), (4, 8))]  # functions, lines
        if header >= 32:
            tables.append((_RELOCATIONS, (4,), (8,)))
        for field, types, strings in tables:
            start, size = header + self.word(field), self.word(field + 4)
            records = self._table(start, size, types, strings)
            if field == _RELOCATIONS:
                self.relocations = records

    def word(self, at: int) -> int:
        """Read the 32-bit word at a byte offset."""
        try:
            return int(struct.unpack_from(self.order + "I", self.data, at)[0])
        except struct.error:
            raise InvalidBtf(".BTF.ext is cut off") from None

    def put(self, at: int, value: int) -> None:
        """Write the 32-bit word at a byte offset."""
        struct.pack_into(self.order + "I", self.data, at, value)

    def _table(
        self, at: int, size: int, types: tuple[int, ...], strings: tuple[int, ...]
    ) -> list[tuple[int, int]]:
        """Read a table; tell where the names of its sections and its records begin."""
        records: list[tuple[int, int]] = []
        if not size:
            return records
        step, end = self.word(at), at + size
        at += 4
        if step < 8 or end > len(self.data):
            raise InvalidBtf("a table of .BTF.ext is cut off")
        while at < end:
            name, count = at, self.word(at + 4)
            self.strings.append(name)
            at += 8
            if at + count * step > end:
                raise InvalidBtf("a table of .BTF.ext is cut off")
            for record in range(at, at + count * step, step):
                self.types += [record + offset for offset in types]
                self.strings += [record + offset for offset in strings]
                records.append((name, record))
            at += count * step
        return records


def _sort_variables(record: Record, records: list[Record]) -> None:
    entries = [tuple(record.words[at : at + 3]) for at in record.entry_places()]
    entries.sort(key=lambda entry: (entry[1], records[entry[0]].names[0]))
    record.words[1:] = [word for entry in entries for word in entry]


def _order(records: list[Record], ext: Extension | None) -> list[int]:
    """List the type ids in canonical order, without ``void``."""
    order: list[int] = []
    seen = {0}

    def targets(type_id: int) -> list[int]:
        record = records[type_id]
        if record.kind == t.KIND_DATASEC:
            return sorted(record.targets(), key=lambda target: records[target].names[0])
        return record.targets()

    def walk(root: int) -> None:
        stack = [iter((root,))]
        while stack:
            for target in stack[-1]:
                if target not in seen:
                    seen.add(target)
                    order.append(target)
                    stack.append(iter(targets(target)))
                    break
            else:
                stack.pop()

    roots = [type_id for type_id, record in enumerate(records) if record.kind in _ROOTS]
    for root in sorted(roots, key=lambda i: _root_key(records[i])):
        walk(root)
    if ext:
        for target in map(ext.word, ext.types):
            if target >= len(records):
                raise InvalidBtf(".BTF.ext refers to a type that is not there")
            walk(target)
    numbers = {type_id: place for place, type_id in enumerate(order)}
    rest = [type_id for type_id in range(len(records)) if type_id not in seen]
    for type_id in sorted(rest, key=lambda i: _rest_key(records[i], numbers)):
        walk(type_id)
    return order


def _root_key(record: Record) -> tuple[int, str, int]:
    return _ROOTS[record.kind], record.names[0], record.info


def _rest_key(record: Record, numbers: dict[int, int]) -> tuple[object, ...]:
    """Order what nothing above reaches: declaration tags first, then by what they say."""
    tag = record.kind == t.KIND_DECL_TAG
    words = tuple(
        numbers.get(word, -1) if at in record.refs else word
        for at, word in enumerate(record.words)
        if at == 0 or tag
    )
    return not tag, record.kind, tuple(record.names), words, len(record.words)
