"""A package out of nothing but an object: what any libbpf build can be run as."""

from __future__ import annotations

from ebpm.btf import types as t
from ebpm.package.describe import (
    KCONFIG,
    ObjectFacts,
    describe,
    object_name,
    section_ident,
    section_map_name,
)
from ebpm.package.exports import export_type, inferred_types, with_buffers
from ebpm.package.model import (
    DataSection,
    MapSpec,
    ObjectFile,
    Package,
    ProgramSpec,
    Variable,
)


def from_object(one: ObjectFile, name: str, facts: ObjectFacts | None = None) -> Package:
    """Make a package of an object.

    Args:
        one: the object.
        name: the tool's; bpftool's identifier is made from ``NAME.bpf.o``.
        facts: what :func:`describe` said of it, if that is known already.

    Raises:
        InvalidObject: it is not a BPF object.
    """
    facts = facts or describe(one.data)
    identifier = object_name(f"{name}.bpf.o")
    sections = []
    for section in facts.data_sections:
        variables = tuple(
            Variable(name=fact.name, type=fact.type)
            for fact in facts.variables
            if fact.section == section
        )
        if variables:
            sections.append(DataSection(name=section, variables=variables))
    maps = [MapSpec(name=fact.name, ident=fact.name) for fact in facts.maps]
    maps += [
        MapSpec(
            name=section_map_name(identifier, section), ident=section_ident(section), mmaped=True
        )
        for section in facts.data_sections
    ]
    if facts.btf is not None and facts.btf.find(t.KIND_DATASEC, KCONFIG):
        maps.append(
            MapSpec(name=section_map_name(identifier, KCONFIG), ident="kconfig", mmaped=True)
        )
    carried = inferred_types(facts)
    exports = {at: export_type(facts, at) for ids in carried.values() for at in ids}
    package = Package(
        name=name,
        object_name=identifier,
        sections=tuple(sections),
        maps=tuple(maps),
        programs=tuple(ProgramSpec(name=fact.name, attach=fact.section) for fact in facts.programs),
        exports=tuple(exports.values()),
        license=facts.license,
        objects=(one,),
    )
    return with_buffers(package, {name: exports[ids[0]].type_id for name, ids in carried.items()})
