"""Which maps a tool reports from, and what a record of each is. A part of planning: pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ebpm.btf import layout as kinds
from ebpm.btf import types as t
from ebpm.btf.layout import Layout, Member
from ebpm.btf.text import type_text
from ebpm.errors import InvalidBtf, InvalidPackage
from ebpm.event import ENTRIES, LINEAR, LOG2
from ebpm.package.describe import MapFact, ObjectFacts
from ebpm.package.exports import BUFFERS, export_layout, export_type, guessed_type, with_widths
from ebpm.package.hook import when_of
from ebpm.package.model import ExportType, MapSpec, Package
from ebpm.runtime.order import Order
from ebpm.runtime.plan import SAMPLED, SamplePlan, SourcePlan, VariablePlan
from ebpm.runtime.stacks import STACK_TRACE, declared, make_stack

_READABLE = {  # enum bpf_map_type of the maps whose entries user space can walk
    *(1, 2),  # hash, array
    *(5, 6),  # the same per CPU
    7,  # stack traces
    *(9, 10, 11),  # LRU, LRU per CPU, LPM trie
    *(12, 13),  # maps of maps: their ids
    *(22, 23),  # queue, stack
}
_QUEUES = (22, 23)
_TABLE_OPTIONS = {  # in the metadata: of the run, its type, its help
    "sort": (
        "sort",
        Layout(kinds.STRING, "text", 1 << 12),
        "Columns to sort by, with commas between them",
    ),
    "limit": (
        "rows",
        Layout(kinds.INT, "unsigned int", 4),
        "Rows of each reading to print; 0 prints all",
    ),
}
_EXPORTABLE = (t.Struct, t.Array, t.Int, t.Float, t.Pointer)


def make_sources(package: Package, facts: ObjectFacts) -> list[SourcePlan]:
    """List the maps that report: all buffers and sampled maps, or those that the metadata names.

    Raises:
        InvalidPackage: the metadata speaks of types, members or maps that the object does not have.
    """
    specs = {spec.name: spec for spec in package.maps}
    known = {fact.name for fact in facts.maps}
    for one in package.maps:
        if one.sample and one.name not in known:
            raise InvalidPackage(
                f"map {one.name!r} is to be sampled, and the object has no map of that name"
            )
    found: list[SourcePlan] = []
    variables = [fact.name for fact in facts.variables]
    for fact in facts.maps:
        spec = specs.get(fact.name)
        before = len(found)
        if package.multiple_exports and _silent(package, fact, spec):
            continue
        if fact.type in BUFFERS:
            found.append(_buffer(package, facts, fact, spec))
        elif spec is not None and spec.sample is not None:
            found.append(_sampled(package, facts, fact, spec))
        if spec is not None and len(found) > before:
            found[-1].when = when_of(f"map {spec.name}", spec.extra.get("when"), variables)
    return found


def _silent(package: Package, fact: MapFact, spec: MapSpec | None) -> bool:
    """Whether a map reports nothing, where each says by itself what it reports.

    One that says nothing is silent by the format. But ebpm's own packages name what they know: what
    they say nothing of is a buffer whose records have no type that anybody knows.
    """
    export = spec.export if spec else None
    if export is None:
        return package.build is None or fact.type not in BUFFERS
    return bool(export == "no_export")


def _buffer(
    package: Package, facts: ObjectFacts, fact: MapFact, spec: MapSpec | None
) -> SourcePlan:
    layout: Layout | None = None
    unknown = "the type that its export_config names is not in the object's BTF"
    if package.multiple_exports and (spec is None or spec.export is None):
        pass  # of a type that nobody knows
    elif package.multiple_exports and spec is not None:
        if spec.export == "default":
            raise InvalidPackage(
                f"map {fact.name!r}: export_config 'default' is for sampled maps, whose entries "
                "have a type",
                hint='name the type, {"btf_type_id": ID}, or the members, {"custom_members": […]}',
            )
        layout = _configured(package, facts, fact, spec)
    elif package.exports:
        layout = export_layout(facts, package.exports[0])
        unknown = f"the object's BTF has no struct {package.exports[0].name!r}"
    else:
        guess, unknown = guessed_type(facts, fact.name)
        layout = export_layout(facts, export_type(facts, guess)) if guess is not None else None
    stack = None
    if spec is not None and layout is not None and declared(spec) is not None:
        layout = _whole(facts, layout)
        stack = make_stack(spec, list(layout.members), facts, sampled=False)
    return SourcePlan(
        map=fact.name,
        kind=BUFFERS[fact.type],
        name=fact.name,
        layout=layout,
        stack=stack,
        unknown=unknown if layout is None else None,
    )


def _whole(facts: ObjectFacts, layout: Layout) -> Layout:
    """Give a struct all its members: those of a stack trace need not be columns."""
    if facts.btf is None or not layout.name:
        return layout
    found = facts.btf.find(t.KIND_STRUCT, layout.name)
    return layout if found is None else facts.layout(found)


# --- sampled maps --------------------------------------------------------------------------------


def _sampled(package: Package, facts: ObjectFacts, fact: MapFact, spec: MapSpec) -> SourcePlan:
    sample = spec.sample
    assert sample is not None
    if fact.type not in _READABLE:
        raise InvalidPackage(f"map {fact.name!r} is of a type whose entries cannot be sampled")
    if sample.type not in (ENTRIES, LOG2, LINEAR):
        raise InvalidPackage(
            f"map {fact.name!r}: a sample of type {sample.type!r} is not known",
            hint=f"the types are {ENTRIES}, {LOG2} and {LINEAR}",
        )
    if sample.interval <= 0:
        raise InvalidPackage(f"map {fact.name!r}: a sample interval of {sample.interval} ms")
    value = _value(package, facts, fact, spec)
    if sample.type != ENTRIES:
        value = _histogram(fact, value)
    key = _key(facts, fact)
    if key is not None:
        key = with_widths(key, package.exports)
    members = [*(key.members if key else ()), *value.members]
    entry = _entry(key, value)
    limit = sample.limit or 0
    try:
        Order(entry, sample.sort or "", limit)
    except ValueError as error:
        raise InvalidPackage(f"map {fact.name!r} cannot be sorted: {error}") from None
    return SourcePlan(
        map=fact.name,
        kind=SAMPLED,
        name=fact.name,
        layout=entry,
        form=sample.type,
        stack=make_stack(spec, members, facts, sampled=True) if sample.type == ENTRIES else None,
        sample=SamplePlan(
            interval=sample.interval,
            unit=sample.unit,
            clear=sample.clear_map,
            sort=sample.sort or "",
            limit=limit,
        ),
    )


def table_options(package: Package, sources: Sequence[SourcePlan]) -> list[VariablePlan]:
    """List the tool's options that are the run's: how its tables are sorted, and how long they are.

    Raises:
        InvalidPackage: the metadata asks for an option that there cannot be.
    """
    sampled = {one.map for one in sources if one.kind == SAMPLED}
    found: dict[str, VariablePlan] = {}
    for spec in package.maps:
        options = spec.sample.options if spec.sample else {}
        for key, given in sorted(options.items(), key=lambda one: one[0]):
            if key not in _TABLE_OPTIONS or not isinstance(given, dict):
                raise InvalidPackage(
                    f"map {spec.name!r}: sample.cmdarg {key!r} is no option of a table",
                    hint='there are "sort" and "limit", each with "short", "long" and "help"',
                )
            name, layout, text = _TABLE_OPTIONS[key]
            short = given.get("short")
            if short is not None and (not isinstance(short, str) or len(short) != 1):
                raise InvalidPackage(
                    f"map {spec.name!r}: the short option {short!r} is not one letter"
                )
            if spec.name in sampled:
                found.setdefault(
                    name,
                    VariablePlan(
                        name=name,
                        section="",
                        offset=0,
                        layout=layout,
                        type=layout.name,
                        long=str(given.get("long") or name),
                        short=short,
                        help=str(given.get("help") or text),
                    ),
                )
    return list(found.values())


def _entry(key: Layout | None, value: Layout) -> Layout:
    """Put key and value into one struct; the value begins at a multiple of 8 bytes."""
    members = [] if key is None else [Member("key", 0, 0, key)]
    at = 0 if key is None else (key.size + 7) // 8 * 8
    members.append(Member("value", at * 8, 0, value))
    return Layout(kinds.STRUCT, "", at + value.size, members=tuple(members))


def _key(facts: ObjectFacts, fact: MapFact) -> Layout | None:
    if fact.type in _QUEUES:
        return None
    if fact.key_type is None:
        return _untyped(fact.key_size or 4)
    return _as_struct(facts, fact.key_type)


def _value(package: Package, facts: ObjectFacts, fact: MapFact, spec: MapSpec) -> Layout:
    """Lay out a value: as the metadata says, with the chosen members of its own type else."""
    if package.multiple_exports and spec.export != "default":
        layout = _configured(package, facts, fact, spec)
        if layout is not None:
            return _sized(layout, fact.value_size)
    if fact.value_type is None or facts.btf is None:
        return _untyped(fact.value_size, array=fact.type == STACK_TRACE)
    own = facts.btf[facts.btf.strip(fact.value_type)]
    for export in package.exports:
        if isinstance(own, t.Struct) and own.name and export.name == own.name:
            return export_layout(facts, export) or _as_struct(facts, fact.value_type)
    return _as_struct(facts, fact.value_type)


def _sized(layout: Layout, size: int) -> Layout:
    """Give a layout the size of the map's values, if it reaches as far."""
    return Layout(layout.kind, layout.name, size or layout.size, members=layout.members)


def _histogram(fact: MapFact, value: Layout) -> Layout:
    """Find the counts: the member ``slots``, or the value itself where it is an array."""
    named = {one.name: one for one in value.members}
    slots = named.get("slots")
    if slots is None and len(value.members) == 1 and value.members[0].layout.kind == kinds.ARRAY:
        only = value.members[0]
        slots = Member("slots", only.bit_offset, only.bits, only.layout)
        value = Layout(value.kind, value.name, value.size, members=(slots,))
    element = slots.layout.element if slots else None
    if element is None or element.kind != kinds.INT:
        has = ", ".join(name for name in named if name) or "none"
        raise InvalidPackage(
            f"map {fact.name!r}: a histogram needs an array of integers named 'slots' in the "
            f"value; its members are {has}"
        )
    return value


# --- types ---------------------------------------------------------------------------------------


def _configured(
    package: Package, facts: ObjectFacts, fact: MapFact, spec: MapSpec
) -> Layout | None:
    """Lay out what ``export_config`` says of a map."""
    config: Any = spec.export
    if isinstance(config, dict) and "btf_type_id" in config:
        named = _named(package, config["btf_type_id"])
        if named is not None:  # the ids are those of the package's first object, names are not
            return export_layout(facts, named)
        return _of_type(facts, fact, _checked(facts, fact, config["btf_type_id"]))
    if isinstance(config, dict) and "export_type" in config:
        chosen = [one for one in package.exports if one.name == config["export_type"]]
        if chosen:
            return export_layout(facts, chosen[0])
    if isinstance(config, dict) and isinstance(config.get("custom_members"), list):
        return _custom(facts, fact, config["custom_members"])
    raise InvalidPackage(
        f"map {fact.name!r}: export_config {config!r} is not understood",
        hint="it is 'no_export', 'default', {'btf_type_id': ID} or {'custom_members': […]}",
    )


def _named(package: Package, type_id: Any) -> ExportType | None:  # noqa: ANN401  # JSON
    return next((one for one in package.exports if type_id and one.type_id == type_id), None)


def _of_type(facts: ObjectFacts, fact: MapFact, type_id: int) -> Layout | None:
    assert facts.btf is not None
    found = facts.btf[facts.btf.strip(type_id)]
    if not isinstance(found, _EXPORTABLE):
        kind = type_text(facts.btf, type_id)
        raise InvalidPackage(
            f"map {fact.name!r}: BTF type {type_id} ({kind}) is nothing that can be exported",
            hint="a struct, an array, an integer, a float or a pointer can",
        )
    if isinstance(found, t.Struct):
        return export_layout(facts, export_type(facts, type_id))
    return _as_struct(facts, type_id)


def _checked(facts: ObjectFacts, fact: MapFact, type_id: Any) -> int:  # noqa: ANN401  # JSON
    good = isinstance(type_id, int) and not isinstance(type_id, bool)
    if not good or facts.btf is None or not 0 < type_id < len(facts.btf):
        raise InvalidPackage(f"map {fact.name!r}: the object has no BTF type {type_id!r}")
    return int(type_id)


def _custom(facts: ObjectFacts, fact: MapFact, listed: list[Any]) -> Layout:
    """Lay out members that the metadata places itself, in the order of their places."""
    members = []
    for one in listed:
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            raise InvalidPackage(f"map {fact.name!r}: a custom member needs a name")
        offset, type_id = one.get("offset"), _checked(facts, fact, one.get("btf_type_id"))
        if not isinstance(offset, int) or isinstance(offset, bool) or offset < 0:
            raise InvalidPackage(
                f"map {fact.name!r}: custom member {one['name']!r} needs an offset in bytes"
            )
        try:
            members.append(Member(one["name"], offset * 8, 0, facts.layout(type_id)))
        except InvalidBtf as error:
            raise InvalidPackage(f"map {fact.name!r}: {one['name']!r}: {error}") from None
    members.sort(key=lambda member: member.bit_offset)
    end = 0
    for member in members:
        if member.bit_offset < end * 8:
            raise InvalidPackage(
                f"map {fact.name!r}: custom member {member.name!r} overlaps with other members"
            )
        end = member.bit_offset // 8 + member.layout.size
    if not members:
        raise InvalidPackage(f"map {fact.name!r}: custom_members is empty")
    if fact.type not in BUFFERS and end > fact.value_size:
        raise InvalidPackage(
            f"map {fact.name!r}: the custom members take {end} bytes, and a value has "
            f"{fact.value_size}"
        )
    return Layout(kinds.STRUCT, "", end, members=tuple(members))


def _as_struct(facts: ObjectFacts, type_id: int) -> Layout:
    """Lay out a type; one that is no struct becomes the only member of one, named like the type."""
    layout = facts.layout(type_id)
    if layout.kind == kinds.STRUCT:
        return layout
    assert facts.btf is not None
    return _wrapped(layout, type_text(facts.btf, type_id))


def _wrapped(layout: Layout, name: str) -> Layout:
    return Layout(kinds.STRUCT, "", layout.size, members=(Member(name, 0, 0, layout),))


def _untyped(size: int, *, array: bool = False) -> Layout:
    """Lay out what the object gives a size and no type: a number, else bytes."""
    if array and size % 8 == 0:
        element = Layout(kinds.POINTER, "", 8)
        whole = Layout(kinds.ARRAY, "", size, count=size // 8, element=element)
        return _wrapped(whole, f"u64[{size // 8}]")
    if size in (1, 2, 4, 8):
        name = f"u{size * 8}"
        return _wrapped(Layout(kinds.INT, name, size), name)
    return _wrapped(Layout(kinds.OPAQUE, "", size), f"char[{size}]")
