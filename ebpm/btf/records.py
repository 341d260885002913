"""BTF as records that can be renumbered, joined and written again.

A :class:`Record` knows which of its words are type ids and which are names, so that whoever moves
types about needs no knowledge of the kinds.
"""

from __future__ import annotations

import struct

from ebpm.btf import types as t
from ebpm.btf.parse import HEADER_SIZE, MAGIC, Btf
from ebpm.errors import InvalidBtf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_NAMED_ENTRIES = frozenset(
    (t.KIND_STRUCT, t.KIND_UNION, t.KIND_ENUM, t.KIND_ENUM64, t.KIND_FUNC_PROTO)
)


class Record:
    """One type: ``info`` word, names (its own first, then its entries'), and the other words.

    ``words[0]`` is the size or the type that the header names; ``refs`` are the indexes of the
    words that hold type ids.
    """

    __slots__ = ("info", "kind", "names", "refs", "words")

    def __init__(self, info: int, names: list[str], words: list[int]) -> None:
        self.info = info
        self.kind = info >> 24 & 31
        self.names = names
        self.words = words
        self.refs = _reference_places(self.kind, self.entry_places())

    @classmethod
    def read(cls, btf: Btf, type_id: int) -> Record:
        """Take a type out of a section."""
        name, info, word, tail = btf.record(type_id)
        words = [word, *(w for (w,) in struct.iter_unpack(btf.order + "I", tail))]
        record = cls(info, [btf.name(name)], words)
        if record.kind in _NAMED_ENTRIES:
            record.names += [btf.name(words[at]) for at in record.entry_places()]
        return record

    def entry_places(self) -> range:
        """Tell where in ``words`` the entries begin (members, enumerators and the like)."""
        step = t.ENTRY_SIZE.get(self.kind, 0) // 4
        return range(1, 1 + (self.info & 0xFFFF) * step, step) if step else range(0)

    def with_entries(self, chosen: Sequence[int]) -> Record:
        """Copy the record with some of its entries, in the order given."""
        places = [self.entry_places()[at] for at in chosen]
        step = t.ENTRY_SIZE[self.kind] // 4
        words = [word for at in places for word in self.words[at : at + step]]
        names = [self.names[0], *(self.names[1 + at] for at in chosen)]
        return Record(self.info & ~0xFFFF | len(chosen), names, [self.words[0], *words])

    def targets(self) -> list[int]:
        """List the type ids that the record refers to, in its order."""
        return [self.words[at] for at in self.refs]

    def renumbered(self, numbers: dict[int, int]) -> Record:
        """Copy the record with other type ids."""
        copy = Record(self.info, self.names, list(self.words))
        for at in self.refs:
            copy.words[at] = numbers[self.words[at]]
        return copy


def _reference_places(kind: int, entries: range) -> list[int]:
    if kind in t.REFERENCES:
        return [0]
    if kind == t.KIND_ARRAY:
        return [1, 2]
    if kind in (t.KIND_STRUCT, t.KIND_UNION):
        return [at + 1 for at in entries]
    if kind == t.KIND_FUNC_PROTO:
        return [0, *(at + 1 for at in entries)]
    return list(entries) if kind == t.KIND_DATASEC else []


class StringTable:
    """NUL-terminated strings, each held once, in the order of their first use."""

    def __init__(self, data: bytes = b"\0") -> None:
        self.data = bytearray(data or b"\0")
        self._places: dict[str, int] = {}
        at = 0
        for text in data[:-1].split(b"\0"):
            self._places.setdefault(text.decode("utf-8", "replace"), at)
            at += len(text) + 1

    def add(self, text: str) -> int:
        """Tell a string's offset, adding it if it is new."""
        if text not in self._places:
            self._places[text] = len(self.data)
            self.data += text.encode() + b"\0"
        return self._places[text]


def read_records(btf: Btf) -> list[Record]:
    """Read all records; index 0 stands for ``void``.

    Raises:
        InvalidBtf: a record refers to a type that is not there.
    """
    records = [Record(0, [""], [0])] + [Record.read(btf, i) for i in range(1, len(btf))]
    for type_id, record in enumerate(records):
        if any(target >= len(records) for target in record.targets()):
            raise InvalidBtf(f"BTF type {type_id} refers to a type that is not there")
    return records


def write_records(order: str, records: Iterable[Record], strings: StringTable) -> bytes:
    """Write records (without ``void``) as a .BTF section.

    Args:
        order: byte order, "<" or ">".
        records: the types; their ids are their places, from 1.
        strings: the table that names go to; it is written as it is when all records are in.
    """
    body = bytearray()
    for record in records:
        own, *names = (strings.add(name) for name in record.names)
        words = list(record.words)
        for at, name in zip(record.entry_places(), names, strict=False):
            words[at] = name
        body += struct.pack(f"{order}{len(words) + 2}I", own, record.info, *words)
    sizes = (len(body), len(body), len(strings.data))
    header = struct.pack(order + "HBBIIIII", MAGIC, 1, 0, HEADER_SIZE, 0, *sizes)
    return header + bytes(body) + bytes(strings.data)
