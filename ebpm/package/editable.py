"""A package as a person edits it: everything that can be changed, with the value that it has.

What ``ebpm inspect --format`` prints is a package like any other, so that it can be printed, edited
and run. The object stands at its end.
"""

from __future__ import annotations

import json
import math
from typing import Any

from ebpm.btf import layout as kinds
from ebpm.btf.decode import EnumValue, reader
from ebpm.btf.encode import encode
from ebpm.btf.layout import Layout
from ebpm.package.describe import DUMMIES, ObjectFacts, VariableFact, describe
from ebpm.package.files import write_composed
from ebpm.package.model import ObjectFile, Package
from ebpm.package.text import write_yaml

_PARTS_LIMIT = 64  # values of one variable: larger ones are rarely set by hand
_FIRST = ("bpf_skel", "export_types", "obj_name", "name", "type", "key", "value", "attach")
_LAST = ("bpf_object_size", "bpf_object")


def write_editable(package: Package, one: ObjectFile, form: str) -> bytes:
    """Write package.yaml or package.json with what can be edited, for one object of a package.

    Args:
        package: what to write.
        one: the object to put in.
        form: "yaml" or "json".
    """
    fields: dict[str, Any] = json.loads(write_composed(package, one, "json"))
    _complete(fields["meta"]["bpf_skel"], describe(one.data))
    ordered = {"meta": _ordered(fields.pop("meta"))}
    ordered |= {key: fields[key] for key in sorted(fields, key=lambda key: (key in _LAST, key))}
    ordered |= {key: ordered.pop(key) for key in _LAST}
    if form == "yaml":
        return write_yaml(ordered, sort=False)
    return json.dumps(ordered, ensure_ascii=False, indent=2).encode() + b"\n"


def _complete(skeleton: dict[str, Any], facts: ObjectFacts) -> None:
    """Add the values of variables and the sizes of maps, where the metadata leaves them out."""
    variables = {(fact.section, fact.name): fact for fact in facts.variables}
    for section in skeleton["data_sections"]:
        for variable in section["variables"]:
            fact = variables.get((section["name"], variable["name"]))
            default = (variable.get("cmdarg") or {}).get("default")
            if fact is None or "value" in variable or default is not None:
                continue  # a default stands for the value
            if variable.get("lost") or variable["name"].startswith(DUMMIES):
                continue  # nobody's to set
            value = _value(facts, fact)
            if value is not None:
                variable["value"] = value
    sizes = {fact.name: fact.max_entries for fact in facts.maps}
    for one in skeleton["maps"]:
        if sizes.get(one["name"]):
            one.setdefault("max_entries", sizes[one["name"]])


def _value(facts: ObjectFacts, fact: VariableFact) -> Any:  # noqa: ANN401  # JSON
    """Read a variable out of the object; None where writing it back would not give the same."""
    section = facts.elf.section(fact.section)
    layout = facts.layout(fact.type_id)
    if section is None or _parts(layout) > _PARTS_LIMIT:
        return None
    data = section.data or bytes(section.size)  # .bss has no bytes in the file
    before = data[fact.offset : fact.offset + fact.size]
    value = _plain(reader(layout)(before, 0))
    try:
        return value if encode(layout, value) == before else None
    except ValueError:
        return None


def _parts(layout: Layout) -> int:
    if layout.kind == kinds.ARRAY and layout.element is not None:
        return layout.count * _parts(layout.element)
    return sum(_parts(member.layout) for member in layout.members) or 1


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Make a decoded value JSON; enumerators go by name."""
    if isinstance(value, EnumValue):
        return value.name or int(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, bytes) or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value


def _ordered(value: Any) -> Any:  # noqa: ANN401
    """Put names first, and what is edited before what is not."""
    if isinstance(value, list):
        return [_ordered(item) for item in value]
    if not isinstance(value, dict):
        return value
    first = [key for key in _FIRST if key in value]
    return {key: _ordered(value[key]) for key in (*first, *sorted(set(value) - set(first)))}
