"""Where the records of a map hold stack traces, by its metadata. A part of planning: pure."""

from __future__ import annotations

from typing import Any

from ebpm.btf import layout as kinds
from ebpm.btf.layout import Layout, Member
from ebpm.errors import InvalidPackage
from ebpm.event import STACK_ROLES
from ebpm.package.describe import ObjectFacts
from ebpm.package.model import MapSpec
from ebpm.runtime.plan import StackPlan

STACK_TRACE = 7  # enum bpf_map_type
_ID_NAMES = {  # what programs call the ids of stacks, and what goes with them
    "kstack": ("kstack_id", "kern_stack_id", "kernel_stack_id", "kstackid", "ksid", "kern_stackid"),
    "ustack": ("ustack_id", "user_stack_id", "ustackid", "usid", "user_stackid"),
    "pid": ("tgid", "pid"),
    "comm": ("comm", "task", "name"),
}


def declared(spec: MapSpec) -> dict[str, Any] | None:
    """Read the ``stack_trace`` of a map's ``intepreter``; None if it has none.

    Raises:
        InvalidPackage: it is of no known form.
    """
    found: Any = spec.interpreter
    if found in (None, "default_struct"):
        return None
    trace = found.get("stack_trace") if isinstance(found, dict) else None
    if not isinstance(trace, dict):
        raise InvalidPackage(
            f"map {spec.name!r}: intepreter {found!r} is not understood",
            hint="it is 'default_struct' or {'stack_trace': {'field_map': {…}}}",
        )
    return trace


def make_stack(
    spec: MapSpec, members: list[Member], facts: ObjectFacts, *, sampled: bool
) -> StackPlan | None:
    """Find the members of a stack trace: those the metadata names, else by their own names.

    A sampled map needs no annotation where its key has ids under names that say so.

    Args:
        spec: of the map.
        members: of an event; of a sampled map's key and value.
        facts: of the object.
        sampled: whether it is a sampled map.

    Raises:
        InvalidPackage: a member is not there, or the ids are of no stack-trace map.
    """
    trace = declared(spec)
    known = {one.name: one.layout for one in members}
    maps = [fact.name for fact in facts.maps if fact.type == STACK_TRACE]
    if trace is None:
        if not sampled or not maps or not (_by_name("kstack", known) or _by_name("ustack", known)):
            return None
        trace = {}
    names = _roles(spec.name, trace.get("field_map") or {}, known)
    if sampled:
        for role in _ID_NAMES:
            if role not in names and (name := _by_name(role, known)):
                names[role] = name
    stacks = [names[role] for role in ("kstack", "ustack") if role in names]
    if not stacks:
        raise InvalidPackage(
            f"map {spec.name!r} is to hold stack traces, and its records have neither 'kstack' nor "
            f"'ustack'; they have {', '.join(known) or 'no members'}",
            hint='name them: {"stack_trace": {"field_map": {"kstack": "MEMBER"}}}',
        )
    table = None
    if any(known[name].kind == kinds.INT for name in stacks):
        table = _table(spec.name, trace.get("map"), maps)
    return StackPlan(names=names, symbols=trace.get("with_symbols") is not False, table=table)


def _roles(name: str, given: Any, known: dict[str, Layout]) -> dict[str, str]:  # noqa: ANN401
    if not isinstance(given, dict):
        raise InvalidPackage(f"map {name!r}: the field_map of a stack trace is a mapping")
    names = {role: role for role in STACK_ROLES if role in known}
    for role, member in given.items():
        if role not in STACK_ROLES:
            raise InvalidPackage(
                f"map {name!r}: the field_map names a part {role!r} of a stack trace",
                hint=f"the parts are {', '.join(STACK_ROLES)}",
            )
        if member is None:
            names.pop(role, None)
        elif not isinstance(member, str) or member not in known:
            raise InvalidPackage(
                f"map {name!r}: the field_map names a member {member!r}, and the record has "
                f"{', '.join(known)}"
            )
        else:
            names[role] = member
    return names


def _by_name(role: str, known: dict[str, Layout]) -> str:
    kind = kinds.STRING if role == "comm" else kinds.INT
    return next((one for one in _ID_NAMES[role] if one in known and known[one].kind == kind), "")


def _table(name: str, wanted: Any, maps: list[str]) -> str:  # noqa: ANN401  # JSON
    """Find the map that the ids are of: the one that is named, or the only one."""
    if wanted in maps:
        return str(wanted)
    if wanted is None and len(maps) == 1:
        return maps[0]
    raise InvalidPackage(
        f"map {name!r} holds ids of stacks, and the object has "
        f"{', '.join(maps) or 'no'} stack-trace maps",
        hint='name the one: {"stack_trace": {"map": "NAME"}}',
    )
