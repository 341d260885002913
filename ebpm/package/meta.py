"""The metadata of eunomia-bpf's packages, to and from the model.

This is the content of ``NAME.skel.json`` and the ``meta`` of ``package.json``; docs/spec/package.md
describes it. Reading is tolerant: lists may be null or absent, unknown keys are kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

from ebpm.errors import InvalidPackage, SchemaTooNew
from ebpm.package.fields import Fields, present, with_extra
from ebpm.package.kernelbtf import read_btfs, write_btfs
from ebpm.package.model import (
    SCHEMA_VERSION,
    Build,
    DataSection,
    Documentation,
    ExportMember,
    ExportType,
    MapSpec,
    Option,
    Package,
    ProgramSpec,
    Sample,
    Variable,
)

Notes: TypeAlias = Mapping[str, Mapping[str, Any]]
_Part = TypeVar("_Part")
_Read: TypeAlias = Callable[[Fields], _Part]

_SETTINGS = (
    "debug_verbose",
    "perf_buffer_pages",
    "perf_buffer_time_ms",
    "poll_timeout_ms",
    "print_header",
)
VARIABLE_FACTS = MEMBER_FACTS = ("name", "type")
MAP_FACTS = ("name", "ident", "mmaped")
PROGRAM_FACTS = ("name", "attach")
_DOCUMENTATION = ("version", "brief", "description", "details")


def check_schema(version: str | None) -> None:
    """Refuse metadata of a newer major version than ours.

    Raises:
        SchemaTooNew: a reader of our age would misread it.
    """
    if version is None:
        return
    match = re.fullmatch(r"(\d{1,9})(?:\.\d+)*", version, re.ASCII)
    if match is None:
        raise InvalidPackage(f"{version[:80]!r} is no version of metadata")
    if int(match[1]) > int(SCHEMA_VERSION.split(".")[0]):
        raise SchemaTooNew(f"the package's metadata is of version {version}, newer than ours")


def read_meta(data: Any, place: str = "meta") -> Package:  # noqa: ANN401  # JSON
    """Read metadata; the package has no objects yet.

    Raises:
        InvalidPackage: a required field is missing or a field has a wrong type.
        SchemaTooNew: it was written for a later ebpm.
    """
    fields = Fields(data, place)
    check_schema(fields.text("ebpm_schema"))
    settings = {key: value for key in _SETTINGS if (value := fields.any(key)) is not None}
    multiple = bool(fields.any("enable_multiple_export_types"))
    exports = fields.each("export_types", _read_export)
    name = fields.text("name")
    license_text = fields.text("license")
    build = fields.child("ebpm_build", _read_build)
    btfs = read_btfs(fields.optional("ebpm_btfs", dict) or {}, f"{place}.ebpm_btfs")
    skeleton = Fields(fields.required("bpf_skel", dict), f"{place}.bpf_skel")
    object_name = skeleton.required("obj_name", str)
    return Package(
        name=name or object_name.removesuffix("_bpf"),
        object_name=object_name,
        documentation=skeleton.child("doc", _read_documentation) or Documentation(),
        sections=skeleton.each("data_sections", _read_section),
        maps=skeleton.each("maps", _read_map),
        programs=skeleton.each("progs", _read_program),
        exports=exports,
        multiple_exports=multiple,
        license=license_text,
        build=build,
        btfs=btfs,
        settings=settings,
        extra={**fields.rest, **({"bpf_skel": skeleton.rest} if skeleton.rest else {})},
    )


def write_meta(package: Package) -> dict[str, Any]:
    """Write metadata as today's eunomia-bpf reads it; our own keys are unknown ones to it."""
    extra: dict[str, Any] = dict(package.extra)
    skeleton = with_extra(
        present(
            data_sections=[_write_section(one) for one in package.sections],
            maps=[_write_map(one) for one in package.maps],
            progs=[_write_program(one) for one in package.programs],
            obj_name=package.object_name,
            doc=_write_documentation(package.documentation) or None,
        ),
        extra.pop("bpf_skel", {}),
    )
    implied = package.object_name.removesuffix("_bpf")
    fields = present(
        bpf_skel=skeleton,
        export_types=[_write_export(one) for one in package.exports] or None,
        enable_multiple_export_types=package.multiple_exports or None,
        ebpm_schema=SCHEMA_VERSION,
        name=package.name if package.name != implied else None,
        license=package.license,
        ebpm_build=_write_build(package.build) if package.build else None,
        ebpm_btfs=write_btfs(package.btfs) or None,
    )
    return with_extra({**fields, **package.settings}, extra)


def _read_build(fields: Fields) -> Build:
    return Build(
        compiler=fields.text("compiler") or "",
        flags=tuple(str(flag) for flag in fields.optional("flags", list) or ()),
        inputs={name: str(one) for name, one in (fields.optional("inputs", dict) or {}).items()},
        extra=fields.rest,
    )


def _write_build(build: Build) -> dict[str, Any]:
    known = {
        "compiler": build.compiler,
        "flags": list(build.flags),
        "inputs": dict(build.inputs),
    }
    return with_extra(known, build.extra)


def _read_documentation(fields: Fields) -> Documentation:
    known = {key: fields.text(key) for key in _DOCUMENTATION}
    return Documentation(**known, extra=fields.rest)


def _write_documentation(doc: Documentation) -> dict[str, Any]:
    known = present(**{key: getattr(doc, key) for key in _DOCUMENTATION})
    return with_extra(known, doc.extra)


def _read_section(fields: Fields) -> DataSection:
    return DataSection(
        name=fields.required("name", str),
        variables=fields.each("variables", _read_variable),
        extra=fields.rest,
    )


def _write_section(section: DataSection) -> dict[str, Any]:
    variables = [_write_variable(one) for one in section.variables]
    return with_extra({"name": section.name, "variables": variables}, section.extra)


def _read_variable(fields: Fields) -> Variable:
    return Variable(
        name=fields.required("name", str),
        type=fields.required("type", str),
        value=fields.any("value"),
        description=fields.text("description"),
        option=fields.child("cmdarg", _read_option),
        extra=fields.rest,
    )


def _write_variable(one: Variable) -> dict[str, Any]:
    known = present(
        name=one.name,
        type=one.type,
        value=one.value,
        description=one.description,
        cmdarg=_write_option(one.option) if one.option else None,
    )
    return with_extra(known, one.extra)


def _read_option(fields: Fields) -> Option:
    return Option(
        default=fields.any("default"),
        long=fields.text("long"),
        short=fields.text("short"),
        help=fields.text("help"),
        extra=fields.rest,
    )


def _write_option(option: Option) -> dict[str, Any]:
    known = present(default=option.default, long=option.long, short=option.short, help=option.help)
    return with_extra(known, option.extra)


def _read_map(fields: Fields) -> MapSpec:
    return MapSpec(
        name=fields.required("name", str),
        ident=fields.required("ident", str),
        mmaped=bool(fields.any("mmaped")),
        description=fields.text("description"),
        sample=fields.child("sample", _read_sample),
        export=fields.any("export_config"),
        interpreter=fields.any("intepreter"),  # spelt so in every version of the format
        data=tuple(fields.optional("data", list) or ()),
        max_entries=fields.optional("max_entries", int),
        extra=fields.rest,
    )


def _write_map(one: MapSpec) -> dict[str, Any]:
    known = present(
        name=one.name,
        ident=one.ident,
        mmaped=one.mmaped or None,
        description=one.description,
        sample=_write_sample(one.sample) if one.sample else None,
        export_config=one.export,
        intepreter=one.interpreter,
        data=list(one.data) or None,
        max_entries=one.max_entries,
    )
    return with_extra(known, one.extra)


def _read_sample(fields: Fields) -> Sample:
    return Sample(
        interval=fields.required("interval", int),
        type=fields.text("type") or "default_kv",
        unit="(unit)" if (unit := fields.text("unit")) is None else unit,
        clear_map=bool(fields.any("clear_map")),
        sort=fields.text("sort"),
        limit=fields.optional("limit", int),
        options=fields.optional("cmdarg", dict) or {},
        extra=fields.rest,
    )


def _write_sample(one: Sample) -> dict[str, Any]:
    known = present(
        interval=one.interval,
        type=one.type,
        unit=one.unit,
        clear_map=one.clear_map or None,
        sort=one.sort,
        limit=one.limit,
        cmdarg=dict(one.options) or None,
    )
    return with_extra(known, one.extra)


def _read_program(fields: Fields) -> ProgramSpec:
    link = fields.any("link")
    return ProgramSpec(
        name=fields.required("name", str),
        attach=fields.required("attach", str),
        link=link is not False,
        description=fields.text("description"),
        extra=fields.rest,
    )


def _write_program(one: ProgramSpec) -> dict[str, Any]:
    known = present(name=one.name, attach=one.attach, link=one.link, description=one.description)
    return with_extra(known, one.extra)


def _read_export(fields: Fields) -> ExportType:
    return ExportType(
        name=fields.required("name", str),
        members=fields.each("members", _read_member),
        size=fields.optional("size", int),
        type_id=fields.optional("type_id", int),
        extra=fields.rest,
    )


def _write_export(one: ExportType) -> dict[str, Any]:
    known = present(
        name=one.name,
        members=[_write_member(member) for member in one.members],
        size=one.size,
        type_id=one.type_id,
    )
    return with_extra(known, one.extra)


def _read_member(fields: Fields) -> ExportMember:
    return ExportMember(
        name=fields.text("name") or "",
        type=fields.text("type") or "",
        description=fields.text("description"),
        extra=fields.rest,
    )


def _write_member(one: ExportMember) -> dict[str, Any]:
    return with_extra(present(name=one.name, type=one.type, description=one.description), one.extra)


# --- annotations ---------------------------------------------------------------------------------


def annotate(
    package: Package,
    place: str,
    *,
    variables: Notes,
    maps: Notes,
    programs: Notes,
    members: Mapping[str, Notes],
    documentation: Mapping[str, Any],
) -> Package:
    """Add keys to a package's parts, by their names, as if its metadata had had them.

    What the object says (VARIABLE_FACTS and so on) stays as it is.

    Args:
        package: what the object alone says.
        place: the source file, for errors.
        variables: keys by variable.
        maps: keys by map.
        programs: keys by program.
        members: keys by struct and member.
        documentation: keys of the tool.

    Raises:
        InvalidPackage: a known key has a value of a wrong type.
    """

    def add(
        one: _Part,
        notes: Notes,
        write: Callable[[_Part], Any],
        read: _Read[_Part],
        facts: Sequence[str] = (),
    ) -> _Part:
        name: str = getattr(one, "name", "LICENSE")
        if name not in notes:
            return one
        own = write(one)
        kept = {key: own[key] for key in facts if key in own}
        return read(Fields({**own, **notes[name], **kept}, f"{place}: {name}"))

    sections = tuple(
        replace(
            section,
            variables=tuple(
                add(one, variables, _write_variable, _read_variable, VARIABLE_FACTS)
                for one in section.variables
            ),
        )
        for section in package.sections
    )
    exports = tuple(
        replace(
            export,
            members=tuple(
                add(one, members.get(export.name, {}), _write_member, _read_member, MEMBER_FACTS)
                for one in export.members
            ),
        )
        for export in package.exports
    )
    notes = {"LICENSE": documentation} if documentation else {}
    return replace(
        package,
        sections=sections,
        maps=tuple(add(one, maps, _write_map, _read_map, MAP_FACTS) for one in package.maps),
        programs=tuple(
            add(one, programs, _write_program, _read_program, PROGRAM_FACTS)
            for one in package.programs
        ),
        exports=exports,
        documentation=add(package.documentation, notes, _write_documentation, _read_documentation),
    )
