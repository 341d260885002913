"""One BPF source compiled: objects for the architectures, and the text that annotations need."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from ebpm.btf.canonical import canonical
from ebpm.btf.elf import ElfObject, read_elf
from ebpm.btf.graft import graft
from ebpm.btf.parse import Btf
from ebpm.btf.types import Variable
from ebpm.build import scanner
from ebpm.build.headers import HeaderSet, header_set
from ebpm.build.strip import strip
from ebpm.build.toolchain import Compiler, CompilerRun
from ebpm.errors import BuildFailed, InvalidObject

FLAGS = ("-g", "-O2", "-mcpu=v3", "-Wall")
"""The flags of every build: -g carries the BTF; v3 needs Linux 5.1 and is clang 20's default."""
_TARGETS = {"amd64": "x86", "ppc64le": "powerpc", "riscv64": "riscv", "s390x": "s390"} | {
    "loong64": "loongarch"
}
"""What libbpf's bpf_tracing.h calls the architectures, where it differs."""
_EXPORT = "__ebpm_export_"
_HINTS = (
    (r"'vmlinux\.h' file not found", 'ebpm brings it: write #include "vmlinux.h"'),
    (r"'[\w./-]+\.h' file not found", "give the header's folder with --cflag=-IFOLDER"),
    (
        r"incomplete (type|definition)|no member named|unknown type name|undeclared identifier",
        "if the kernel you run has it and ebpm's vmlinux.h has not, build with --vmlinux host",
    ),
    (
        r"redefinition of|redeclared as|conflicting types",
        "vmlinux.h declares every kernel name: rename your own, or leave its definition to it",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledObject:
    """A stripped object in canonical form; ``architecture`` is None where one serves all."""

    architecture: str | None
    data: bytes
    warnings: str = ""


class Workbench:
    """A source, a compiler, and the headers laid out for them in a temporary folder.

    Args:
        source: the .bpf.c file.
        compiler: see :func:`ebpm.build.toolchain.find_compiler`.
        cflags: flags after ours.
        vmlinux: a vmlinux.h to use instead of the committed ones.
    """

    def __init__(
        self,
        source: Path,
        compiler: Compiler,
        *,
        cflags: Sequence[str] = (),
        vmlinux: bytes | None = None,
    ) -> None:
        self.source = source.absolute()
        self.compiler = compiler
        self.cflags = tuple(cflags)
        self._vmlinux = vmlinux
        self._headers: dict[str, HeaderSet] = {}
        self._stack = ExitStack()
        self.folder = Path(self._stack.enter_context(TemporaryDirectory(prefix="ebpm-build-")))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def headers(self, architecture: str) -> HeaderSet:
        """Lay out the headers of an architecture, once."""
        if architecture not in self._headers:
            made = self._stack.enter_context(header_set(architecture, self._vmlinux))
            self._headers[architecture] = made
        return self._headers[architecture]

    def laid_out(self) -> list[HeaderSet]:
        """List the headers that were laid out so far."""
        return list(self._headers.values())

    def preprocess(self, architecture: str, target: str | None) -> CompilerRun:
        """Preprocess with comments kept; ``target`` is None to leave the architecture open."""
        arguments = [*self._flags(architecture, target), "-E", "-CC", str(self.source)]
        return self.compiler.run(arguments)

    def compile(
        self, architecture: str, target: str | None, source: Path | None = None
    ) -> tuple[CompilerRun, bytes]:
        """Compile the source, or another that includes it; the object is empty on failure."""
        with TemporaryDirectory(dir=self.folder) as name:
            out = Path(name) / "object.o"
            flags = self._flags(architecture, target)
            run = self.compiler.run([*flags, "-c", str(source or self.source), "-o", str(out)])
            return run, out.read_bytes() if run.ok else b""

    def _flags(self, architecture: str, target: str | None) -> list[str]:
        headers, folder = self.headers(architecture).folder, self.source.parent
        flags = [*FLAGS, f"-I{folder}", "-isystem", str(headers)]
        flags += self.compiler.system_headers(architecture)
        flags += [f"-ffile-prefix-map={folder}=.", f"-ffile-prefix-map={headers}=include"]
        flags += ["-ffile-compilation-dir=."]  # none of this machine's paths reach the object
        if target:
            flags.append(f"-D__TARGET_ARCH_{_TARGETS.get(target, target)}")
        return [*flags, *self.cflags]

    def own_files(self, text: str) -> list[Path]:
        """List the files of preprocessed text that are neither ours nor the system's."""
        foreign = [made.folder for made in self._headers.values()] + [Path("/usr")]
        if self.compiler.resources:
            foreign.append(self.compiler.resources)
        paths = [Path(name) for name in scanner.files(text)]
        return [path for path in paths if not any(path.is_relative_to(one) for one in foreign)]


def compile_objects(
    bench: Workbench, architectures: Sequence[str]
) -> tuple[list[CompiledObject], str]:
    """Compile for all architectures: once where the source allows it, else once for each.

    Args:
        bench: the source.
        architectures: OCI names; the first one's types serve the common object.

    Returns:
        the objects, and the preprocessed text of the first.

    Raises:
        BuildFailed: with the compiler's own words, and a hint where one is known.
    """
    first = architectures[0]
    with ThreadPoolExecutor(2) as pool:
        text_run = pool.submit(bench.preprocess, first, None)
        object_run = pool.submit(bench.compile, first, None)
        text, (run, data) = text_run.result(), object_run.result()
    if run.ok and not _asks_for_target(bench, common := text.output.decode("utf-8", "replace")):
        return [_finished(None, data, run)], common
    objects = []
    for architecture in architectures:
        run, data = bench.compile(architecture, architecture)
        if not run.ok:
            raise _failure(bench, run, architecture if len(architectures) > 1 else None)
        objects.append(_finished(architecture, data, run))
    text = bench.preprocess(first, first)
    return objects, text.output.decode("utf-8", "replace")


def add_types(
    bench: Workbench, one: CompiledObject, architecture: str, types: Sequence[str]
) -> CompiledObject:
    """Add struct types to an object's BTF, from a second compilation that uses each of them.

    Args:
        bench: the source.
        one: its object.
        architecture: whose headers to use.
        types: as C names them at the source's file scope: "struct event", "event_t".
    """
    extra = bench.folder / "types.bpf.c"
    lines = [f'#include "{bench.source.name}"']
    lines += [f"{text} {_EXPORT}{at};" for at, text in enumerate(types)]
    extra.write_text("\n".join(lines) + "\n")
    run, data = bench.compile(architecture, one.architecture, extra)
    if not run.ok:
        raise _failure(bench, run, one.architecture)
    types_btf, object_btf = _btf(read_elf(data)), _btf(read_elf(one.data))
    roots = [
        variable.type
        for _, variable in types_btf.of_kind(Variable)
        if variable.name.startswith(_EXPORT)
    ]
    return replace(one, data=_rewritten(one.data, graft(object_btf, types_btf, roots)))


def _asks_for_target(bench: Workbench, text: str) -> bool:
    """Whether the source looks at the architecture: then one object would not serve all."""
    if "Must specify a BPF target arch" in text:
        return True
    return any(b"__TARGET_ARCH_" in path.read_bytes() for path in bench.own_files(text))


def _finished(architecture: str | None, data: bytes, run: CompilerRun) -> CompiledObject:
    return CompiledObject(
        architecture=architecture, data=_rewritten(data), warnings=run.diagnostics
    )


def _rewritten(data: bytes, btf: bytes | None = None) -> bytes:
    """Strip an object and put its BTF (or another) in canonical form."""
    elf = read_elf(data)
    ext = elf.section(".BTF.ext")
    types, extension = canonical(Btf(btf) if btf else _btf(elf), ext.data if ext else None)
    contents = {".BTF": types} | ({".BTF.ext": extension} if extension else {})
    return strip(elf, drop=(".rel.BTF", ".rel.BTF.ext"), contents=contents)


def _btf(elf: ElfObject) -> Btf:
    section = elf.section(".BTF")
    if section is None:
        raise InvalidObject("the compiler wrote no BTF", hint="it is clang -g that writes it")
    return Btf(section.data)


def _failure(bench: Workbench, run: CompilerRun, architecture: str | None) -> BuildFailed:
    errors = [line for line in run.diagnostics.splitlines() if re.search(r"\berror:", line)]
    hint = next((text for sign, text in _HINTS for line in errors if re.search(sign, line)), None)
    what = bench.source.name + (f" for {architecture}" if architecture else "")
    if hint is None and architecture:
        hint = f"to build for one architecture alone: --arch {architecture}"
    return BuildFailed(f"cannot compile {what}", hint=hint, detail=run.diagnostics.rstrip())
