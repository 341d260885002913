"""A package out of nothing but an object: what any libbpf build can be run as."""

from __future__ import annotations

from ebpm.package.describe import (
    ObjectFacts,
    describe,
    object_name,
    section_ident,
    section_map_name,
)
from ebpm.package.exports import export_type, inferred_types
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
    types = [type_id for ids in inferred_types(facts).values() for type_id in ids]
    return Package(
        name=name,
        object_name=identifier,
        sections=tuple(sections),
        maps=tuple(maps),
        programs=tuple(ProgramSpec(name=fact.name, attach=fact.section) for fact in facts.programs),
        exports=tuple(export_type(facts, type_id) for type_id in dict.fromkeys(types)),
        license=facts.license,
        objects=(one,),
    )
