"""The few of a kernel's types that an object's CO-RE relocations need: a megabyte less than all.

With what :func:`trim` makes, libbpf relocates an object to the same instructions as with the whole
of the kernel's BTF (``btf_custom_path`` of its open options), as with ``bpftool gen min_core_btf``.
"""

from __future__ import annotations

from ebpm.btf import core
from ebpm.btf import types as t
from ebpm.btf.parse import Btf
from ebpm.btf.records import Record, StringTable, write_records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_VALUE, _POINTERS, _WHOLE = range(3)
"""How much of a type is kept: its size; what it points to; its members as well."""


def trim(kernel_btf: bytes, object_data: bytes) -> bytes:
    """Keep the types that an object's relocations ask for, members only where one is asked for.

    Types are numbered anew, so an object that asks for their ids (TYPE_ID_TARGET) gets other
    answers; what libbpf looks up itself (the targets of fentry and the like) is not kept.

    Args:
        kernel_btf: a kernel's, as in /sys/kernel/btf/vmlinux.
        object_data: a BPF object; without relocations the result has no types.

    Raises:
        InvalidBtf, InvalidObject: either is damaged.
    """
    return _trim(kernel_btf, object_data)[0]


def trim_if_complete(kernel_btf: bytes, object_data: bytes) -> bytes | None:
    """Trim, as :func:`trim` does, unless the kernel lacks a type of a name that is asked for.

    libbpf looks for such a type in the BTF of the kernel's modules, but not if it is given BTF.
    """
    types, lacking = _trim(kernel_btf, object_data)
    return None if lacking else types


def _trim(kernel_btf: bytes, object_data: bytes) -> tuple[bytes, set[str]]:
    """Trim; tell as well which names no type of the kernel has."""
    kernel = Btf(kernel_btf, whole=False)
    local, asked = core.relocations(object_data)
    kept = _Kept(kernel)
    lacking: set[str] = set()
    if local is not None and asked:
        names = {one.type_id: core.essential(_name(local, one.type_id)) for one in asked}
        found = core.candidates(kernel, set(names.values()) - {""})
        for one in asked:
            kind, name = local.kind(one.type_id), names[one.type_id]
            alike = [
                candidate
                for candidate in found.get(name, ())
                if core.same_kind(kind, kernel.kind(candidate))
            ]
            if not alike and one.kind != core.TYPE_ID_LOCAL:
                lacking.add(name)
            for candidate in alike:
                kept.answer(local, one, candidate)
    return kept.write(), lacking


def _name(btf: Btf, type_id: int) -> str:
    return btf.name(btf.record(type_id)[0])


class _Kept:
    """The types to keep, and of which structs which members."""

    def __init__(self, kernel: Btf) -> None:
        self.kernel = kernel
        self.types: set[int] = set()
        self.members: dict[int, set[int]] = {}
        self._seen: set[tuple[int, int]] = set()

    def answer(self, local: Btf, asked: core.Relocation, candidate: int) -> None:
        """Keep what tells libbpf whether a candidate answers, and what the answer is."""
        if asked.kind in core.FIELDS:
            steps = core.find_field(local, asked, self.kernel, candidate)
            if steps is None:
                return
            self._keep(candidate, _VALUE)
            for struct, at in steps:
                found = self.kernel[struct]
                assert isinstance(found, t.Struct)
                self.members.setdefault(struct, set()).add(at)
                self._keep(struct, _VALUE)
                self._keep(found.members[at].type, _VALUE)
        elif asked.kind in core.ENUMERATORS:
            self._keep(candidate, _VALUE)
        elif asked.kind == core.TYPE_MATCHES:
            self._keep(candidate, _WHOLE)
        elif asked.kind != core.TYPE_ID_LOCAL:
            self._keep(candidate, _POINTERS)

    def _keep(self, type_id: int, depth: int) -> None:
        waiting = [(type_id, depth)]
        while waiting:
            one = waiting.pop()
            if one[0] and one not in self._seen:
                self._seen.add(one)
                self.types.add(one[0])
                waiting += self._inner(*one)

    def _inner(self, type_id: int, depth: int) -> Iterable[tuple[int, int]]:
        """List what a type needs for a comparison as deep as libbpf's."""
        found = self.kernel[type_id]
        if isinstance(found, t.Modifier):
            return [(found.target, depth)]
        if isinstance(found, t.Array):
            return [(found.element, depth), (found.index, _VALUE)]
        if depth == _VALUE:
            return []
        if isinstance(found, t.Pointer):
            return [(found.target, _POINTERS)]  # a struct behind a pointer is known by its name
        if isinstance(found, t.FunctionType):
            return [(one, depth) for one in (found.returns, *(of for _, of in found.parameters))]
        if isinstance(found, t.Struct) and depth == _WHOLE:
            self.members[type_id] = set(range(len(found.members)))
            return [(member.type, depth) for member in found.members]
        return []

    def write(self) -> bytes:
        """Write the kept types, in the kernel's order; a reference to another one is void."""
        order = sorted(self.types)
        numbers = _Numbers((type_id, place) for place, type_id in enumerate(order, 1))
        records = []
        for type_id in order:
            record = Record.read(self.kernel, type_id)
            if record.kind in (t.KIND_STRUCT, t.KIND_UNION):
                record = record.with_entries(sorted(self.members.get(type_id, ())))
            records.append(record.renumbered(numbers))
        return write_records(self.kernel.order, records, StringTable())


class _Numbers(dict[int, int]):
    """The new number of each type; what is not kept is void."""

    def __missing__(self, _: int) -> int:
        return 0
