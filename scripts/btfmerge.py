"""The types of several kernels as one set, for a header that suits them all.

Types meet by name. The newest kernel's definition comes first; older kernels add what it lacks:

- a struct or union gets the members that only older kernels have. Members of anonymous structs and
  unions count as members of the struct around them, as in C.
- a member whose type changed so that CO-RE would not match it, or so that ``p->a->b`` would not
  compile, keeps the newest type, and the older struct as a whole becomes a flavour, which CO-RE
  takes for the same type: ``struct gendisk___v5_10``, after the newest kernel that has it so.
- an enum gets the enumerators that only older kernels have. An enumerator that two enums have
  stays with the newest; in the other it is ``NAME___v5_10`` (CO-RE again takes it for the same).
- typedefs, and names that changed from a struct to a union or the like: the newest has the name.

A struct keeps the exact layout and size that it has in the newest kernel that has it, since older
members lie in a union beside its own: ``struct s { union { struct { own }; older; older; }; };``.
The exceptions are those that hold, by value, a struct to which an older kernel adds a member larger
than the whole. Another one are the tables of struct_ops: libbpf copies what a program has put into
one to the kernel's by name, and before 1.5 refuses members that the kernel lacks, so these hold
what all kernels have, and the newest as a whole is a flavour.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from ebpm.btf import types as t

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ebpm.btf.parse import Btf

Place: TypeAlias = tuple[int, int]
"""A type of one kernel: the kernel's index, 0 being the newest, and the type's id there."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel's types; ``version`` is written as in ``5_10``."""

    version: str
    btf: Btf


@dataclass(slots=True)
class Field:
    """A member on its way into a merged struct."""

    name: str
    place: Place
    bit_offset: int
    bits: int
    record: Record | None  # its type, where that is an anonymous struct or union
    added: bool = False  # by an older kernel


@dataclass(slots=True)
class Record:
    """A struct or union that can be added to."""

    union: bool
    size: int
    fields: list[Field]

    def visible(self) -> Iterator[Field]:
        """Walk the members that C can name."""
        for one in self.fields:
            if one.name:
                yield one
            elif one.record:
                yield from one.record.visible()


@dataclass(slots=True)
class Slot:
    """A name of the header, and the definitions that go into it, the newest first."""

    name: str
    parts: list[Place] = field(default_factory=list)
    record: Record | None = None  # of a struct or union, or of a typedef for an anonymous one


class Merger:
    """Finds which types of the kernels belong together and merges their members.

    Args:
        kernels: the newest first.
    """

    def __init__(self, kernels: list[Kernel]) -> None:
        self.kernels = kernels
        self.slots: list[Slot] = []
        self.slot_of: dict[Place, int] = {}
        self._known: dict[tuple[str, str], list[int]] = {}  # ("tag" or "typedef", name): slots
        self._names: set[tuple[str, str]] = set()
        for kernel in range(len(kernels)):
            self._collect(kernel)
        for kernel in range(len(kernels)):
            self._collect_forwards(kernel)
        tables = self._tables()
        for at, slot in enumerate(list(self.slots)):
            (self._intersect if at in tables else self._merge)(slot)

    def type(self, place: Place) -> t.Type:
        """Look up a kernel's type."""
        return self.kernels[place[0]].btf[place[1]]

    def size(self, place: Place) -> int:
        """Tell the bytes that a value of a type takes in its kernel."""
        return self.kernels[place[0]].btf.size(place[1])

    # --- which definitions belong together -------------------------------------------------------

    def _collect(self, kernel: int) -> None:
        named: dict[tuple[str, str], list[Place]] = {}
        for type_id in range(1, len(self.kernels[kernel].btf)):
            found = self.type((kernel, type_id))
            if isinstance(found, t.Struct | t.Enum) and found.name:
                named.setdefault(("tag", found.name), []).append((kernel, type_id))
            elif isinstance(found, t.Modifier) and found.kind == t.KIND_TYPEDEF:
                self._assign(("typedef", found.name), [(kernel, type_id)])
        for key, places in named.items():
            self._assign(key, places)

    def _collect_forwards(self, kernel: int) -> None:
        for type_id, found in self.kernels[kernel].btf.of_kind(t.Forward):
            known = self._known.setdefault(("tag", found.name), [])
            if known:
                self.slot_of[kernel, type_id] = known[0]
            else:
                self._add(("tag", found.name), (kernel, type_id))

    def _assign(self, key: tuple[str, str], places: list[Place]) -> None:
        """Match a kernel's definitions of one name to those of newer kernels, the likest first."""
        known = self._known.setdefault(key, [])
        several = len(known) > 1 or len(places) > 1
        pairs = [(-self._likeness(slot, place), slot, place) for slot in known for place in places]
        used: set[int] = set()
        for unlikeness, slot, place in sorted(pairs):
            alike = unlikeness < 0 or (unlikeness == 0 and not several)
            if alike and slot not in used and place not in self.slot_of:
                used.add(slot)
                self.slot_of[place] = slot
                self.slots[slot].parts.append(place)
        for place in sorted(places, key=self._members, reverse=True):
            if place not in self.slot_of:
                self._add(key, place)

    def _members(self, place: Place) -> int:
        found = self.type(place)
        return len(found.members) if isinstance(found, t.Struct) else 0

    def _likeness(self, slot: int, place: Place) -> int:
        """Count the names that two definitions share; -1 if they cannot be one type."""
        one, two = self.type(self.slots[slot].parts[0]), self.type(place)
        if isinstance(one, t.Modifier):
            resolved = (self._resolve(p)[0] for p in (self.slots[slot].parts[0], place))
            return 1 if len({type(self.type(p)) for p in resolved}) == 1 else -1
        if isinstance(one, t.Enum) and isinstance(two, t.Enum):
            return len({name for name, _ in one.values} & {name for name, _ in two.values})
        if isinstance(one, t.Struct) and isinstance(two, t.Struct) and one.union == two.union:
            return len({m.name for m in one.members} & {m.name for m in two.members})
        return -1

    def _add(self, key: tuple[str, str], place: Place) -> None:
        """Give a definition a name of its own: ``foo``, else ``foo___v5_10`` or ``foo___2``."""
        space, name = key
        known = self._known[key]
        version = self.kernels[place[0]].version
        older = known and self.slots[known[0]].parts[0][0] != place[0]
        choices = [name, *([f"{name}___v{version}"] if older else [])]
        choices += [f"{choices[-1]}___{number}" for number in range(2, len(known) + 9)]
        free = next(choice for choice in choices if (space, choice) not in self._names)
        self._names.add((space, free))
        self.slot_of[place] = len(self.slots)
        known.append(len(self.slots))
        self.slots.append(Slot(free, [place]))

    # --- members ---------------------------------------------------------------------------------

    def record(self, place: Place) -> Record | None:
        """Take a struct or union apart; None if the type is not one."""
        found = self.type(place)
        if not isinstance(found, t.Struct):
            return None
        fields = []
        for member in found.members:
            at = place[0], member.type
            inner = self._unqualified(at)
            target = self.type(inner)
            # a named struct without a member's name (-fms-extensions) is written out
            nested = isinstance(target, t.Struct) and not (target.name and member.name)
            record = self.record(inner) if nested else None
            fields.append(Field(member.name, at, member.bit_offset, member.bits, record))
        return Record(found.union, found.size, fields)

    def _unqualified(self, place: Place) -> Place:
        while isinstance(found := self.type(place), t.Modifier) and not found.name:
            place = place[0], found.target
        return place

    def _tables(self) -> set[int]:
        """Find the structs of struct_ops, whose members libbpf copies to the kernel's by name."""
        return {
            slot
            for kernel, its in enumerate(self.kernels)
            for _, wrapper in its.btf.of_kind(t.Struct)
            for member in wrapper.members
            if wrapper.name.startswith("bpf_struct_ops_") and member.name == "data"
            if (slot := self.slot_of.get((kernel, member.type))) is not None
        }

    def behind_typedef(self, place: Place) -> Place:
        """Turn a typedef for an anonymous type into that type."""
        found = self.type(place)
        if isinstance(found, t.Modifier):
            target = place[0], found.target
            inner = self.type(target)
            if isinstance(inner, t.Struct | t.Enum) and not inner.name:
                return target
        return place

    def _intersect(self, slot: Slot) -> None:
        """Leave what all kernels have; the newest definition as a whole becomes a flavour."""
        slot.record = self.record(slot.parts[0])
        assert slot.record is not None
        names = set.intersection(*(self._visible_names(part) for part in slot.parts))
        kept = [one for one in slot.record.fields if not one.name or one.name in names]
        if kept != slot.record.fields:
            self._add_flavour(slot, slot.parts[0])
            slot.record.fields = kept

    def _add_flavour(self, slot: Slot, part: Place) -> Record:
        name = f"{slot.name}___v{self.kernels[part[0]].version}"
        record = self.record(self.behind_typedef(part))
        assert record is not None
        self.slots.append(Slot(name, [part], record))
        return record

    def _merge(self, slot: Slot) -> None:
        """Merge the members of a slot's definitions; what does not fit becomes a flavour."""
        slot.record = self.record(self.behind_typedef(slot.parts[0]))
        if slot.record is None:
            return
        flavours: list[Record] = []
        for part in slot.parts[1:]:
            older = self.record(self.behind_typedef(part))
            clashes = self._add_members(slot.record, older) if older else []
            if clashes and not any(self._covers(flavour, clashes) for flavour in flavours):
                flavours.append(self._add_flavour(slot, part))

    def _add_members(self, record: Record, older: Record) -> list[Field]:
        """Add what only the older definition has; give back the members that clash."""
        known = {one.name: one for one in record.visible()}
        clashes = []
        for old in older.visible():
            new = known.get(old.name)
            if new is None:
                old.added = True
                record.fields.append(old)
            elif new.record and old.record:
                if self._add_members(new.record, old.record):
                    clashes.append(old)
            elif not self._compatible(new, old):
                clashes.append(old)
        return clashes

    def _covers(self, record: Record, fields: list[Field]) -> bool:
        known = {one.name: one for one in record.visible()}
        return all(one.name in known and self._compatible(known[one.name], one) for one in fields)

    def _compatible(self, new: Field, old: Field) -> bool:
        if new.record and old.record:
            return self._covers(new.record, list(old.record.visible()))
        return self._same(new.place, old.place)

    def _same(self, new: Place, old: Place) -> bool:
        """Whether sources that use the old type work with the new one, by CO-RE's rules and C's."""
        new, new_name = self._resolve(new)
        old, old_name = self._resolve(old)
        if new_name == old_name is not None:
            return True
        one, two = self.type(new), self.type(old)
        if isinstance(one, t.Pointer) and isinstance(two, t.Pointer):
            target = old[0], two.target
            followed = isinstance(self.type(self._resolve(target)[0]), t.Struct | t.Pointer)
            return not followed or self._same((new[0], one.target), target)
        if isinstance(one, t.Array) and isinstance(two, t.Array):
            return self._same((new[0], one.element), (old[0], two.element))
        if isinstance(one, t.Enum) and isinstance(two, t.Enum):
            return one.name == two.name or not one.name or not two.name
        if isinstance(one, t.Struct) and isinstance(two, t.Struct):
            return self._visible_names(old) <= self._visible_names(new)
        return type(one) is type(two)

    def _visible_names(self, place: Place) -> set[str]:
        record = self.record(place)
        return {one.name for one in record.visible()} if record else set()

    def _resolve(self, place: Place) -> tuple[Place, int | None]:
        """Follow typedefs and qualifiers; tell the slot that names the struct they lead to."""
        slot = None
        while isinstance(found := self.type(place), t.Modifier):
            slot = self.slot_of.get(place, slot)
            place = place[0], found.target
        return place, self.slot_of.get(place, slot if isinstance(found, t.Struct) else None)
