"""Structs that the metadata describes and the object does not: BTF in an export type.

The first packages described their events beside an object that knew nothing of them. The
description becomes BTF, under a key of ours in the export type, so that there is one way to lay a
struct out and one form that survives every codec.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ebpm.btf import types as t
from ebpm.btf.graft import graft
from ebpm.btf.parse import Btf
from ebpm.btf.records import Record, StringTable, write_records
from ebpm.errors import InvalidPackage
from ebpm.package.model import ExportType

KEY = "ebpm_btf"
_EMPTY = write_records("<", (), StringTable())
_CHAR, _SIGNED, _BOOL = t.INT_CHAR, t.INT_SIGNED, t.INT_BOOL
_BASIC = {  # C's name, without signed and int: bytes, encoding
    "char": (1, _SIGNED),
    "unsigned char": (1, 0),
    "_Bool": (1, _BOOL),
    "bool": (1, _BOOL),
    "short": (2, _SIGNED),
    "unsigned short": (2, 0),
    "": (4, _SIGNED),  # int
    "unsigned": (4, 0),
    "long": (8, _SIGNED),
    "unsigned long": (8, 0),
    "long long": (8, _SIGNED),
    "unsigned long long": (8, 0),
    "__int128": (16, _SIGNED),
    "unsigned __int128": (16, 0),
    "size_t": (8, 0),
    "pid_t": (4, _SIGNED),
    "uid_t": (4, 0),
    "gid_t": (4, 0),
    "dev_t": (4, 0),
}
_FLOATS = {"float": 4, "double": 8}
_SIZED = re.compile(r"(?:__)?([us])(?:int)?(8|16|32|64)(?:_t)?|u?int(8|16|32|64)_t")
_ARRAY = re.compile(r"(.*?)\s*((?:\[\d{1,9}\]\s*)+)")
_LLVM_INT = re.compile(r"i(8|16|32|64|128)")


@dataclass(frozen=True, slots=True)
class Field:
    """A member as such a package describes it."""

    name: str
    type: str  # as C names it: "char[16]", "__u32"
    meaning: str  # what a typedef stands for, as C names it; or the same
    llvm: str  # as LLVM names it: "[16 x i8]", "i32"
    bit_offset: int


def describe_struct(name: str, size: int, fields: Sequence[Field]) -> str:
    """Write a struct of ``size`` bytes as BTF, in base64."""
    writer = _Writer()
    ends = [one.bit_offset for one in fields[1:]] + [size * 8]
    words, names = [size], [name]
    for one, end in zip(fields, ends, strict=False):
        words += [0, writer.type_of(one, max(0, end - one.bit_offset) // 8), one.bit_offset]
        names.append(one.name)
    writer.add(Record(t.KIND_STRUCT << 24 | len(fields) & 0xFFFF, names, words))
    return _encoded(write_records("<", writer.records, StringTable()))


def cut_out(btf: Btf, type_id: int) -> str:
    """Take one struct, and what it needs, out of BTF; in base64."""
    return _encoded(graft(Btf(_EMPTY), btf, [type_id]))


def described(export: ExportType) -> tuple[Btf, int] | None:
    """Find the struct that an export type brings along; None if it brings none.

    Raises:
        InvalidPackage, InvalidBtf: what it brings is damaged.
    """
    text = export.extra.get(KEY)
    if text is None:
        return None
    place = f"export type {export.name}: {KEY}"
    try:
        btf = Btf(base64.b64decode(str(text).encode("ascii", "replace"), validate=True))
    except (binascii.Error, ValueError):
        raise InvalidPackage(f"{place} is not base64") from None
    for kind in (t.KIND_STRUCT, t.KIND_TYPEDEF):
        type_id = btf.find(kind, export.name)
        if type_id is not None and isinstance(btf[btf.strip(type_id)], t.Struct):
            return btf, type_id
    raise InvalidPackage(f"{place} has no struct of that name")


def _encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


class _Writer:
    """Types in the making; a type of a kind is there once."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._known: dict[tuple[object, ...], int] = {}

    def add(self, record: Record) -> int:
        key = (record.info, *record.names, *record.words)
        if key not in self._known:
            self.records.append(record)
            self._known[key] = len(self.records)
        return self._known[key]

    def type_of(self, field: Field, room: int) -> int:
        """Add a member's type.

        Args:
            field: the member.
            room: bytes until the next one, for types that say nothing of their size.
        """
        match = _ARRAY.fullmatch(field.meaning)
        counts = [int(one) for one in re.findall(r"\d+", match[2])] if match else []
        base = match[1] if match else field.meaning
        alias = _ARRAY.sub(r"\1", field.type)
        total = 1
        for count in counts:
            total *= count
        room = room // total if total else 0
        element = self._scalar(base, field.llvm if not counts else "", room)
        if alias not in (base, "") and not alias.endswith("*"):
            element = self.add(Record(t.KIND_TYPEDEF << 24, [alias], [element]))
        for count in reversed(counts):
            element = self._array(element, count)
        return element

    def _scalar(self, text: str, llvm: str, room: int) -> int:
        if text.endswith("*"):
            return self.add(Record(t.KIND_PTR << 24, [""], [0]))
        words = [word for word in text.split() if word not in ("const", "volatile", "signed")]
        plain = " ".join(word for word in words if word != "int" or words == ["unsigned", "int"])
        plain = plain.removesuffix(" int")
        if text in _FLOATS:
            return self.add(Record(t.KIND_FLOAT << 24, [text], [_FLOATS[text]]))
        if plain in _BASIC:
            return self._int(text or "int", *_BASIC[plain])
        if match := _SIZED.fullmatch(text):
            unsigned = text.lstrip("_").startswith("u")
            return self._int(text, int(match[2] or match[3]) // 8, 0 if unsigned else _SIGNED)
        if match := _LLVM_INT.fullmatch(llvm):
            return self._int(text, int(match[1]) // 8, 0)
        if text.startswith("enum ") or room in (1, 2, 4, 8):
            return self._int(text, room if room in (1, 2, 4, 8) else 4, 0)
        return self._array(self._int("unsigned char", 1, 0), room)

    def _int(self, name: str, size: int, encoding: int) -> int:
        return self.add(Record(t.KIND_INT << 24, [name], [size, encoding << 24 | size * 8]))

    def _array(self, element: int, count: int) -> int:
        index = self._int("unsigned int", 4, 0)
        return self.add(Record(t.KIND_ARRAY << 24, [""], [0, element, index, count]))
