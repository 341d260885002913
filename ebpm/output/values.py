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
struct, union in a struct object with __EUNOMIA_TYPE and __EUNOMIA_TYPE_NAME beside the members
beyond the record's end   null
========================  ======================================================================
"""

from __future__ import annotations

from ebpm.btf import layout as kinds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ebpm.btf.layout import Layout
    from ebpm.plainjson import Json


def json_fields(layout: Layout, fields: dict[str, Any]) -> dict[str, Json]:
    """Turn a decoded struct into a JSON object of its members."""
    out: dict[str, Json] = {}
    for member in layout.members:
        if member.name:
            out[member.name] = json_value(member.layout, fields.get(member.name))
        else:
            out.update(json_fields(member.layout, fields))
    return out


def json_value(layout: Layout, value: Any) -> Json:  # noqa: ANN401  # decoded
    """Turn one decoded value into JSON."""
    if value is None:
        return None
    kind = layout.kind
    if kind == kinds.INT:
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
