"""What an object says of itself: programs, maps, variables, license; without loading it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ebpm.btf import types as t
from ebpm.btf.elf import (
    SHF_EXECINSTR,
    SHN_LORESERVE,
    STB_LOCAL,
    STT_FUNC,
    ElfObject,
    Section,
    read_elf,
)
from ebpm.btf.layout import Layout
from ebpm.btf.layouts import layout_of
from ebpm.btf.parse import Btf
from ebpm.btf.text import type_text
from ebpm.errors import InvalidBtf, InvalidObject

DATA_SECTIONS = (".rodata", ".data", ".bss")
DUMMIES = ("__eunomia_dummy", "__ebpm_export")
"""What the names of variables begin with that builders inject, to keep types: nobody's to set."""
KCONFIG = ".kconfig"
"""The section of the kernel's settings: libbpf makes a map of it, and fills it."""
_STRUCT_OPS, _STRUCT_OPS_MAP = (".struct_ops", ".struct_ops.link"), 26
_NAME_SIZE, _FILE_NAME_SIZE = 16, 64  # BPF_OBJ_NAME_LEN; bpftool's MAX_OBJ_NAME_LEN


@dataclass(frozen=True, slots=True)
class VariableFact:
    """A global variable: where it lies in its section, in bytes, and its type."""

    name: str
    section: str
    offset: int
    type_id: int
    type: str
    size: int


@dataclass(frozen=True, slots=True)
class MapFact:
    """A map's definition; what the object does not say is 0 or None."""

    name: str
    type: int  # enum bpf_map_type
    max_entries: int = 0
    flags: int = 0
    key_size: int = 0
    value_size: int = 0
    key_type: int | None = None  # BTF ids
    value_type: int | None = None


@dataclass(frozen=True, slots=True)
class ProgramFact:
    """A program: an entry function in a section of its kind."""

    name: str
    section: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """All of it, with the ELF and the BTF that it was read from."""

    elf: ElfObject
    btf: Btf | None
    license: str | None
    programs: tuple[ProgramFact, ...]
    maps: tuple[MapFact, ...]
    variables: tuple[VariableFact, ...]
    data_sections: tuple[str, ...]  # the sections that become maps of their own

    def layout(self, type_id: int) -> Layout:
        """Lay out a type of the object's BTF."""
        if self.btf is None:
            raise InvalidObject("the object has no BTF", hint="compile it with -g")
        return layout_of(self.btf, type_id)


def describe(data: bytes) -> ObjectFacts:
    """Read an object.

    Raises:
        InvalidObject: it is not a BPF object, or is damaged.
    """
    elf = read_elf(data)
    section = elf.section(".BTF")
    btf = Btf(section.data) if section and section.data else None
    license_section = elf.section("license")
    return ObjectFacts(
        elf=elf,
        btf=btf,
        license=_text(license_section.data) if license_section else None,
        programs=tuple(_programs(elf)),
        maps=tuple(_maps(elf, btf)) if btf else (),
        variables=tuple(_variables(elf, btf)) if btf else (),
        data_sections=tuple(one.name for one in elf.sections if _is_data(one)),
    )


def _text(data: bytes) -> str:
    return data.split(b"\0", 1)[0].decode("utf-8", "replace")


def _is_data(section: Section) -> bool:
    """Whether libbpf makes a map of a section (bpf_object__init_global_data_maps)."""
    return section.size > 0 and any(
        section.name == kind or section.name.startswith(f"{kind}.") for kind in DATA_SECTIONS
    )


def _programs(elf: ElfObject) -> list[ProgramFact]:
    found = []
    for symbol in elf.symbols:
        if symbol.type != STT_FUNC or not 0 < symbol.section < min(
            SHN_LORESERVE, len(elf.sections)
        ):
            continue
        section = elf.sections[symbol.section]
        if (
            section.flags & SHF_EXECINSTR
            and section.name != ".text"
            and symbol.binding != STB_LOCAL
        ):
            found.append(
                (symbol.section, ProgramFact(symbol.name, section.name, symbol.value, symbol.size))
            )
    return [fact for _, fact in sorted(found, key=lambda one: (one[0], one[1].offset))]


def _variables(elf: ElfObject, btf: Btf) -> list[VariableFact]:
    places = {
        (symbol.section, symbol.name): symbol.value
        for symbol in elf.symbols
        if 0 < symbol.section < SHN_LORESERVE
    }
    sections = {section.name: section for section in elf.sections}
    found = []
    for _, group in btf.of_kind(t.DataSection):
        section = sections.get(group.name)
        if section is None or not _is_data(section):
            continue
        for entry in group.entries:
            variable = btf[entry.type]
            if not isinstance(variable, t.Variable):
                raise InvalidBtf(f"section {group.name} holds a type that is no variable")
            if variable.linkage == 0:
                continue  # static: no name that a stranger could know it by
            offset = places.get((section.index, variable.name), entry.offset)
            size = btf.size(variable.type)
            if offset + size > section.size:
                raise InvalidBtf(f"variable {variable.name} reaches beyond section {group.name}")
            text = type_text(btf, variable.type)
            found.append(VariableFact(variable.name, group.name, offset, variable.type, text, size))
    return sorted(found, key=lambda one: (sections[one.section].index, one.offset))


def _maps(elf: ElfObject, btf: Btf) -> list[MapFact]:
    """List the maps in the order of the source, which their places in the section keep."""
    places = {symbol.name: symbol.value for symbol in elf.symbols if symbol.section}
    found = []
    for _, group in btf.of_kind(t.DataSection):
        for entry in group.entries:
            variable = btf[entry.type]
            if isinstance(variable, t.Variable) and group.name == ".maps":
                found.append(_map(btf, variable))
            elif isinstance(variable, t.Variable) and group.name in _STRUCT_OPS:
                found.append(MapFact(variable.name, _STRUCT_OPS_MAP, max_entries=1))
    return sorted(found, key=lambda one: places.get(one.name, 0))


def _map(btf: Btf, variable: t.Variable) -> MapFact:
    """Read a BTF-defined map: numbers are array lengths behind pointers, types are pointees.

    Source: libbpf's ``parse_btf_map_def``.
    """
    definition = btf[btf.strip(variable.type)]
    if not isinstance(definition, t.Struct):
        raise InvalidBtf(f"map {variable.name} is not defined by a struct")
    numbers: dict[str, int] = {}
    types: dict[str, int] = {}
    for member in definition.members:
        pointer = btf[btf.strip(member.type)]
        if not isinstance(pointer, t.Pointer):
            continue
        if member.name in ("key", "value"):
            types[member.name] = pointer.target
        elif isinstance(array := btf[btf.strip(pointer.target)], t.Array):
            numbers[member.name] = array.count
    sizes = {name: btf.size(type_id) for name, type_id in types.items()}
    return MapFact(
        variable.name,
        numbers.get("type", 0),
        max_entries=numbers.get("max_entries", 0),
        flags=numbers.get("map_flags", 0),
        key_size=sizes.get("key", numbers.get("key_size", 0)),
        value_size=sizes.get("value", numbers.get("value_size", 0)),
        key_type=types.get("key"),
        value_type=types.get("value"),
    )


# --- names, as bpftool and libbpf make them ------------------------------------------------------


def object_name(file: str) -> str:
    """Make bpftool's identifier of an object file: ``fentry-link.bpf.o`` is ``fentry_link_bpf``."""
    name = file.encode()[: _FILE_NAME_SIZE - 1].decode("latin-1")  # byte by byte, as in C
    return re.sub(r"\W", "_", name.removesuffix(".o"), flags=re.ASCII)


def section_ident(section: str) -> str:
    """Make bpftool's identifier of a data section: ``.rodata.str1.1`` is ``rodata_str1_1``."""
    return re.sub(r"\W", "_", section.removeprefix("."), flags=re.ASCII)


def section_map_name(name: str, section: str) -> str:
    """Make libbpf's name of a data section's map: the object's beginning and the section.

    Source: libbpf's ``internal_map_name``: sections of one's own keep their names.
    """
    if "." in section[1:]:
        return section
    return f"{name[: _NAME_SIZE - 1 - max(7, len(section))]}{section}"


def find_type(btf: Btf, text: str) -> int | None:
    """Find a type by what C calls it: ``struct event``, ``union u``, ``event_t``, ``__u32``."""
    kinds: Sequence[int] = (t.KIND_TYPEDEF, t.KIND_INT, t.KIND_ENUM, t.KIND_FLOAT)
    word, _, rest = text.partition(" ")
    tagged = {"struct": t.KIND_STRUCT, "union": t.KIND_UNION, "enum": t.KIND_ENUM}
    if rest and word in tagged:
        kinds, text = (tagged[word],), rest
    return next((found for kind in kinds if (found := btf.find(kind, text))), None)
