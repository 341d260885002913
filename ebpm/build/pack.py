"""From source to package: compile, read what the comments say, put it together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from ebpm.build import events, scanner
from ebpm.build.annotations import Annotations, Symbols, read_annotations
from ebpm.build.compile import FLAGS, CompiledObject, Workbench, add_types, compile_objects
from ebpm.build.toolchain import Compiler
from ebpm.errors import InvalidAnnotation, InvalidPackage, TargetNotFound
from ebpm.oci.platform import Platform
from ebpm.package.bare import from_object
from ebpm.package.describe import ObjectFacts, describe, find_type
from ebpm.package.exports import BUFFERS, export_type
from ebpm.package.meta import annotate
from ebpm.package.model import Build, ExportType, ObjectFile, Package

DEFAULT_ARCHITECTURES = ("amd64", "arm64")
_SUFFIX = ".bpf.c"


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
        TargetNotFound: there is none, or more than one.
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

    Raises:
        BuildFailed: the compiler refuses the source.
        InvalidAnnotation: a comment cannot be understood.
    """
    for header in headers:
        if not header.exists():
            raise TargetNotFound(f"header {header} does not exist")
    with Workbench(source, compiler, cflags=cflags, vmlinux=vmlinux) as bench:
        objects, text = compile_objects(bench, architectures)
        found = _declarations(bench, text, headers)
        first = describe(objects[0].data)
        used = events.buffer_types(
            found, {fact.name for fact in first.maps if fact.type in BUFFERS}
        )
        given = [str(header.absolute()) for header in headers]
        types = list(dict.fromkeys([one for ones in used.values() for one in ones]))
        types += [one for one in events.header_types(found, given) if one not in types]
        objects = [_with_types(bench, one, architectures[0], types) for one in objects]
        inputs = _inputs(bench, text)
    facts = describe(objects[0].data)
    package = from_object(_object_file(objects[0]), source.name.split(".")[0], facts)
    exports = [_export(facts, one) for one in types]
    known = Symbols(
        variables={fact.name for fact in facts.variables},
        maps={fact.name for fact in facts.maps},
        programs={fact.name for fact in facts.programs},
        structs={one.removeprefix("struct ") for one in types},
    )
    notes = read_annotations(found, known)
    package = replace(
        package,
        exports=tuple(exports) or package.exports,
        objects=tuple(_object_file(one) for one in objects),
        build=Build(compiler=compiler.version, flags=(*FLAGS, *cflags), inputs=inputs),
    )
    package = _annotated(_with_buffers(package, used, exports), notes, str(source))
    if version is not None:
        package = package.with_version(version)
    warnings = "".join(dict.fromkeys(one.warnings for one in objects))
    return BuildResult(package=package, warnings=warnings)


def _object_file(one: CompiledObject) -> ObjectFile:
    platform = Platform("linux", one.architecture) if one.architecture else None
    return ObjectFile(data=one.data, platform=platform, portable=platform is None)


def _declarations(
    bench: Workbench, text: str, headers: Sequence[Path]
) -> list[scanner.Declaration]:
    """Read the source's own declarations and those of the given headers."""
    wanted = {bench.source.resolve(), *(header.resolve() for header in headers)}
    return scanner.declarations(text, lambda name: Path(name).resolve() in wanted)


def _with_types(
    bench: Workbench, one: CompiledObject, architecture: str, types: Sequence[str]
) -> CompiledObject:
    btf = describe(one.data).btf
    missing = [text for text in types if btf is None or find_type(btf, text) is None]
    if not missing:
        return one
    return add_types(bench, one, one.architecture or architecture, missing)


def _export(facts: ObjectFacts, text: str) -> ExportType:
    type_id = find_type(facts.btf, text) if facts.btf else None
    if type_id is None:
        raise InvalidPackage(f"the compiler wrote no BTF for {text}")
    return export_type(facts, type_id, name=text.removeprefix("struct "))


def _with_buffers(
    package: Package, used: Mapping[str, Sequence[str]], exports: Sequence[ExportType]
) -> Package:
    """Say of each buffer what it carries, where they do not all carry the same."""
    first = {buffer: structs[0].removeprefix("struct ") for buffer, structs in used.items()}
    if len(set(first.values())) < 2:
        return package
    ids = {one.name: one.type_id for one in exports}
    maps = [
        replace(one, export={"btf_type_id": ids[first[one.name]]}) if one.name in first else one
        for one in package.maps
    ]
    return replace(package, maps=tuple(maps), multiple_exports=True)


def _annotated(package: Package, notes: Annotations, place: str) -> Package:
    """Add what the comments say; the model's reader checks it as it checks a file."""
    try:
        return annotate(
            package,
            place,
            variables=notes.variables,
            maps=notes.maps,
            programs=notes.programs,
            members=notes.members,
            documentation=notes.documentation,
        )
    except InvalidPackage as error:
        raise InvalidAnnotation(error.message) from None


def _inputs(bench: Workbench, text: str) -> dict[str, str]:
    """Hash what was read; names are those that the compiler was told, not this machine's."""
    folders = [(one.folder, "include/") for one in bench.laid_out()] + [(bench.source.parent, "")]
    inputs: dict[str, str] = {}
    for name in scanner.files(text):
        path = Path(name)
        for folder, prefix in folders:
            if path.is_relative_to(folder):
                key = prefix + str(path.relative_to(folder))
                break
        else:
            key = f"system/{path.name}"
        if bench.compiler.resources and path.is_relative_to(bench.compiler.resources):
            continue  # the compiler's own: its version stands for them
        inputs[key] = f"sha256:{sha256(path.read_bytes()).hexdigest()}"
    return dict(sorted(inputs.items()))
