"""From source to package: compile, read what the comments say, put it together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ebpm.btf.types import Struct
from ebpm.build import events, scanner
from ebpm.build.annotations import Annotations, Symbols, read_annotations
from ebpm.build.compile import CompiledObject, Workbench, add_types, compile_objects
from ebpm.build.flags import FLAGS
from ebpm.build.toolchain import Compiler
from ebpm.errors import InvalidAnnotation, InvalidPackage, InvalidParameter, TargetNotFound
from ebpm.oci.platform import Platform
from ebpm.package.bare import from_object
from ebpm.package.describe import ObjectFacts, describe, find_type
from ebpm.package.exports import BUFFERS, export_type, with_buffers, with_samples
from ebpm.package.hook import alternative_of, parse_hook, when_of
from ebpm.package.meta import (
    MAP_FACTS,
    MEMBER_FACTS,
    PROGRAM_FACTS,
    VARIABLE_FACTS,
    annotate,
)
from ebpm.package.model import Build, ExportType, ObjectFile, Package, ProgramSpec
from ebpm.package.sections import retype

DEFAULT_ARCHITECTURES = ("amd64", "arm64")
_SUFFIX = ".bpf.c"
_LARGEST_HEADER = 256 << 10  # bytes; larger ones are a vmlinux.h of the source's own


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """A package, and the compiler's warnings."""

    package: Package
    warnings: str


def find_source(path: Path) -> tuple[Path, list[Path]]:
    """Find the source that a path names, and its header of the same name where there is one.

    Args:
        path: a .bpf.c file, or a folder with one of them.

    Raises:
        TargetNotFound: there is none, more than one, or something else.
    """
    if path.is_dir():
        sources = sorted(path.glob(f"*{_SUFFIX}"))
        if len(sources) != 1:
            names = ", ".join(one.name for one in sources) or "none"
            raise TargetNotFound(
                f"{path} has not one {_SUFFIX} file but {names}", hint="name the file itself"
            )
        source = sources[0]
        header = source.with_name(source.name.removesuffix(_SUFFIX) + ".h")
        return source, [header] if header.exists() else []
    if not path.exists():
        raise TargetNotFound(f"{path} does not exist", hint="name a .bpf.c file or its folder")
    if path.suffix != ".c":  # a compiler would hand it on to its linker, and say that all is well
        raise TargetNotFound(f"{path} is no C source", hint="name a .bpf.c file or its folder")
    return path, []


def build(
    source: Path,
    headers: Sequence[Path] = (),
    *,
    compiler: Compiler,
    architectures: Sequence[str] = DEFAULT_ARCHITECTURES,
    cflags: Sequence[str] = (),
    vmlinux: bytes | None = None,
    version: str | None = None,
    kept: Path | None = None,
) -> BuildResult:
    """Build a package.

    Args:
        source: the .bpf.c file.
        headers: files whose structs are export types.
        compiler: see :func:`ebpm.build.toolchain.find_compiler`.
        architectures: OCI names; one object serves all of them where the source allows it.
        cflags: flags for the compiler after ours.
        vmlinux: a vmlinux.h instead of the committed ones.
        version: of the tool, instead of what its documentation says.
        kept: see :class:`ebpm.build.compile.Workbench`.

    Raises:
        BuildFailed: the compiler refuses the source.
        InvalidAnnotation: a comment cannot be understood.
    """
    _require(headers)
    with Workbench(source, compiler, cflags=cflags, vmlinux=vmlinux, kept=kept) as bench:
        objects, text = compile_objects(bench, architectures)
        found = _declarations(bench, text, headers)
        first = describe(objects[0].data)
        used = events.buffer_types(
            found, {fact.name for fact in first.maps if fact.type in BUFFERS}
        )
        types = list(dict.fromkeys([one for ones in used.values() for one in ones]))
        types += [one for one in events.header_types(found, headers) if one not in types]
        objects = [_with_types(bench, one, architectures[0], types) for one in objects]
        inputs = _inputs(bench, text)
        remarks = _unused(text, headers)
    facts = describe(objects[0].data)
    exports = {one: _export(facts, type_id, one) for one in types if (type_id := _id(facts, one))}
    remarks += [
        f"{one} has no type information, and cannot be exported"
        for one in types
        if one not in exports
    ]
    package = from_object(_object_file(objects[0]), _tool_name(source), facts)
    known = Symbols(
        variables={fact.name for fact in facts.variables},
        maps={fact.name for fact in facts.maps},
        programs={fact.name for fact in facts.programs},
        structs={one.name for one in exports.values()},
    )
    notes = read_annotations(found, known)
    if exports:
        maps = tuple(replace(one, export=None) for one in package.maps)  # no guesses any more
        package = replace(
            package, exports=tuple(exports.values()), maps=maps, multiple_exports=False
        )
        carried = {name: [one for one in ones if one in exports] for name, ones in used.items()}
        ids = {name: exports[ones[0]].type_id for name, ones in carried.items() if ones}
        package = with_buffers(package, ids)
    package = replace(
        package,
        objects=tuple(_object_file(one) for one in objects),
        build=Build(compiler=compiler.version, flags=(*FLAGS, *cflags), inputs=inputs),
    )
    package = with_samples(_annotated(package, notes, str(source)))
    if version is not None:
        package = package.with_version(version)
    remarks += _contradicted(notes)
    warnings = list(dict.fromkeys(one.warnings for one in objects))
    warnings += [f"{source.name}: warning: {remark}\n" for remark in remarks]
    return BuildResult(package=package, warnings="".join(warnings))


def _require(headers: Sequence[Path]) -> None:
    for header in headers:
        if not header.is_file():
            raise TargetNotFound(f"header {header} does not exist")


def _tool_name(source: Path) -> str:
    return _printable(source.name).split(".")[0]


def _printable(name: str) -> str:
    """Replace what is not UTF-8 in a file's name: JSON could not hold it."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _object_file(one: CompiledObject) -> ObjectFile:
    platform = Platform("linux", one.architecture) if one.architecture else None
    return ObjectFile(data=one.data, platform=platform, portable=platform is None)


def _declarations(
    bench: Workbench, text: str, headers: Sequence[Path]
) -> list[scanner.Declaration]:
    """Read the declarations of the source, of the given headers and of others of its own."""
    given = {path.resolve() for path in (bench.source, *headers)}
    small = [path for path in bench.own_files(text) if _size(path) <= _LARGEST_HEADER]
    wanted = given | {path.resolve() for path in small}
    return scanner.declarations(text, lambda name: Path(name).resolve() in wanted)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return _LARGEST_HEADER + 1


def _unused(text: str, headers: Sequence[Path]) -> list[str]:
    """Remark on headers that the source does not include, whose structs are thus unknown."""
    read = {Path(name).resolve() for name in scanner.files(text)}
    return [
        f"it does not include {header.name}, whose structs are therefore not exported"
        for header in headers
        if header.resolve() not in read
    ]


def _with_types(
    bench: Workbench, one: CompiledObject, architecture: str, types: Sequence[str]
) -> CompiledObject:
    facts = describe(one.data)
    missing = [text for text in types if not _id(facts, text)]
    if not missing:
        return one
    return add_types(bench, one, one.architecture or architecture, missing)


def _id(facts: ObjectFacts, text: str) -> int | None:
    """Find a struct by what C calls it; a typedef of something else is none."""
    type_id = find_type(facts.btf, text) if facts.btf else None
    if facts.btf is None or type_id is None:
        return None
    return type_id if isinstance(facts.btf[facts.btf.strip(type_id)], Struct) else None


def _export(facts: ObjectFacts, type_id: int, text: str) -> ExportType:
    return export_type(facts, type_id, name=text.removeprefix("struct "))


def _annotated(package: Package, notes: Annotations, place: str) -> Package:
    """Add what the comments say; the model's reader checks it as it checks a file."""
    hooks = {
        name: keys.pop("attach")
        for name, keys in notes.programs.items()
        if "attach" in keys and " " not in str(keys["attach"])  # a sentence is no hook
    }
    try:
        package = annotate(
            package,
            place,
            variables=notes.variables,
            maps=notes.maps,
            programs=notes.programs,
            members=notes.members,
            documentation=notes.documentation,
        )
        variables = [variable.name for _, variable in package.variables]
        for one in package.maps:
            when_of(f"map {one.name}", one.extra.get("when"), variables)
        for program in package.programs:
            alternative_of(program)
            when_of(f"program {program.name}", program.extra.get("when"), variables)
    except InvalidPackage as error:
        raise InvalidAnnotation(error.message, hint=error.hint) from None
    programs = tuple(
        replace(one, attach=_hook(one, hooks[one.name])) if one.name in hooks else one
        for one in package.programs
    )
    return replace(package, programs=programs)


def _hook(program: ProgramSpec, text: Any) -> str:  # noqa: ANN401  # JSON
    """Read ``@attach``: where the program goes, or the options of where it is."""
    section = program.attach
    try:
        if not isinstance(text, str):
            raise InvalidParameter(f"{text!r} is no hook")
        hook = parse_hook(text, section)
        retype(section, hook.section)
    except InvalidParameter as error:
        message = f"program {program.name}: @attach: {error.message}"
        raise InvalidAnnotation(message, hint=error.hint) from None
    return f"{section},{text}" if hook.section == section and not text.startswith(section) else text


def _contradicted(notes: Annotations) -> list[str]:
    """Remark on annotations that would change what the object itself says."""
    groups = (
        (notes.variables, VARIABLE_FACTS),
        (notes.maps, MAP_FACTS),
        (notes.programs, PROGRAM_FACTS),
        *((members, MEMBER_FACTS) for members in notes.members.values()),
    )
    return [
        f"@{key} of {name} is not taken: the object says it"
        for group, facts in groups
        for name, keys in group.items()
        for key in facts
        if key in keys
    ]


def _inputs(bench: Workbench, text: str) -> dict[str, str]:
    """Hash what was read; names are those that the compiler was told, not this machine's."""
    inputs: dict[str, str] = {}
    for path in map(Path, scanner.files(text)):
        if bench.compiler.resources and path.is_relative_to(bench.compiler.resources):
            continue  # the compiler's own: its version stands for them
        if digest := bench.digest_of(path):  # #line may name anything
            inputs[_printable(bench.name_of(path))] = f"sha256:{digest}"
    return dict(sorted(inputs.items()))
