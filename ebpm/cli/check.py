"""``ebpm check``: whether a package fits a kernel, this one or another, without loading it."""

from __future__ import annotations

from pathlib import Path

import click

from ebpm.api import Workspace, host_platform
from ebpm.btf.parse import Btf
from ebpm.check.core import Kernel
from ebpm.check.hooks import ABSENT, PRESENT
from ebpm.check.kernels import KernelFiles, read_btf, release_of
from ebpm.check.report import Machine, Report, examine, to_json
from ebpm.cli.view import show_json
from ebpm.cli.workspace import open_workspace
from ebpm.errors import BtfMissing, FeatureMissing, UsageError
from ebpm.output.escape import escape
from ebpm.package.model import ObjectFile, Package
from ebpm.runtime.kernel import BTF
from ebpm.runtime.plan import Plan
from ebpm.runtime.planner import make_plan
from ebpm.target import parse_target


@click.command()
@click.argument("target")
@click.option("--btf", "file", type=Path, metavar="FILE", help="A kernel's types, or its image.")
@click.option("--kernel", metavar="VERSION", help="One of `ebpm btf list`, such as 6.1.")
@click.option("--load", is_flag=True, help="Load it into this kernel as well, unattached.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.pass_context
def check(
    context: click.Context,
    target: str,
    file: Path | None,
    kernel: str | None,
    load: bool,
    as_json: bool,
) -> None:
    """Tell whether a package fits a kernel.

    Every relocation is matched against the kernel's types by libbpf's rules, every hook is looked
    for, and every helper and type of map is compared with the kernel's version. Without --btf or
    --kernel the running kernel is meant. The exit status is 9 if something is lacking.
    """
    if file and kernel:
        raise UsageError("--btf and --kernel both name a kernel", hint="give one of them")
    if load and (file or kernel):
        raise UsageError("--load loads into this kernel", hint="leave --btf and --kernel out")
    workspace = open_workspace()
    package = workspace.fetch(parse_target(target))
    one = _object(package)
    plan = make_plan(package, one)
    report = examine(one.data, plan.programs, _machine(workspace, file, kernel))
    if as_json:
        show_json("check", name=package.name, **to_json(report))
    else:
        _show(package.name, report)
    if not report.fits:
        context.exit(FeatureMissing.status)
    if load:
        dry_load(workspace, plan, one.data)
        if not as_json:
            click.echo("the kernel's verifier accepts it")


def _object(package: Package) -> ObjectFile:
    host = host_platform()
    fitting = [one for one in package.objects if one.platform in (None, host)]
    return fitting[0] if fitting else package.objects[0]


def _machine(workspace: Workspace, file: Path | None, kernel: str | None) -> Machine:
    if kernel:
        file = files(workspace).find(kernel)
    if file:
        types = Kernel(Btf(read_btf(file)))
        name = file.name.removesuffix(".btf")
        # A file's name is anybody's word, but those in the cache have their kernel's.
        release = release_of(name) if kernel else None
        return Machine(name=name, types=types, release=release, here=False)
    try:
        return Machine.running()
    except OSError:
        raise BtfMissing(
            f"this kernel has no {BTF}", hint="name another with --kernel or --btf"
        ) from None


def files(workspace: Workspace) -> KernelFiles:
    """Open the folder of kernels' types in the user's cache."""
    return KernelFiles(Path(workspace.config.cache) / "btf")


def dry_load(workspace: Workspace, plan: Plan, data: bytes) -> None:
    """Load an object and let it go: nothing is attached, pinned or left.

    Raises:
        EbpmError: the kernel refuses it.
    """
    from ebpm.runtime.libbpf.binding import Libbpf
    from ebpm.runtime.log import Log
    from ebpm.runtime.object import load, open_object, set_variables, size_maps

    log = Log(None)
    bpf = open_object(Libbpf(workspace.config.libbpf), plan, data, log, verbose=False)
    try:
        set_variables(bpf, plan, {})
        size_maps(bpf, plan)
        load(bpf, plan, log)
    finally:
        bpf.close()


def _show(name: str, report: Report) -> None:
    verdict = "fits" if report.fits else "does not fit"
    click.echo(click.style(f"{escape(name)} {verdict} {escape(report.kernel)}", bold=True))
    found = report.relocations
    missing = [one for one in found.misses if not one.guarded]
    click.echo(f"relocations  {found.asked}, {len(missing)} without a match")
    for miss in found.misses:
        why = "which it asks for and does not rely on" if miss.guarded else "which it relies on"
        click.echo(f"  lacks {escape(miss.what)}, {why} ({escape(miss.section)}+{miss.offset:#x})")
    for text in found.unjudged:
        click.echo(f"  left to libbpf: whether {escape(text)} matches")
    for hook in report.hooks:
        mark = {PRESENT: "there", ABSENT: "NOT THERE"}.get(hook.state, "not known")
        click.echo(f"hook         {escape(hook.section)}: {mark}")
    click.echo(f"helpers      {', '.join(report.helpers) or 'none'}")
    click.echo(f"maps         {', '.join(report.map_types) or 'none'}")
    for need in report.lacking:
        click.echo(f"  needs Linux {need.since[0]}.{need.since[1]}: {escape(need.what)}")
    if report.needs:
        newest = report.needs[0]
        since = f"{newest.since[0]}.{newest.since[1]}"
        click.echo(f"since        Linux {since} ({escape(newest.what)})")
