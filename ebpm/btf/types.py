"""The kinds of BTF types as values.

Source: Documentation/bpf/btf.rst and include/uapi/linux/btf.h, Linux 6.18. Type references are
ids, positive numbers that index the types of one :class:`ebpm.btf.parse.Btf`; id 0 is ``void``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

(
    KIND_VOID,
    KIND_INT,
    KIND_PTR,
    KIND_ARRAY,
    KIND_STRUCT,
    KIND_UNION,
    KIND_ENUM,
    KIND_FWD,
    KIND_TYPEDEF,
    KIND_VOLATILE,
    KIND_CONST,
    KIND_RESTRICT,
    KIND_FUNC,
    KIND_FUNC_PROTO,
    KIND_VAR,
    KIND_DATASEC,
    KIND_FLOAT,
    KIND_DECL_TAG,
    KIND_TYPE_TAG,
    KIND_ENUM64,
) = range(20)

MODIFIERS: Final = frozenset(
    (KIND_TYPEDEF, KIND_VOLATILE, KIND_CONST, KIND_RESTRICT, KIND_TYPE_TAG)
)
REFERENCES: Final = MODIFIERS | {KIND_PTR, KIND_FUNC, KIND_VAR, KIND_DECL_TAG}
"""Kinds whose third header word is a type id rather than a size."""

FIXED_TAIL: Final = {KIND_INT: 4, KIND_ARRAY: 12, KIND_VAR: 4, KIND_DECL_TAG: 4}
"""Bytes that follow the 12-byte header, whatever ``vlen`` says."""
ENTRY_SIZE: Final = {
    KIND_STRUCT: 12,
    KIND_UNION: 12,
    KIND_ENUM: 8,
    KIND_FUNC_PROTO: 8,
    KIND_DATASEC: 12,
    KIND_ENUM64: 12,
}
"""Bytes of each of the ``vlen`` entries that follow the header."""

INT_SIGNED, INT_CHAR, INT_BOOL = 1, 2, 4


@dataclass(frozen=True, slots=True)
class Void:
    """No type: id 0."""


@dataclass(frozen=True, slots=True)
class Int:
    """An integer type; ``bits`` and ``bit_offset`` differ from the size only in old bitfields."""

    name: str
    size: int  # bytes
    encoding: int  # INT_SIGNED | INT_CHAR | INT_BOOL
    bit_offset: int
    bits: int

    @property
    def signed(self) -> bool:
        """Whether the values have a sign."""
        return bool(self.encoding & INT_SIGNED)

    @property
    def boolean(self) -> bool:
        """Whether this is ``_Bool``."""
        return bool(self.encoding & INT_BOOL)


@dataclass(frozen=True, slots=True)
class Float:
    """A floating-point type of ``size`` bytes."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Pointer:
    """A pointer to ``target``."""

    target: int


@dataclass(frozen=True, slots=True)
class Modifier:
    """A typedef (which has a name), a qualifier, or a type tag (whose name is the tag)."""

    kind: int
    name: str
    target: int


@dataclass(frozen=True, slots=True)
class Array:
    """``count`` elements of the type ``element``."""

    element: int
    index: int
    count: int


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a struct or union; ``bits`` is 0 unless it is a bitfield."""

    name: str
    type: int
    bit_offset: int
    bits: int


@dataclass(frozen=True, slots=True)
class Struct:
    """A struct, or a union where ``union`` says so."""

    name: str
    size: int
    members: tuple[Member, ...]
    union: bool


@dataclass(frozen=True, slots=True)
class Enum:
    """An enumeration of ``size`` bytes; several names may share a value."""

    name: str
    size: int
    signed: bool
    values: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Forward:
    """A struct or union that is only declared."""

    name: str
    union: bool


@dataclass(frozen=True, slots=True)
class FunctionType:
    """Parameters (name, type) and the type returned."""

    returns: int
    parameters: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Function:
    """A named function; linkage 0 static, 1 global, 2 extern."""

    name: str
    type: int
    linkage: int


@dataclass(frozen=True, slots=True)
class Variable:
    """A global variable; linkage 0 static, 1 allocated, 2 extern."""

    name: str
    type: int
    linkage: int


@dataclass(frozen=True, slots=True)
class SectionEntry:
    """Where a variable stands in its section, in bytes."""

    type: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class DataSection:
    """An ELF section and the variables in it."""

    name: str
    size: int
    entries: tuple[SectionEntry, ...]


@dataclass(frozen=True, slots=True)
class DeclarationTag:
    """``btf_decl_tag`` on ``target``; ``component`` is a member's or parameter's index, or -1."""

    name: str
    target: int
    component: int


Type: TypeAlias = (
    Void
    | Int
    | Float
    | Pointer
    | Modifier
    | Array
    | Struct
    | Enum
    | Forward
    | FunctionType
    | Function
    | Variable
    | DataSection
    | DeclarationTag
)
