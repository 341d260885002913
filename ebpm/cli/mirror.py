"""``ebpm mirror``: bundles for machines without a network, and copies for those with their own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from typing import Any

import click

from ebpm import lockfile
from ebpm.cache.archive import Archive
from ebpm.cli.report import tell, write
from ebpm.cli.view import ProgressBar, show_json, size_text
from ebpm.cli.workspace import open_workspace
from ebpm.errors import EbpmError, InvalidConfig
from ebpm.mirror import bundle, moves
from ebpm.mirror.jobs import read_jobs
from ebpm.mirror.serve import MirrorServer
from ebpm.oci.platform import Platform
from ebpm.output.escape import escape
from ebpm.places import open_layout
from ebpm.target import LAYOUT, Target, parse_target

_PLAIN = click.option("--plain-http", is_flag=True, help="Speak plain http to the registries.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@click.group()
def mirror() -> None:
    """Carry packages to where the network does not reach, and keep copies of registries."""


def _hosts(targets: Iterable[Target], plain_http: bool) -> list[str]:
    return [one.host for one in targets if plain_http and one.host]


@mirror.command()
@click.argument("references", nargs=-1, required=True, metavar="REF...")
@click.option("-o", "--output", required=True, metavar="FILE", help="The bundle, a tar.")
@click.option("--platform", "platforms", multiple=True, metavar="PLATFORM", help="Only for these.")
@click.option("--base", metavar="FILE", help="Leave out what this earlier bundle has.")
@_PLAIN
@_JSON
def export(
    references: tuple[str, ...],
    output: str,
    platforms: tuple[str, ...],
    base: str | None,
    plain_http: bool,
    as_json: bool,
) -> None:
    """Write packages and what is attached to them into one file.

    The same content makes the same bytes. REF is HOST/NAME[:TAG|@DIGEST], a name in the store,
    oci:DIR[:TAG], or an ebpm.lock: all that it pins.
    """
    locks = {one: found for one in references if (found := _lock(one))}
    wanted = platforms or [name for found in locks.values() for name in found["platforms"]]
    chosen = [Platform.parse(one) for one in dict.fromkeys(wanted)]
    texts = [one for one in references if one not in locks]
    texts += [tool["reference"] for found in locks.values() for tool in found["tools"].values()]
    targets = [parse_target(one) for one in texts]
    progress = ProgressBar("exporting")
    workspace = open_workspace(_hosts(targets, plain_http), progress=progress)
    try:
        with moves.gathered(workspace, targets) as items:
            lock = next(iter(locks.values()), None)
            bundle.export(items, output, platforms=chosen, base=base, lock=lock, progress=progress)
    finally:
        progress.close()
    size = os.path.getsize(output)
    with Archive(output) as made:
        names = {str(one.ref_name): str(one.digest) for one in made.entries() if one.ref_name}
        if as_json:
            left = sorted(made.notes.left_out)
            show_json("mirror-export", file=output, size=size, names=names, leftOut=left)
            return
    for name, digest in names.items():
        click.echo(f"exported {escape(name)}@{digest}")
    click.echo(f"wrote {output}, {size_text(size)}")


def _lock(path: str) -> dict[str, Any] | None:
    """Read what may be a lock file; None if it is not one."""
    return lockfile.read(path) if path.endswith(".lock") and os.path.isfile(path) else None


@mirror.command(name="import")
@click.argument("file")
@_JSON
def take(file: str, as_json: bool) -> None:
    """Put all of a bundle into the store.

    Every byte is checked before the first name is given.
    """
    progress = ProgressBar("importing")
    workspace = open_workspace(progress=progress)
    try:
        with Archive(file) as archive:
            names = bundle.import_bundle(archive, workspace.store(), progress=progress)
    finally:
        progress.close()
    if as_json:
        show_json("mirror-import", names={name: str(one.digest) for name, one in names.items()})
        return
    for name, one in names.items():
        click.echo(f"imported {escape(name)}@{one.digest}")


@mirror.command()
@click.argument("words", nargs=-1, required=True, metavar="SOURCE... PLACE")
@click.option("--keep-host", is_flag=True, help="ghcr.io/acme/x becomes PLACE/ghcr.io/acme/x.")
@_PLAIN
@_JSON
def push(words: tuple[str, ...], keep_host: bool, plain_http: bool, as_json: bool) -> None:
    """Copy packages to a private registry, with what is attached to them.

    SOURCE is a bundle, oci:DIR, or a REF; PLACE is HOST[/PATH]. ghcr.io/acme/x:1 becomes
    PLACE/acme/x:1. What is there is not sent again.
    """
    if len(words) < 2:
        raise click.UsageError("mirror push takes SOURCE... PLACE")
    *sources, target = words
    targets = [parse_target(_as_archive(one)) for one in sources]
    hosts = [*_hosts(targets, plain_http), *([target.partition("/")[0]] if plain_http else [])]
    progress = ProgressBar("pushing")
    workspace = open_workspace(hosts, progress=progress)
    place = moves.Place(workspace, target, keep_host=keep_host)
    layouts = [one for one in targets if one.kind == LAYOUT and not one.layout[1]]
    outcomes: list[moves.Outcome] = []
    try:
        for one in layouts:
            outcomes += moves.push(workspace, moves.all_of(open_layout(one)[0]), place)
        others = [one for one in targets if one not in layouts]
        with moves.gathered(workspace, others) as items:
            outcomes += moves.push(workspace, items, place)
    finally:
        progress.close()
    _show(outcomes, as_json, "mirror-push")


def _as_archive(text: str) -> str:
    return f"oci-archive:{text}" if os.path.isfile(text) else text


@mirror.command()
@click.argument("file")
@click.option("--keep-host", is_flag=True, help="ghcr.io/acme/x becomes TARGET/ghcr.io/acme/x.")
@click.option("-n", "--dry-run", is_flag=True, help="Only tell what would be copied.")
@_PLAIN
@_JSON
def sync(file: str, keep_host: bool, dry_run: bool, plain_http: bool, as_json: bool) -> None:
    """Do the jobs of a YAML file: keep copies of repositories up to date.

    docs/guides/mirrors.md describes the file. A job that fails does not stop the others; the exit
    status is that of the first that failed.
    """
    try:
        with open(file, encoding="utf-8") as opened:
            jobs = read_jobs(opened.read(), file)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfig(f"cannot read {file}: {error}") from None
    hosts = [str(job.source.registry) for job in jobs.jobs] + [jobs.target.partition("/")[0]]
    progress = ProgressBar("syncing")
    workspace = open_workspace(hosts if plain_http else [], progress=progress)
    try:
        outcomes = list(moves.sync(workspace, jobs, keep_host=keep_host, dry_run=dry_run))
    finally:
        progress.close()
    _show(outcomes, as_json, "mirror-sync")


def _show(outcomes: list[moves.Outcome], as_json: bool, kind: str) -> None:
    if as_json:
        show_json(kind, references=[_row(one) for one in outcomes])
    else:
        for one in outcomes:
            if one.error is None:
                click.echo(f"{one.state} {escape(one.source)} -> {escape(one.target)}")
            else:
                write(f"failed {escape(one.source)}: {escape(one.error.message)}")
    failed: list[EbpmError] = [one.error for one in outcomes if one.error]
    if failed:
        raise failed[0]


def _row(one: moves.Outcome) -> dict[str, Any]:
    error = f"{one.error.code}: {one.error.message}" if one.error else None
    row = {"source": one.source, "target": one.target, "state": one.state}
    return {**row, "digest": one.digest, "error": error}


@mirror.command()
@click.argument("place", required=False)
@click.option(
    "--listen", default="127.0.0.1:5000", show_default=True, metavar="HOST:PORT", help="Where."
)
def serve(place: str | None, listen: str) -> None:
    """Be a registry over the store, that is only read.

    PLACE is oci:DIR or a bundle instead of the store. Whoever reaches the address may read all of
    it: there are no logins.
    """
    workspace = open_workspace()
    source = open_layout(parse_target(_as_archive(place)))[0] if place else workspace.store()
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal():
        raise click.UsageError(f"--listen {listen}: write HOST:PORT")
    context = click.get_current_context().find_root()
    server = MirrorServer(source, host.strip("[]"), int(port), tell if context.obj else None)
    signal.signal(signal.SIGTERM, _stop)
    try:
        click.echo(f"serving on {server.address}; Ctrl-C ends it")
        server.run()
    except KeyboardInterrupt:
        pass  # what it was asked to
    finally:
        server.close()


def _stop(*_: object) -> None:
    raise KeyboardInterrupt
