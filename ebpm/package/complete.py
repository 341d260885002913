"""What metadata leaves out, filled in from the object that it speaks of.

Older packages do not say where programs attach, or which variables there are; some of today's have
null where an object has no maps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ebpm.btf import types as t
from ebpm.package.bare import from_object
from ebpm.package.describe import ObjectFacts, section_ident
from ebpm.package.described import KEY, described
from ebpm.package.meta import write_meta
from ebpm.package.model import ExportType, ObjectFile

_LISTS = ("data_sections", "maps", "progs")


def complete(meta: dict[str, Any], name: str, data: bytes, facts: ObjectFacts) -> dict[str, Any]:
    """Fill in metadata; what it says stays, right or wrong, and is read by others.

    Args:
        meta: JSON, of today's form.
        name: of the tool, where it does not say one.
        data: the object.
        facts: what :func:`ebpm.package.describe.describe` says of the object.
    """
    skeleton = meta.get("bpf_skel")
    if not isinstance(skeleton, dict):
        return meta
    skeleton = dict(skeleton)
    if any(skeleton.get(key) is None for key in _LISTS):
        whole = write_meta(from_object(ObjectFile(data=data), name, facts))["bpf_skel"]
        skeleton |= {key: whole[key] for key in _LISTS if skeleton.get(key) is None}
    sections = {fact.name: fact.section for fact in facts.programs}
    skeleton["progs"] = _each(skeleton["progs"], "attach", sections.get)
    skeleton["maps"] = _each(skeleton["maps"], "ident", lambda one: _ident(one, facts))
    if isinstance(skeleton["data_sections"], list):
        skeleton["data_sections"] = [
            _section(one, facts) if isinstance(one, dict) else one
            for one in skeleton["data_sections"]
        ]
    exports = meta.get("export_types")
    if isinstance(exports, list):
        before, exports = exports, [_export(one, facts) for one in exports]
        found = [one for one, old in zip(exports, before, strict=True) if one is not old]
        skeleton["maps"] = _by_id(skeleton["maps"], found)
    return {**meta, "bpf_skel": skeleton} | ({"export_types": exports} if exports else {})


def _each(items: Any, key: str, find: Callable[[str], str | None]) -> Any:  # noqa: ANN401  # JSON
    """Give each item that lacks a key what is found by its name."""
    if not isinstance(items, list):
        return items
    return [
        {**one, key: found}
        if isinstance(one, dict) and one.get(key) is None and (found := find(str(one.get("name"))))
        else one
        for one in items
    ]


def _ident(name: str, facts: ObjectFacts) -> str:
    section = next((one for one in facts.data_sections if name.endswith(one)), None)
    return section_ident(section or name)


def _section(section: Mapping[str, Any], facts: ObjectFacts) -> dict[str, Any]:
    """Give variables their types; what is padding, and no variable, is left out."""
    types = {one.name: one.type for one in facts.variables if one.section == section.get("name")}
    variables = _each(section.get("variables"), "type", types.get)
    if isinstance(variables, list):
        variables = [one for one in variables if not _is_padding(one)]
    return {**section, "variables": variables}


def _by_id(maps: Any, exports: list[Any]) -> Any:  # noqa: ANN401  # JSON
    """Name types that were found in the object by their ids, as eunomia-bpf's loaders want it."""
    ids = {str(one["name"]): one["type_id"] for one in exports}
    if not isinstance(maps, list):
        return maps
    found = []
    for one in maps:
        config = one.get("export_config") if isinstance(one, dict) else None
        named = config.get("export_type") if isinstance(config, dict) else None
        type_id = ids.get(named) if isinstance(named, str) else None
        found.append({**one, "export_config": {"btf_type_id": type_id}} if type_id else one)
    return found


def _is_padding(one: Any) -> bool:  # noqa: ANN401  # JSON
    """Whether an entry is what bpftool writes for a hole at the end of a section."""
    return isinstance(one, dict) and one.get("name") == "__padding" and one.get("type") is None


def _export(export: Any, facts: ObjectFacts) -> Any:  # noqa: ANN401  # JSON
    """Leave out the description of a struct that the object has as well."""
    if not isinstance(export, dict) or KEY not in export or facts.btf is None:
        return export
    name = str(export.get("name"))
    brought = described(ExportType(name=name, members=(), extra={KEY: export[KEY]}))
    type_id = facts.btf.find(t.KIND_STRUCT, name)
    if brought is None or type_id is None:
        return export
    btf, at = brought
    if facts.btf.size(type_id) != btf.size(at):
        return export
    rest = {key: value for key, value in export.items() if key != KEY}
    return {**rest, "type_id": type_id}
