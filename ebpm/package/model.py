"""A package as values: what a tool is, before any kernel is involved.

Every value keeps in ``extra`` the keys that a file had and that we do not know, so that reading and
writing a package loses nothing. Names follow the field: programs, maps, variables, export types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ebpm.errors import PlatformNotFound
from ebpm.oci.digest import Digest
from ebpm.oci.platform import Platform

if TYPE_CHECKING:
    from ebpm.plainjson import Json

SCHEMA_VERSION = "1.0"
"""Of the metadata: a reader refuses a newer major version and keeps the unknown keys of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Documentation:
    """What the tool says of itself, from the comment on its LICENSE."""

    version: str | None = None
    brief: str | None = None
    description: str | None = None
    details: str | None = None
    extra: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """How a variable appears on the command line (``@cmdarg``)."""

    default: Json = None
    long: str | None = None
    short: str | None = None
    help: str | None = None
    extra: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A global variable that can be set before the object is loaded."""

    name: str
    type: str  # as C writes it
    value: Json = None  # None: as the object has it
    description: str | None = None
    option: Option | None = None
    extra: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSection:
    """A data section of the object (".rodata", ".bss", …) and the variables in it."""

    name: str
    variables: tuple[Variable, ...] = ()
    extra: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A map that is read at intervals (``@sample``)."""

    interval: int  # milliseconds
    type: str = "default_kv"  # or log2_hist, linear_hist
    unit: str = "(unit)"
    clear_map: bool = False
    sort: str | None = None  # columns of a table, see :class:`ebpm.runtime.order.Order`
    limit: int | None = None  # rows of a reading that are shown
    options: Mapping[str, Json] = field(default_factory=dict)  # of the tool, for sort and limit
    extra: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapSpec:
    """A map of the object."""

    name: str  # as libbpf names it; internal ones are OBJECT.SECTION
    ident: str
    mmaped: bool = False
    description: str | None = None
    sample: Sample | None = None
    export: Json = None  # export_config: what an event or entry of the map is
    interpreter: Json = None
    data: tuple[Json, ...] = ()  # entries to put in before the programs are attached
    max_entries: int | None = None  # instead of the object's; of a ring buffer, bytes
    extra: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramSpec:
    """A program of the object and where it attaches."""

    name: str
    attach: str  # the ELF section: "tracepoint/syscalls/sys_enter_kill"
    link: bool = True
    description: str | None = None
    extra: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportMember:
    """A column: a member of an export type."""

    name: str
    type: str
    description: str | None = None
    extra: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportType:
    """A struct that the tool reports."""

    name: str
    members: tuple[ExportMember, ...]
    size: int | None = None  # bytes
    type_id: int | None = None  # in the object's BTF
    extra: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectFile:
    """A compiled BPF object.

    ``platform`` is None where nobody said for which machine it was compiled. ``portable`` marks an
    object that serves every little-endian machine.
    """

    data: bytes = field(repr=False)
    platform: Platform | None = None
    portable: bool = False

    @property
    def serves(self) -> str:
        """Say for people which machines it is for."""
        portable = "little-endian machines" if self.portable else "a machine nobody named"
        return str(self.platform) if self.platform else portable

    @property
    def digest(self) -> Digest:
        """The address of its bytes."""
        return Digest.of(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelBtf:
    """The types of a kernel, trimmed to what the tool's object for its machine asks for."""

    path: str  # as in the BTFhub archive: "debian/10/x86_64/4.19.0-21-amd64"
    data: bytes = field(repr=False)

    @property
    def machine(self) -> str:
        """The machine, as ``uname -m`` names it."""
        return self.path.split("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What the objects were made with; the same build of the same inputs gives the same bytes."""

    compiler: str
    flags: tuple[str, ...]
    inputs: Mapping[str, str]  # file name: digest
    extra: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A tool: its objects and everything that is said about them."""

    name: str  # of the tool: "sigsnoop"
    object_name: str  # bpftool's identifier of the object: "sigsnoop_bpf"
    documentation: Documentation = Documentation()
    sections: tuple[DataSection, ...] = ()
    maps: tuple[MapSpec, ...] = ()
    programs: tuple[ProgramSpec, ...] = ()
    exports: tuple[ExportType, ...] = ()
    multiple_exports: bool = False  # each map says by ``export`` what it carries
    license: str | None = None  # as the object declares it: "Dual BSD/GPL"
    objects: tuple[ObjectFile, ...] = ()
    btfs: tuple[KernelBtf, ...] = ()  # of kernels that have none themselves
    build: Build | None = None
    settings: Mapping[str, Json] = field(default_factory=dict)  # poll_timeout_ms and the like
    extra: Mapping[str, Json] = field(default_factory=dict)

    @property
    def version(self) -> str | None:
        """The version that the tool gives itself; tags are the business of registries."""
        return self.documentation.version

    @property
    def variables(self) -> list[tuple[str, Variable]]:
        """All variables with the names of their sections."""
        return [(section.name, one) for section in self.sections for one in section.variables]

    @property
    def parameters(self) -> list[Variable]:
        """The variables that people set: not those in which the program counts what it lost."""
        return [one for _, one in self.variables if not one.extra.get("lost")]

    def object_for(self, platform: Platform) -> ObjectFile:
        """Choose the object for a machine.

        Raises:
            PlatformNotFound: there is none; the kernel itself would not notice a wrong one.
        """
        for one in self.objects:
            if one.platform == platform:
                return one
        for one in self.objects:
            if one.portable and not platform.big_endian:
                return one
        for one in self.objects:
            if one.platform is None and not one.portable:
                return one
        known = ", ".join(one.serves for one in self.objects) or "no object at all"
        raise PlatformNotFound(f"package {self.name} has no object for {platform}, only {known}")

    def with_version(self, version: str) -> Package:
        """Give the tool another version."""
        return replace(self, documentation=replace(self.documentation, version=version))
