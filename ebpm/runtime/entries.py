"""What a package does to its maps before the programs are attached: entries, and another capacity.

Everything is encoded when the plan is made, by the types that the object's BTF gives the map; only
how many CPUs there are, the machine that runs it knows.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ebpm.btf import layout as kinds
from ebpm.btf.encode import encode
from ebpm.btf.layout import Layout
from ebpm.btf.text import type_text
from ebpm.errors import InvalidPackage
from ebpm.package.describe import MapFact, ObjectFacts
from ebpm.package.model import MapSpec
from ebpm.runtime.plan import MapPlan

if TYPE_CHECKING:
    from ebpm.plainjson import Json

# enum bpf_map_type, include/uapi/linux/bpf.h
_ARRAYS = (2, 3, 6, 12)
_PER_CPU = (5, 6, 10)
_KEYLESS = (22, 23, 30)  # queue, stack, bloom filter
_REFERRING = {3: "program", 12: "map", 13: "map"}  # their values are given by name
_FILLED_OTHERWISE = {
    4: "perf events",
    7: "stack traces",
    8: "control groups",
    15: "sockets",
    19: "storage of control groups",
    21: "storage of control groups",
    18: "sockets",
    20: "sockets",
    24: "storage of sockets",
    26: "functions of the kernel",
    27: "what programs write",
    28: "storage of inodes",
    29: "storage of tasks",
    31: "what user space writes",
    32: "storage of control groups",
    33: "pages",
}
_HINT = "correct it in the package's metadata; docs/guides/editing.md says how entries are written"
_MAX_ENTRIES = (1 << 32) - 1


def plan_maps(specs: Sequence[MapSpec], facts: ObjectFacts) -> list[MapPlan]:
    """Encode ``maps[].data`` and check ``maps[].max_entries``.

    Raises:
        InvalidPackage: there is no such map, or an entry that it cannot hold; the message names the
            map, the key, the type and the range.
    """
    known = {fact.name: fact for fact in facts.maps}
    plans = []
    for spec in specs:
        if not spec.data and spec.max_entries is None:
            continue
        if spec.name not in known:
            raise InvalidPackage(
                f"map {spec.name!r} is given entries or a size, and the object has "
                f"{', '.join(known) or 'no map'}",
                hint="variables of data sections are set by variables[].value",
            )
        plans.append(_plan(spec, known[spec.name], facts))
    return plans


def _plan(spec: MapSpec, fact: MapFact, facts: ObjectFacts) -> MapPlan:
    limit = spec.max_entries
    if limit is not None and not 0 < limit <= _MAX_ENTRIES:
        raise InvalidPackage(
            f"map {spec.name!r}: max_entries is {limit}, not 1 to {_MAX_ENTRIES}", hint=_HINT
        )
    capacity = limit or fact.max_entries
    if spec.data and fact.type in _FILLED_OTHERWISE:
        raise InvalidPackage(
            f"map {spec.name!r} cannot be given entries: it holds {_FILLED_OTHERWISE[fact.type]}",
            hint="leave its data out",
        )
    if capacity and len(spec.data) > capacity:
        raise InvalidPackage(
            f"map {spec.name!r} is given {len(spec.data)} entries, and holds {capacity}",
            hint="raise its max_entries",
        )
    entries = [_entry(spec.name, item, fact, facts, capacity) for item in spec.data]
    return MapPlan(
        name=spec.name,
        max_entries=limit,
        per_cpu=fact.type in _PER_CPU,
        entries=entries,
        refers=_REFERRING.get(fact.type),
    )


def _entry(
    name: str, item: Json, fact: MapFact, facts: ObjectFacts, capacity: int
) -> tuple[str | None, list[str]]:
    keyless = fact.type in _KEYLESS
    wanted = {"value"} if keyless else {"key", "value"}
    if not isinstance(item, Mapping) or set(item) != wanted:
        has = " and ".join(sorted(wanted))
        raise InvalidPackage(
            f"map {name!r}: an entry is a mapping with {has}, and not {repr(item)[:80]}", hint=_HINT
        )
    key = None
    if not keyless:
        place = f"map {name!r}, key {repr(item['key'])[:80]}"
        key = _Type(facts, fact.key_type, fact.key_size).encode(item["key"], f"{place}: the key")
        number = int.from_bytes(bytes.fromhex(key), sys.byteorder)
        if fact.type in _ARRAYS and 0 < capacity <= number:
            raise InvalidPackage(
                f"{place}: the key is out of range: the array has the keys 0 to {capacity - 1}",
                hint="give another, or raise the map's max_entries",
            )
    else:
        place = f"map {name!r}, value {repr(item['value'])[:80]}"
    if fact.type in _REFERRING:
        return key, [_reference(_REFERRING[fact.type], item["value"], facts, place)]
    kind = _Type(facts, fact.value_type, fact.value_size)
    values = [item["value"]]
    if fact.type in _PER_CPU and _is_for_each_cpu(kind.layout, item["value"]):
        values = item["value"]
    return key, [kind.encode(value, f"{place}: the value") for value in values]


def _reference(kind: str, value: Json, facts: ObjectFacts, place: str) -> str:
    """Check the name of a program or map that is to be an entry."""
    known = [one.name for one in (facts.programs if kind == "program" else facts.maps)]
    if not isinstance(value, str) or value not in known:
        raise InvalidPackage(
            f"{place}: the value is the name of a {kind} of the object, and {value!r} is none",
            hint=f"it has {', '.join(known)}",
        )
    return value


class _Type:
    """What a key or value is; where only its size is known, an unsigned integer, or bytes."""

    def __init__(self, facts: ObjectFacts, type_id: int | None, size: int) -> None:
        if type_id is not None and facts.btf is not None:
            self.layout, self.name = facts.layout(type_id), type_text(facts.btf, type_id)
        elif size in (1, 2, 4, 8):
            self.name = f"__u{size * 8}"
            self.layout = Layout(kinds.INT, self.name, size)
        else:
            self.name, byte = f"__u8[{size}]", Layout(kinds.INT, "__u8", 1)
            self.layout = Layout(kinds.ARRAY, "", size, count=size, element=byte)

    def encode(self, value: Json, place: str) -> str:
        """Write a value in hex; where it stands is for errors."""
        try:
            return encode(self.layout, value).hex()
        except ValueError as error:
            raise InvalidPackage(f"{place}, of type {self.name}: {error}", hint=_HINT) from None


def _is_for_each_cpu(layout: Layout, value: Any) -> bool:  # noqa: ANN401  # JSON
    """Whether a per-CPU value is a list of values: nested deeper than the type itself is."""
    depth = 0
    while layout.kind == kinds.ARRAY and layout.element is not None:
        layout, depth = layout.element, depth + 1
    for _ in range(depth + 1):
        if not isinstance(value, list) or not value:
            return False
        value = value[0]
    return True
