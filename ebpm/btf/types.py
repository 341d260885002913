"""The kinds of BTF types as values.

Source: Documentation/bpf/btf.rst and include/uapi/linux/btf.h, Linux 6.18. Type references are
ids, positive numbers that index the types of one :class:`ebpm.btf.parse.Btf`; id 0 is ``void``.
"""

from __future__ import annotations

from ebpm.btf.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
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


class Void(Value):
    """No type: id 0."""

    __slots__ = ()


class Int(Value):
    """An integer type; ``bits`` and ``bit_offset`` differ from the size only in old bitfields."""

    __slots__ = ("bit_offset", "bits", "encoding", "name", "size")

    def __init__(self, name: str, size: int, encoding: int, bit_offset: int, bits: int) -> None:
        self.name = name
        self.size = size  # bytes
        self.encoding = encoding  # INT_SIGNED | INT_CHAR | INT_BOOL
        self.bit_offset = bit_offset
        self.bits = bits

    @property
    def signed(self) -> bool:
        """Whether the values have a sign."""
        return bool(self.encoding & INT_SIGNED)

    @property
    def boolean(self) -> bool:
        """Whether this is ``_Bool``."""
        return bool(self.encoding & INT_BOOL)


class Float(Value):
    """A floating-point type of ``size`` bytes."""

    __slots__ = ("name", "size")

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size


class Pointer(Value):
    """A pointer to ``target``."""

    __slots__ = ("target",)

    def __init__(self, target: int) -> None:
        self.target = target


class Modifier(Value):
    """A typedef (which has a name), a qualifier, or a type tag (whose name is the tag)."""

    __slots__ = ("kind", "name", "target")

    def __init__(self, kind: int, name: str, target: int) -> None:
        self.kind = kind
        self.name = name
        self.target = target


class Array(Value):
    """``count`` elements of the type ``element``."""

    __slots__ = ("count", "element", "index")

    def __init__(self, element: int, index: int, count: int) -> None:
        self.element = element
        self.index = index
        self.count = count


class Member(Value):
    """A member of a struct or union; ``bits`` is 0 unless it is a bitfield."""

    __slots__ = ("bit_offset", "bits", "name", "type")

    def __init__(self, name: str, of: int, bit_offset: int, bits: int) -> None:
        self.name = name
        self.type = of
        self.bit_offset = bit_offset
        self.bits = bits


class Struct(Value):
    """A struct, or a union where ``union`` says so."""

    __slots__ = ("members", "name", "size", "union")

    def __init__(self, name: str, size: int, members: tuple[Member, ...], union: bool) -> None:
        self.name = name
        self.size = size
        self.members = members
        self.union = union


class Enum(Value):
    """An enumeration of ``size`` bytes; several names may share a value."""

    __slots__ = ("name", "signed", "size", "values")

    def __init__(
        self, name: str, size: int, signed: bool, values: tuple[tuple[str, int], ...]
    ) -> None:
        self.name = name
        self.size = size
        self.signed = signed
        self.values = values


class Forward(Value):
    """A struct or union that is only declared."""

    __slots__ = ("name", "union")

    def __init__(self, name: str, union: bool) -> None:
        self.name = name
        self.union = union


class FunctionType(Value):
    """Parameters (name, type) and the type returned."""

    __slots__ = ("parameters", "returns")

    def __init__(self, returns: int, parameters: tuple[tuple[str, int], ...]) -> None:
        self.returns = returns
        self.parameters = parameters


class Function(Value):
    """A named function; linkage 0 static, 1 global, 2 extern."""

    __slots__ = ("linkage", "name", "type")

    def __init__(self, name: str, of: int, linkage: int) -> None:
        self.name = name
        self.type = of
        self.linkage = linkage


class Variable(Value):
    """A global variable; linkage 0 static, 1 allocated, 2 extern."""

    __slots__ = ("linkage", "name", "type")

    def __init__(self, name: str, of: int, linkage: int) -> None:
        self.name = name
        self.type = of
        self.linkage = linkage


class SectionEntry(Value):
    """Where a variable stands in its section, in bytes."""

    __slots__ = ("offset", "size", "type")

    def __init__(self, of: int, offset: int, size: int) -> None:
        self.type = of
        self.offset = offset
        self.size = size


class DataSection(Value):
    """An ELF section and the variables in it."""

    __slots__ = ("entries", "name", "size")

    def __init__(self, name: str, size: int, entries: tuple[SectionEntry, ...]) -> None:
        self.name = name
        self.size = size
        self.entries = entries


class DeclarationTag(Value):
    """``btf_decl_tag`` on ``target``; ``component`` is a member's or parameter's index, or -1."""

    __slots__ = ("component", "name", "target")

    def __init__(self, name: str, target: int, component: int) -> None:
        self.name = name
        self.target = target
        self.component = component


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
