"""BTF from bytes. The records are found in one pass; each type becomes a value when asked for.

An object has a few hundred types and a kernel has 130,000, of which a tool needs a dozen: decoding
on demand serves both with one reader.
"""

from __future__ import annotations

import struct
import sys
from array import array
from bisect import bisect_left
from itertools import islice

from ebpm.btf import types as t
from ebpm.errors import InvalidBtf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import TypeVar

    _T = TypeVar("_T")

MAGIC = 0xEB9F
_HEADER = "HBBIIIII"
HEADER_SIZE = 24
_DEPTH_LIMIT = 64  # of nested types; the kernel's own (kernel/bpf/btf.c) is 32
_LONGEST_NAME = 4096  # the kernel takes 512
_NAMES_SLACK = 1 << 20  # names may share their ends, and so be longer than the string table

_FEW = 4  # names that are searched for one by one, rather than in one pass over all types
_STRETCH = 1 << 14  # words that are scanned at once for a type that is further on


class Btf:
    """The types of one BTF section.

    Args:
        raw: the section's bytes, with its header.
        whole: whether to find all records now, rather than as far as they are asked for.

    Raises:
        InvalidBtf: here if the records do not fit the section, later if one is broken inside.
    """

    def __init__(self, raw: bytes, *, whole: bool = True) -> None:
        self.order = byte_order(raw)
        fields = struct.unpack_from(self.order + _HEADER, raw)
        _, version, _, header, type_start, type_size, string_start, string_size = fields
        if version != 1:
            raise InvalidBtf(f"BTF version {version} is unknown")
        types, strings = header + type_start, header + string_start
        if header < HEADER_SIZE or max(types + type_size, strings + string_size) > len(raw):
            raise InvalidBtf("the BTF header points outside the section")
        self._raw = raw
        self._begin, self._end = types, types + type_size
        self.strings = raw[strings : strings + string_size]
        if self.strings and (self.strings[0] or self.strings[-1]):
            raise InvalidBtf("the BTF string table is not enclosed in NUL bytes")
        self._known_strings: dict[int, str] = {}
        self._strings_left = 2 * len(self.strings) + _NAMES_SLACK
        self._words = array("I")  # all parts of a record are words of 32 bits
        self._words.frombytes(memoryview(raw)[types : self._end - type_size % 4])
        if (self.order == "<") != (sys.byteorder == "little"):
            self._words.byteswap()
        self._infos = [1, 1]  # by id, the place of a record's info word; at the last none is known
        if whole:
            self._scan(len(self._words))
        self._decoded: dict[int, t.Type] = {0: t.Void()}
        self._names: dict[tuple[int, str], int] | None = None

    def _scan(self, end: int) -> None:
        """Find the records whose info word stands no further than a place."""
        infos, words, steps = self._infos, self._words, _Steps()
        add, at, size = infos.append, infos[-1], len(words)
        try:
            while at <= end:
                at += steps[words[at]]
                add(at)
        except KeyError as info:
            kind = info.args[0] >> 24 & 31
            raise InvalidBtf(f"BTF type {len(infos) - 1} is of unknown kind {kind}") from None
        except IndexError:
            at = size + 2
        if at > size + 1 or (at == size + 1 and (self._end - self._begin) % 4):
            raise InvalidBtf("the last BTF type is cut off")

    def _knows(self, type_id: int) -> bool:
        """Find a type's record, and where it ends; False if there is no such type."""
        infos, size = self._infos, len(self._words)
        while type_id > len(infos) - 2 and infos[-1] <= size:
            self._scan(min(infos[-1] + _STRETCH, size))
        return 0 < type_id < len(infos) - 1

    def __len__(self) -> int:
        """Count the types, ``void`` included: ids run from 0 to this number, exclusive."""
        self._scan(len(self._words))
        return len(self._infos) - 1

    def name(self, offset: int) -> str:
        """Read a name, as :meth:`string` does; no name is longer than a page."""
        text = self.string(offset)
        if len(text) > _LONGEST_NAME:
            raise InvalidBtf(f"a BTF name has {len(text)} characters")
        return text

    def string(self, offset: int) -> str:
        """Read any string, a line of source among them; what is not UTF-8 in it is replaced."""
        known = self._known_strings.get(offset)
        if known is not None:
            return known
        if offset >= len(self.strings):
            if offset == 0:
                return ""
            raise InvalidBtf(f"a BTF name points outside the string table ({offset})")
        end = self.strings.index(b"\0", offset)
        self._strings_left -= end - offset
        if self._strings_left < 0:
            raise InvalidBtf("the BTF names are longer than the string table")
        text = self.strings[offset:end].decode("utf-8", "replace")
        self._known_strings[offset] = text
        return text

    def record(self, type_id: int) -> tuple[int, int, int, bytes]:
        """Read a type's record as it stands: name offset, info word, size or type, and its tail."""
        if not self._knows(type_id):
            raise InvalidBtf(f"there is no BTF type {type_id}")
        at, end = self._infos[type_id : type_id + 2]
        name, info, word = self._words[at - 1 : at + 2]
        return name, info, word, self._raw[self._begin + at * 4 + 8 : self._begin + end * 4 - 4]

    def named(self, places: Collection[int]) -> list[tuple[int, int]]:
        """List the types whose names stand at some places in ``strings``: id and place, by id."""
        words = self._words
        if len(places) > _FEW:
            infos = enumerate(islice(self._infos, 1, len(self)), 1)
            return [(number, words[at - 1]) for number, at in infos if words[at - 1] in places]
        return sorted((self._id_at(at), place) for place in places for at in self._uses(place))

    def _uses(self, place: int) -> Iterator[int]:
        """Walk the info words before which the place of a name stands."""
        wanted = struct.pack(self.order + "I", place)
        found = self._raw.find(wanted, self._begin, self._end)
        while found >= 0:
            at, odd = divmod(found - self._begin, 4)
            # A member of that name has a type where a record has its kind.
            if not odd and at + 1 < len(self._words) and self._words[at + 1] >> 24:
                self._scan(at + 1)
                if self._infos[self._id_at(at + 1)] == at + 1:
                    yield at + 1
            found = self._raw.find(wanted, found + 1, self._end)

    def _id_at(self, info: int) -> int:
        return bisect_left(self._infos, info, 1)

    def kind(self, type_id: int) -> int:
        """Tell a type's kind without decoding it."""
        return (self.record(type_id)[1] >> 24 & 31) if type_id else t.KIND_VOID

    def __getitem__(self, type_id: int) -> t.Type:
        """Decode a type by its id."""
        if type_id not in self._decoded:
            self._decoded[type_id] = self._decode(type_id)
        return self._decoded[type_id]

    def _decode(self, type_id: int) -> t.Type:
        name_at, info, word, tail = self.record(type_id)
        kind, flag = info >> 24 & 31, bool(info >> 31)
        name = self.name(name_at)
        if kind in (t.KIND_STRUCT, t.KIND_UNION):
            return t.Struct(name, word, self._members(tail, flag), kind == t.KIND_UNION)
        if kind == t.KIND_INT:
            (data,) = struct.unpack(self.order + "I", tail)
            return t.Int(name, word, data >> 24 & 15, data >> 16 & 255, data & 255)
        if kind == t.KIND_ARRAY:
            return t.Array(*struct.unpack(self.order + "III", tail))
        if kind in (t.KIND_ENUM, t.KIND_ENUM64):
            return t.Enum(name, word, flag, self._enumerators(kind, flag, tail))
        if kind in t.MODIFIERS:
            return t.Modifier(kind, name, word)
        if kind == t.KIND_DATASEC:
            entries = struct.iter_unpack(self.order + "III", tail)
            return t.DataSection(name, word, tuple(t.SectionEntry(*entry) for entry in entries))
        if kind == t.KIND_FUNC_PROTO:
            pairs = struct.iter_unpack(self.order + "II", tail)
            return t.FunctionType(word, tuple((self.name(at), of) for at, of in pairs))
        return self._simple(kind, name, info, word, tail)

    def _simple(self, kind: int, name: str, info: int, word: int, tail: bytes) -> t.Type:
        if kind == t.KIND_PTR:
            return t.Pointer(word)
        if kind == t.KIND_FWD:
            return t.Forward(name, bool(info >> 31))
        if kind == t.KIND_FLOAT:
            return t.Float(name, word)
        if kind == t.KIND_FUNC:
            return t.Function(name, word, info & 0xFFFF)
        (number,) = struct.unpack(self.order + "i", tail)
        if kind == t.KIND_VAR:
            return t.Variable(name, word, number)
        return t.DeclarationTag(name, word, number)

    def _members(self, tail: bytes, flag: bool) -> tuple[t.Member, ...]:
        members = []
        for name, of, place in struct.iter_unpack(self.order + "III", tail):
            offset, bits = (place & 0xFFFFFF, place >> 24) if flag else (place, 0)
            members.append(t.Member(self.name(name), of, offset, bits))
        return tuple(members)

    def _enumerators(self, kind: int, signed: bool, tail: bytes) -> tuple[tuple[str, int], ...]:
        wide = kind == t.KIND_ENUM64
        values = []
        for name, *words in struct.iter_unpack(self.order + ("III" if wide else "II"), tail):
            value, width = (words[0] | words[1] << 32, 64) if wide else (words[0], 32)
            if signed and value >> (width - 1):
                value -= 1 << width
            values.append((self.name(name), value))
        return tuple(values)

    # --- questions about types -------------------------------------------------------------------

    def find(self, kind: int, name: str) -> int | None:
        """Find the first type of a kind and name; 0 is never an answer."""
        if self._names is None:
            self._names = {}
            for type_id in range(1, len(self)):
                name_at, info, _, _ = self.record(type_id)
                if name_at:
                    self._names.setdefault((info >> 24 & 31, self.name(name_at)), type_id)
        return self._names.get((kind, name))

    def of_kind(self, kind: type[_T]) -> Iterator[tuple[int, _T]]:
        """Walk all types of one kind, with their ids."""
        for type_id in range(1, len(self)):
            found = self[type_id]
            if isinstance(found, kind):
                yield type_id, found

    def strip(self, type_id: int) -> int:
        """Follow typedefs, qualifiers and type tags to the type itself."""
        for _ in range(_DEPTH_LIMIT):
            found = self[type_id]
            if not isinstance(found, t.Modifier):
                return type_id
            type_id = found.target
        raise InvalidBtf(f"BTF type {type_id} refers to itself")

    def size(self, type_id: int) -> int:
        """Tell the bytes that a value takes; 0 for what has no size (void, functions)."""
        return self._size(type_id, _DEPTH_LIMIT)

    def _size(self, type_id: int, depth: int) -> int:
        if not depth:
            raise InvalidBtf(f"BTF type {type_id} is nested too deeply")
        found = self[self.strip(type_id)]
        if isinstance(found, t.Pointer):
            return 8
        if isinstance(found, t.Array):
            return found.count * self._size(found.element, depth - 1)
        if isinstance(found, t.Variable):
            return self._size(found.type, depth - 1)
        sized = (t.Int, t.Float, t.Struct, t.Enum, t.DataSection)
        return found.size if isinstance(found, sized) else 0


class _Steps(dict[int, int]):
    """The words that a record takes, by its info word; KeyError for a kind that is not known."""

    def __missing__(self, info: int) -> int:
        kind = info >> 24 & 31
        if not t.KIND_VOID < kind <= t.KIND_ENUM64:
            raise KeyError(info)
        size = 12 + t.FIXED_TAIL.get(kind, 0) + t.ENTRY_SIZE.get(kind, 0) * (info & 0xFFFF)
        self[info] = size // 4
        return self[info]


def byte_order(raw: bytes) -> str:
    """Tell the byte order of a BTF section as :mod:`struct` writes it, from its magic."""
    if len(raw) < HEADER_SIZE:
        raise InvalidBtf("the BTF section is shorter than its header")
    for order in "<>":
        if struct.unpack_from(order + "H", raw)[0] == MAGIC:
            return order
    raise InvalidBtf("the BTF section does not begin with BTF's magic number")


def read(raw: bytes) -> Btf:
    """Read BTF and decode every type once, so that a broken one is found here and not later."""
    btf = Btf(raw)
    for type_id in range(1, len(btf)):
        btf[type_id]
    return btf
