"""``ebpm btf``: the types of other kernels, for ``ebpm check``."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import click

from ebpm.api import host_platform
from ebpm.check.kernels import read_btf
from ebpm.cli.check import files
from ebpm.cli.view import show_json, show_table, size_text
from ebpm.cli.workspace import open_workspace
from ebpm.errors import Offline
from ebpm.output.escape import escape


@click.group()
def btf() -> None:
    """Keep the types of other kernels, to check packages against."""


@btf.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_kernels(as_json: bool) -> None:
    """List the kernels whose types are here."""
    kept = files(open_workspace())
    rows = [(name, (kept.folder / f"{name}.btf").stat().st_size) for name in kept.names()]
    if as_json:
        show_json("btf-list", kernels=[{"name": name, "size": size} for name, size in rows])
    elif rows:
        show_table(["KERNEL", "SIZE"], [[name, size_text(size)] for name, size in rows])
    else:
        click.echo("there are none: `ebpm btf fetch VERSION` or `ebpm btf add FILE`")


@btf.command()
@click.argument("version")
@click.option("--suite", metavar="SUITE", help="The release of Debian to take it from.")
@click.option("--arch", metavar="ARCH", help="amd64, arm64, …; that of this machine if not given.")
def fetch(version: str, suite: str | None, arch: str | None) -> None:
    """Take the types out of one of Debian's kernels, such as 6.1.

    The package comes from the mirror that this machine's apt uses; it is neither installed nor
    booted.
    """
    from ebpm.check import debian

    workspace = open_workspace()
    if workspace.config.offline:
        raise Offline(f"fetching kernel {version} needs the network")
    architecture = arch or host_platform().architecture
    with TemporaryDirectory(prefix="ebpm-kernel-") as folder:
        kernel = debian.fetch(version, Path(folder), suite=suite, architecture=architecture)
    files(workspace).put(kernel.name, kernel.btf)
    click.echo(f"{kernel.name} ({kernel.package} {kernel.version}): ", nl=False)
    click.echo(f"{size_text(len(kernel.btf))}; ebpm check TARGET --kernel {escape(version)}")


@btf.command()
@click.argument("file", type=Path)
@click.option("--name", metavar="NAME", help="What to call it; the file's name if not given.")
def add(file: Path, name: str | None) -> None:
    """Keep the types in a file: BTF, a kernel's image or ELF, or an archive of BTFhub's."""
    called = name or file.name.partition(".tar")[0].removesuffix(".btf")
    click.echo(files(open_workspace()).put(called, read_btf(file)))
