"""One BPF source compiled: objects for the architectures, and the text that annotations need."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from ebpm.btf.canonical import canonical
from ebpm.btf.elf import ElfObject, read_elf
from ebpm.btf.graft import graft
from ebpm.btf.parse import Btf
from ebpm.btf.types import Variable
from ebpm.build import scanner
from ebpm.build.flags import (
    BIG_ENDIAN,
    FLAGS,
    absolute,
    endianness,
    folders,
    harmless,
    target_macro,
)
from ebpm.build.headers import HeaderSet, header_set, require_types
from ebpm.build.strip import strip
from ebpm.build.toolchain import Compiler, CompilerRun
from ebpm.errors import BuildFailed, InvalidObject

_SOURCE = "src"
_BEGINS = re.compile(  # a source in which nothing can
    rb'(?:\s | //[^\n\\]*\n | /\*.*?\*/)* \#[ \t]*include[ \t]*["<]vmlinux\.h[">]',
    re.DOTALL | re.VERBOSE,
)
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
        kept: a folder that only the running user can write, to keep these unpacked for the next.
    """

    def __init__(
        self,
        source: Path,
        compiler: Compiler,
        *,
        cflags: Sequence[str] = (),
        vmlinux: bytes | None = None,
        kept: Path | None = None,
    ) -> None:
        self.compiler = compiler
        self.cflags = tuple(absolute(cflags))
        self._vmlinux = vmlinux
        self._kept = kept
        self._begins_with_types = False  # known when it has been preprocessed
        self._headers: dict[str, HeaderSet] = {}
        self._stack = ExitStack()
        self.folder = Path(self._stack.enter_context(TemporaryDirectory(prefix="ebpm-build-")))
        self.source = source.absolute()
        self._places: dict[Path, str] = {}  # folder: name; of two that fit the later one counts
        if compiler.resources:
            self._place(compiler.resources, "compiler")
        for at, path in enumerate(folders(self.cflags)):
            self._place(path, f"include{at}")
        link = self._place(self.source.parent, _SOURCE)
        self._named: tuple[str, str] | None = None
        if "=" in str(self.source.parent):  # at which a prefix map would end the path
            self._named = str(link), str(self.source.parent)
            self.source = link / source.name
            self._places[link] = _SOURCE

    def _place(self, folder: Path, name: str) -> Path:
        """Make a folder known to the compiler by a name that is the same on every machine.

        The compiler runs in our folder, where the name leads to the files: it copies their lines
        into .BTF.ext, for the verifier to show.
        """
        link = self.folder / name
        link.symlink_to(folder, target_is_directory=True)
        self._places[folder] = name
        return link

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def require(self, architectures: Sequence[str]) -> None:
        """Refuse architectures whose types are not at hand."""
        for architecture in architectures if self._vmlinux is None else ():
            require_types(architecture)

    def headers(self, architecture: str) -> HeaderSet:
        """Lay out the headers of an architecture, once."""
        if architecture not in self._headers:
            made = header_set(architecture, self._vmlinux, self._kept)
            one = self._stack.enter_context(made)
            if not self._headers:
                self._place(one.folder, "include")
            for folder in one.folders():  # of every architecture: libbpf's are the same
                self._places[folder] = "include"
            self._headers[architecture] = one
        return self._headers[architecture]

    def preprocess(self, architecture: str, target: str | None) -> str:
        """Preprocess with comments kept; ``target`` is None to leave the architecture open.

        The text ends where the compiler failed. What vmlinux.h says may be left out of it.
        """
        headers = self.headers(architecture)
        flags = self._flags(headers.outline or headers.folder, architecture, target)
        run = self._run([*flags, "-E", "-CC", str(self.source)])
        text = run.output.decode("utf-8", "replace")
        if headers.outline:
            first = next((name for name in scanner.files(text) if name != str(self.source)), "")
            ours = first == str(headers.outline / "vmlinux.h")
            self._begins_with_types = ours and bool(_BEGINS.match(self.source.read_bytes()))
        return text

    def compile(
        self, architecture: str, target: str | None, source: Path | None = None
    ) -> tuple[CompilerRun, bytes]:
        """Compile the source, or another that includes it; the object is empty on failure."""
        headers = self.headers(architecture)
        with TemporaryDirectory(dir=self.folder) as name:
            out = Path(name) / "object.o"
            flags = self._flags(headers.folder, architecture, target)
            arguments = [*flags, "-c", str(source or self.source), "-o", str(out)]
            ready = self._precompiled(headers)
            run = self._run(["-include-pch", str(ready), *arguments] if ready else arguments)
            if ready and not run.ok:  # what is wrong is asked of the headers themselves
                run = self._run(arguments)
                if run.ok and headers.kept:
                    headers.kept.refuse(ready)
            return run, out.read_bytes() if run.ok else b""

    def _precompiled(self, headers: HeaderSet) -> Path | None:
        """Give what stands for vmlinux.h, where nothing that comes before could change it."""
        if headers.kept is None or not self._begins_with_types:
            return None
        if not harmless(self.cflags):
            return None
        flags = [*FLAGS, *endianness(headers.architecture)]
        return headers.kept.precompiled(self.compiler, flags)

    def _run(self, arguments: list[str]) -> CompilerRun:
        run = self.compiler.run(arguments, folder=self.folder)
        if self._named is None:
            return run
        return replace(run, diagnostics=run.diagnostics.replace(*self._named))

    def _flags(self, headers: Path, architecture: str, target: str | None) -> list[str]:
        flags = [*FLAGS, f"-I{self.source.parent}", "-isystem", str(headers)]
        flags += self.compiler.system_headers(architecture)
        # None of this machine's paths reach the object.
        places = {str(path): name for path, name in self._places.items()}
        flags += [
            f"-ffile-prefix-map={path}={name}" for path, name in places.items() if "=" not in path
        ]
        flags += ["-ffile-compilation-dir=."]
        flags += endianness(architecture)
        if target:
            flags.append(f"-D{target_macro(target)}")
        return [*flags, *self.cflags]

    def name_of(self, path: Path) -> str:
        """Name a file that was read, in a way that is the same on every machine."""
        for folder, name in reversed(self._places.items()):
            if path.is_relative_to(folder):
                inside = str(path.relative_to(folder))
                return inside if name == _SOURCE else f"{name}/{inside}"
        return f"system/{path.name}"

    def digest_of(self, path: Path) -> str | None:
        """Hash a file that was read, with SHA-256; None where there is none."""
        for made in self._headers.values():
            if made.kept and made.outline and path == made.outline / "vmlinux.h":
                return made.kept.digest
        return sha256(path.read_bytes()).hexdigest() if path.is_file() else None

    def own_files(self, text: str) -> list[Path]:
        """List the files of preprocessed text that are neither ours nor the system's."""
        own = self.source.parent
        foreign = [folder for made in self._headers.values() for folder in made.folders()]
        foreign.append(Path("/usr"))
        if self.compiler.resources:
            foreign.append(self.compiler.resources)
        paths = [Path(name) for name in scanner.files(text)]
        return [
            path
            for path in paths
            if path.is_relative_to(own) or not any(path.is_relative_to(one) for one in foreign)
        ]


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
    wanted = list(dict.fromkeys(architectures))
    first = wanted[0]
    _check_target(bench, wanted)
    bench.require(wanted)
    text = bench.preprocess(first, None)
    portable = not BIG_ENDIAN.intersection(wanted)  # of either byte order alone
    if portable and not _asks_for_target(bench, text):
        run, data = bench.compile(first, None)
        if run.ok:
            return [_finished(None, data, run)], text
    runs = _compile_each(bench, wanted)
    failed = [one for one, (run, _) in runs.items() if not run.ok]
    if failed:
        raise _failure(bench, runs[failed[0]][0], failed[0], [x for x in wanted if x not in failed])
    objects = [_finished(one, data, run) for one, (run, data) in runs.items()]
    return objects, bench.preprocess(first, first)


def _compile_each(bench: Workbench, wanted: list[str]) -> dict[str, tuple[CompilerRun, bytes]]:
    if len(wanted) == 1:
        return {wanted[0]: bench.compile(wanted[0], wanted[0])}
    from concurrent.futures import ThreadPoolExecutor

    for architecture in wanted:
        bench.headers(architecture)  # before there are threads that could both lay them out
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        runs = pool.map(lambda one: bench.compile(one, one), wanted)
        return dict(zip(wanted, runs, strict=True))


def add_types(
    bench: Workbench, one: CompiledObject, architecture: str, types: Sequence[str]
) -> CompiledObject:
    """Add struct types to an object's BTF, from a second compilation that uses each of them.

    A type that is not declared at the source's file scope cannot be used there, and is left out.

    Args:
        bench: the source.
        one: its object.
        architecture: whose headers to use.
        types: as C names them: "struct event", "event_t".
    """
    extra = bench.folder / "types.bpf.c"
    lines = [f'#include "{bench.source.name}"']
    lines += [f"{text} {_EXPORT}{at};" for at, text in enumerate(types)]
    extra.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="surrogateescape")
    run, data = bench.compile(architecture, one.architecture, extra)
    if not run.ok:
        for text in types if len(types) > 1 else ():
            one = add_types(bench, one, architecture, [text])
        return one
    types_btf, object_btf = _btf(read_elf(data)), _btf(read_elf(one.data))
    roots = [
        variable.type
        for _, variable in types_btf.of_kind(Variable)
        if variable.name.startswith(_EXPORT)
    ]
    return replace(one, data=_rewritten(one.data, graft(object_btf, types_btf, roots)))


def _check_target(bench: Workbench, architectures: Sequence[str]) -> None:
    """Refuse a flag that makes the objects of all architectures those of one."""
    flag = next((flag for flag in bench.cflags if "D__TARGET_ARCH_" in flag), None)
    if flag is None or (len(architectures) == 1 and flag == f"-D{target_macro(architectures[0])}"):
        return
    raise BuildFailed(
        f"the flag {flag} is of one architecture, and the build is for {', '.join(architectures)}",
        hint="leave it out: ebpm sets it for each architecture of --arch",
    )


def _asks_for_target(bench: Workbench, text: str) -> bool:
    """Whether the source looks at the architecture: then one object would not serve all."""
    if "Must specify a BPF target arch" in text or any("__TARGET_ARCH_" in f for f in bench.cflags):
        return True
    own = [path for path in bench.own_files(text) if path.is_file()]
    return any(b"__TARGET_ARCH_" in path.read_bytes() for path in own)


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
        hint = "a source that defines no program, no map and no variable has none"
        raise InvalidObject("the compiler wrote no type information (BTF)", hint=hint)
    return Btf(section.data)


def _failure(
    bench: Workbench, run: CompilerRun, architecture: str, others: Sequence[str]
) -> BuildFailed:
    """Say what failed; ``others`` are the architectures for which the source compiles."""
    errors = [line for line in run.diagnostics.splitlines() if re.search(r"\berror:", line)]
    hint = next((text for sign, text in _HINTS for line in errors if re.search(sign, line)), None)
    if others:
        only = (
            f"it compiles for {', '.join(others)}: --arch {','.join(others)} builds for that alone"
        )
        hint = f"{hint}; {only}" if hint else only
    what = bench.source.name + (f" for {architecture}" if others else "")
    return BuildFailed(f"cannot compile {what}", hint=hint, detail=run.diagnostics.rstrip())
