"""Decoded values as JSON, the way eunomia-bpf's loader writes them.

========================  ======================================================================
value                     JSON
========================  ======================================================================
integer up to 64 bits     number, all digits
integer of 128 bits       decimal string
float                     number; text where JSON has none ("NaN", "Infinity", "-Infinity")
enumerator                "NAME(1)", or "<UNKNOWN_VARIANT>(7)"
char array                string
other array               list
system call, signal, .. number; a struct has its name, or null, beside it: ``sig``, ``sig_name``
struct, union in a struct object with __EUNOMIA_TYPE and __EUNOMIA_TYPE_NAME beside the members
beyond the record's end   null
========================  ======================================================================
"""

from __future__ import annotations

from ebpm.btf import layout as kinds

NAME = "_name"
"""What the member's name has behind it where the number's name stands."""
NAME_OF = "(name)"
"""The name of a layout whose numbers are written as their names; no type can be called so."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ebpm.btf.layout import Layout
    from ebpm.plainjson import Json


def json_fields(layout: Layout, fields: dict[str, Any]) -> dict[str, Json]:
    """Turn a decoded struct into a JSON object of its members."""
    out: dict[str, Json] = {}
    names: dict[str, Json] = {}
    for member in layout.members:
        if member.name:
            value = fields.get(member.name)
            out[member.name] = json_value(member.layout, value)
            if member.layout.kind in kinds.NAMED:
                names[f"{member.name}{NAME}"] = name_json(member.layout, value)
        else:
            out.update(json_fields(member.layout, fields))
    return {**names, **out} if names else out  # a member that is called so keeps its place


def name_json(layout: Layout, value: Any) -> str | None:  # noqa: ANN401  # decoded
    """Name a number of one of the kinds that have names; None for one without."""
    from ebpm.btf.numbers import number_name

    return None if value is None else number_name(layout.kind, value)


def json_value(layout: Layout, value: Any) -> Json:  # noqa: ANN401  # decoded
    """Turn one decoded value into JSON."""
    if value is None:
        return None
    kind = layout.kind
    if kind in kinds.INTEGERS:
        return str(value) if layout.size > 8 else value
    if kind == kinds.ENUM:
        return str(value)
    if kind == kinds.FLOAT:
        return _float(value)
    if kind == kinds.ARRAY and layout.element is not None:
        element = layout.element
        return [json_value(element, item) for item in value]
    if kind in (kinds.STRUCT, kinds.UNION):
        head = {"__EUNOMIA_TYPE": kind, "__EUNOMIA_TYPE_NAME": layout.name}
        return {**head, **json_fields(layout, value)}
    if kind == kinds.OPAQUE or isinstance(value, bytes):
        return bytes(value).hex()
    return value  # type: ignore[no-any-return]  # bool, str, pointer


def _float(value: float) -> Json:
    if value != value:  # NaN, without importing math
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return value
