"""``ebpm cache``: how large the store is, whether it is sound, and removing what nobody needs."""

from __future__ import annotations

import time

import click

from ebpm.api import Workspace
from ebpm.cache import gc, verify
from ebpm.cli.view import ProgressBar, show_json, show_table, size_text
from ebpm.errors import EbpmError, IntegrityError
from ebpm.output.escape import escape
from ebpm.target import parse_target

_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_TIMES = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def read_size(text: str) -> int:
    """Read bytes: ``500M``, ``2G``."""
    return _read(text.removesuffix("B"), _UNITS, "", "size, such as 500M or 2G")


def read_age(text: str) -> int:
    """Read seconds: ``90d``, ``12h``."""
    return _read(text, _TIMES, "s", "time, such as 90d or 12h")


def _read(text: str, units: dict[str, int], default: str, what: str) -> int:
    unit = text[-1:] if text[-1:] in units else default
    number = text.removesuffix(unit)
    if not number.isdecimal():
        raise click.BadParameter(f"{text!r} is no {what}")
    return int(number) * units[unit]


@click.group()
def cache() -> None:
    """Measure, check and clean the store."""


@cache.command()
def path() -> None:
    """Print the store's folder."""
    click.echo(Workspace().config.store)


@cache.command()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def du(as_json: bool) -> None:
    """Show what takes the room.

    OWN is what goes with a name: the rest is shared with other names.
    """
    used = verify.usage(Workspace().store())
    if as_json:
        rows = [
            {"reference": one.reference, "size": one.size, "own": one.own, "pinned": one.pinned}
            for one in used.names
        ]
        sizes = {"blobs": used.blobs, "unused": used.unused, "parts": used.parts}
        show_json("cache-du", names=rows, **sizes, quarantine=used.quarantine)
        return
    if used.names:
        show_table(
            ["REFERENCE", "SIZE", "OWN", "PINNED", "LAST USE"],
            [
                [
                    one.reference,
                    size_text(one.size),
                    size_text(one.own),
                    "yes" if one.pinned else "-",
                    time.strftime("%Y-%m-%d", time.localtime(one.used)),
                ]
                for one in used.names
            ],
        )
        click.echo()
    rest = f"{size_text(used.parts)} in parts, {size_text(used.quarantine)} in quarantine"
    click.echo(f"{size_text(used.blobs)} in blobs, {size_text(used.unused)} of it unused; {rest}")


@cache.command(name="verify")
@click.option("--repair", is_flag=True, help="Fetch again what is damaged or missing.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def check(repair: bool, as_json: bool) -> None:
    """Hash every byte of the store.

    With --repair, what is damaged goes to the quarantine, and is fetched again from the stores
    below and the registries that the names give. The exit status is 6 if something stays wrong.
    """
    progress = ProgressBar("repairing")
    workspace = Workspace(progress=progress)
    store = workspace.store()
    found = verify.verify(store)
    repaired: dict[str, str] = {}
    if repair and not found.sound:
        for name in found.names:
            repaired[name] = _repair(workspace, name)
        for digest in verify.verify(store).damaged:
            verify.quarantine(store.root, digest)
        progress.close()
    after = verify.verify(store) if repaired or repair else found
    if as_json:
        show_json(
            "cache-verify",
            ok=after.sound,
            checked=found.checked,
            damaged=found.damaged,
            missing=found.missing,
            names=found.names,
            repaired=repaired,
        )
    else:
        for digest in found.damaged:
            click.echo(f"damaged  {digest}")
        for digest in found.missing:
            click.echo(f"missing  {digest}")
        for name in found.names:
            state = repaired.get(name) or "`ebpm cache verify --repair` may fetch it again"
            click.echo(f"{escape(name)}: {escape(state)}")
        end = "all sound" if found.sound else "repaired" if after.sound else "not sound"
        click.echo(f"{found.checked} blobs checked: {end}")
    if not after.sound:
        raise IntegrityError(
            f"{len(after.damaged)} blobs are damaged and {len(after.missing)} are missing",
            hint="pull or build what is named again; `ebpm remove` takes it out of the store",
        )


def _repair(workspace: Workspace, name: str) -> str:
    try:
        return "repaired" if workspace.refetch(name) else "nobody has it"
    except EbpmError as error:
        return error.message


@cache.command(name="gc")
@click.option("--dry-run", is_flag=True, help="Only tell what would go.")
@click.option("--max-age", type=read_age, metavar="TIME", help="Also names not used for TIME: 90d.")
@click.option(
    "--max-size", type=read_size, metavar="SIZE", help="Also the least used, down to SIZE."
)
@click.option(
    "--grace",
    type=read_age,
    default=f"{int(gc.GRACE)}s",
    metavar="TIME",
    help="Keep what is younger, named or not.  [default: 24h]",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def collect(
    dry_run: bool, max_age: int | None, max_size: int | None, grace: int, as_json: bool
) -> None:
    """Remove what no name needs, and what interrupted commands left.

    With --max-age or --max-size names go as well, but those that are pinned.
    """
    removed = gc.collect(
        Workspace().store(), grace=grace, max_age=max_age, max_size=max_size, dry_run=dry_run
    )
    if as_json:
        show_json(
            "cache-gc",
            dryRun=dry_run,
            names=removed.names,
            files=removed.files,
            size=removed.size,
        )
        return
    would = "would remove" if dry_run else "removed"
    for name in removed.names:
        click.echo(f"{would} {escape(name)}")
    click.echo(f"{would} {len(removed.files)} files, {size_text(removed.size)}")


@cache.command()
@click.argument("references", nargs=-1, required=True, metavar="REF...")
def pin(references: tuple[str, ...]) -> None:
    """Keep names whatever the quotas of `gc` say."""
    _pin(references, pinned=True)


@cache.command()
@click.argument("references", nargs=-1, required=True, metavar="REF...")
def unpin(references: tuple[str, ...]) -> None:
    """Let quotas decide on names again."""
    _pin(references, pinned=False)


def _pin(references: tuple[str, ...], *, pinned: bool) -> None:
    store = Workspace().store()
    for reference in references:
        name = parse_target(reference).full_name
        store.pin(name, pinned=pinned)
        click.echo(f"{'pinned' if pinned else 'unpinned'} {name}")
