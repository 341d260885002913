"""How a value lies in memory: what is left of a type once BTF has been read.

A layout is what decoding, printing and parameters need, and nothing else; it travels inside a plan
as plain JSON. This module is on the path of ``ebpm run``: it imports nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ebpm.plainjson import Json

INT, BOOL, FLOAT, POINTER, ENUM = "int", "bool", "float", "pointer", "enum"
ARRAY, STRING, STRUCT, UNION, OPAQUE = "array", "string", "struct", "union", "opaque"
ADDRESS = "address"
"""An IP address of 16 bytes, IPv4 behind ::ffff: ``struct ebpm_ip`` of <ebpm/net.h>."""
SYSCALL, SIGNAL, ERRNO, RESULT = "syscall", "signal", "errno", "result"
"""Integers that have names (:mod:`ebpm.btf.numbers`): ``ebpm_syscall`` and so on of
<ebpm/number.h>. A result is a negative errno, or any number that is none."""
NAMED = (SYSCALL, SIGNAL, ERRNO, RESULT)
INTEGERS = (INT, *NAMED)

CGROUP = "cgroup"
"""The ID of a control group, given as its path: ``struct ebpm_cgroup`` of <ebpm/cgroup.h>."""


class Member:
    """A member of a struct or union."""

    __slots__ = ("bit_offset", "bits", "layout", "name", "width")

    def __init__(
        self, name: str, bit_offset: int, bits: int, layout: Layout, width: int = 0
    ) -> None:
        self.name = name
        self.bit_offset = bit_offset  # from the start of the struct
        self.bits = bits  # width of a bitfield, else 0
        self.layout = layout
        self.width = width  # of its column, in characters; 0: nobody said


class Layout:
    """One type's size and parts.

    ``kind`` is one of this module's constants. ``name`` is the C name of the type, without
    ``struct`` and the like, and "" where it has none. ``size`` is in bytes.
    """

    __slots__ = ("count", "element", "kind", "members", "name", "signed", "size", "values")

    def __init__(
        self,
        kind: str,
        name: str,
        size: int,
        *,
        signed: bool = False,
        count: int = 0,
        element: Layout | None = None,
        values: dict[int, str] | None = None,
        members: tuple[Member, ...] = (),
    ) -> None:
        self.kind = kind
        self.name = name
        self.size = size
        self.signed = signed  # integers and enum
        self.count = count  # array: elements
        self.element = element  # array
        self.values = values or {}  # enum: the first name of each value
        self.members = members  # struct and union

    def dump(self) -> list[Json]:
        """Write the layout as JSON."""
        head: list[Json] = [self.kind, self.name, self.size]
        if self.kind in INTEGERS:
            return [*head, self.signed]
        if self.kind == ENUM:
            return [*head, self.signed, [[value, name] for value, name in self.values.items()]]
        if self.kind == ARRAY and self.element is not None:
            return [*head, self.count, self.element.dump()]
        if self.kind in (STRUCT, UNION):
            return [
                *head,
                [[m.name, m.bit_offset, m.bits, m.layout.dump(), m.width] for m in self.members],
            ]
        return head

    @classmethod
    def load(cls, data: Json) -> Layout:
        """Read what :meth:`dump` wrote."""
        fields: Any = data
        kind, name, size, *rest = fields
        if kind in INTEGERS:
            return cls(kind, name, size, signed=rest[0])
        if kind == ENUM:
            return cls(kind, name, size, signed=rest[0], values=dict(rest[1]))
        if kind == ARRAY:
            return cls(kind, name, size, count=rest[0], element=cls.load(rest[1]))
        if kind in (STRUCT, UNION):
            members = [Member(m[0], m[1], m[2], cls.load(m[3]), m[4]) for m in rest[0]]
            return cls(kind, name, size, members=tuple(members))
        return cls(kind, name, size)
