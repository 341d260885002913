"""``ebpm build``."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from ebpm.api import Workspace, host_platform
from ebpm.cli.report import report, tell, warn
from ebpm.cli.view import show_json, size_text
from ebpm.errors import EbpmError, Interrupted, UsageError
from ebpm.files import write_whole
from ebpm.package.files import FORMATS, write_bundle, write_composed, write_skeleton
from ebpm.package.model import ObjectFile, Package


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("headers", nargs=-1, type=click.Path(path_type=Path), metavar="[HEADER|SOURCE]...")
@click.option("-j", "--jobs", type=click.IntRange(1), default=1, help="Build so many at once.")
@click.option("-t", "--tag", metavar="REF", help="Put the package into the store as REF.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the files.  [default: the source's]",
)
@click.option("--format", "form", type=click.Choice(FORMATS), default="json", show_default=True)
@click.option(
    "--arch", metavar="LIST", default="amd64,arm64", show_default=True, help="Architectures."
)
@click.option("--cflag", "cflags", multiple=True, metavar="FLAG", help="For the compiler; repeat.")
@click.option("--vmlinux", metavar="FILE|host", help="Kernel types instead of those ebpm brings.")
@click.option("--clang", metavar="PATH", help="Compiler.  [default: ziglang's, else clang]")
@click.option(
    "--btfgen",
    multiple=True,
    metavar="[KERNEL=]FILE",
    help="Add the types of a kernel that has none, trimmed: a .btf file or a folder of BTFhub's "
    "archive, or host; repeat. Also writes NAME.tar.",
)
@click.option("--version", metavar="VERSION", help="The tool's version.  [default: its @version]")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
def build(
    source: Path,
    headers: tuple[Path, ...],
    jobs: int,
    tag: str | None,
    output: Path | None,
    form: str,
    arch: str,
    cflags: tuple[str, ...],
    vmlinux: str | None,
    clang: str | None,
    btfgen: tuple[str, ...],
    version: str | None,
    as_json: bool,
) -> None:
    """Compile a .bpf.c file to a package.

    SOURCE is the file, or a folder with one. Beside the source, or in the folder given with -o,
    are written NAME.bpf.o, NAME.skel.json and package.json. The structs of HEADER are what the tool
    reports; without one, those that its ring buffers carry. One object serves all architectures
    where the source allows it. Several SOURCEs make a package each, beside the source.
    """
    workspace = Workspace()
    if more := [one for one in headers if _is_source(one)]:
        if tag or output or btfgen or as_json or len(more) < len(headers):
            raise UsageError(
                "several sources are built as they are, each beside itself",
                hint="leave out headers, -t, -o, --btfgen and --json, or build them one by one",
            )
        options = {"architectures": _listed(arch), "cflags": cflags, "version": version}
        options |= {"vmlinux": vmlinux, "clang": clang}
        build_many([source, *more], form, jobs, options)
        return
    made = workspace.build(
        source,
        headers,
        architectures=_listed(arch),
        cflags=cflags,
        vmlinux=vmlinux,
        clang=clang,
        version=version,
    )
    if made.warnings:
        tell(made.warnings.rstrip("\n"))
    folder = output or (source if source.is_dir() else source.parent)
    package = _with_types(made.package, btfgen) if btfgen else made.package
    written = write_files(package, folder, form)
    if tag:
        workspace.keep(package, tag)
    if as_json:
        show_json(
            "build",
            name=made.package.name,
            files=[str(path) for path in written],
            tag=tag,
            objects=[
                {"platform": _platform(one), "digest": str(one.digest), "size": len(one.data)}
                for one in made.package.objects
            ],
        )
        return
    for path in written:
        click.echo(f"wrote {path} ({size_text(path.stat().st_size)})")
    if tag:
        click.echo(f"tagged {tag}")


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _is_source(path: Path) -> bool:
    return path.is_dir() or path.name.endswith(".bpf.c")


def build_many(sources: Sequence[Path], form: str, jobs: int, options: dict[str, Any]) -> None:
    """Build sources, several at once: each in a process, since half of the work is Python's.

    Raises:
        EbpmError: the first one that failed; the others have been built all the same.
    """
    from concurrent.futures import ProcessPoolExecutor

    failed: EbpmError | None = None
    work = [(source, form, options) for source in sources]
    workers = min(jobs, len(sources))
    pool = ProcessPoolExecutor(workers, initializer=_on_signals, initargs=(_leave,))
    try:
        for source, (lines, error) in zip(sources, pool.map(_build_one, work), strict=True):
            for line in lines:
                click.echo(line)
            if error is not None:
                if failed is not None:
                    report(error)
                failed = failed or error
                error.message = f"{source}: {error.message}"
    finally:
        pool.shutdown(cancel_futures=True)
    if failed is not None:
        raise failed


def _on_signals(action: Callable[..., object] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, action)


def _stop(*_: object) -> None:
    """End what a worker does; what the pool sends then must not disturb the cleaning up."""
    _on_signals(signal.SIG_IGN)
    raise KeyboardInterrupt


def _leave(*_: object) -> NoReturn:
    """End a worker: it would go on with what waits."""
    os._exit(Interrupted.status)


def _build_one(work: tuple[Path, str, dict[str, Any]]) -> tuple[list[str], EbpmError | None]:
    """Build one source, in a process of its own."""
    source, form, options = work
    _on_signals(_stop)
    try:
        made = Workspace().build(source, **options)
        folder = source if source.is_dir() else source.parent
        written = write_files(made.package, folder, form)
    except EbpmError as error:
        plain = EbpmError(error.message, hint=error.hint, detail=error.detail)
        plain.code, plain.status = error.code, error.status
        return [], plain
    except KeyboardInterrupt:
        _leave()
    finally:
        _on_signals(_leave)
    lines = [f"wrote {path} ({size_text(path.stat().st_size)})" for path in written]
    return [*made.warnings.splitlines(), *lines], None


def _with_types(package: Package, arguments: tuple[str, ...]) -> Package:
    """Add the types of kernels; say which ones no object is for."""
    from ebpm.build.btfgen import add_types, find_kernels
    from ebpm.runtime.kernelbtf import running_kernel

    package, left = add_types(package, find_kernels(arguments, running_kernel()[0]))
    for name in left:
        warn(f"the package has no object for the machine of {name}: its types are left out")
    return package


def write_files(package: Package, folder: Path, form: str) -> list[Path]:
    """Write a package as files; the object for this machine has the plain name."""
    first = _first(package)
    files: dict[str, bytes] = {f"{package.name}.bpf.o": first.data}
    for one in package.objects:
        if one is not first and one.platform:
            files[f"{package.name}.{one.platform.architecture}.bpf.o"] = one.data
    files[f"{package.name}.skel.{form}"] = write_skeleton(package, first, form)
    files[f"package.{form}"] = write_composed(package, first, form)
    if package.btfs:
        files[f"{package.name}.tar"] = write_bundle(package, first)
    for name, data in files.items():
        write_whole(folder / name, data)
    return [folder / name for name in files]


def _first(package: Package) -> ObjectFile:
    here = host_platform()
    return next((one for one in package.objects if one.platform == here), package.objects[0])


def _platform(one: ObjectFile) -> str:
    return str(one.platform) if one.platform else "any"
