"""What the store costs when it is large, and whether it stands being killed.

    benchmarks/store.py [--short]

Three questions: does a name in a store of 10,000 packages cost more to find than in a store of one;
what is left when eight writers are killed at random for twenty seconds; and does it take ten times
as long to tag or import ten times as many references. Needs ziglang, to build a tool.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import figures
from benchmarks.figures import ROOT, Table, finish, machine, median
from ebpm.api import Workspace
from ebpm.cache.archive import Archive
from ebpm.cache.layout import Layout
from ebpm.config import Config
from ebpm.mirror.bundle import Item, export, import_bundle
from ebpm.target import parse_target
from tests.artifacts import artifact
from tests.storm import storm

NAME = "sigsnoop:1"
ROUNDS = 15


def bundle(folder: Path, count: int) -> Path:
    """Write a bundle of so many packages, each with a layer of its own."""
    path = folder / f"{count}.tar"
    items = (
        Item(f"ghcr.io/acme/tool{number}:1", *artifact(b"shared", b"%d" % number))
        for number in range(count)
    )
    export(items, str(path))
    return path


def take(path: Path, root: Path) -> float:
    """Import a bundle; give the seconds."""
    store = Layout.create(str(root), journal=True)
    started = time.perf_counter()
    with Archive(str(path)) as archive:
        import_bundle(archive, store)
    return time.perf_counter() - started


def tag(root: Path, count: int) -> float:
    """Give one package many names in one step; give the seconds."""
    from ebpm.oci.copy import copy

    store = Layout.create(str(root), journal=True)
    source, one = artifact(b"layer")
    copy(source, one, store, "one:1")
    started = time.perf_counter()
    store.tag_all({f"name{number}:1": one for number in range(count)})
    return time.perf_counter() - started


def linear(
    table: Table, folder: Path, what: str, work: Callable[[Path, int], float], counts: list[int]
) -> None:
    """Do something for 1,000 and 10,000, and compare the time for each one."""
    few, many = counts
    seconds: dict[int, list[float]] = {few: [], many: []}
    for turn in range(3):
        for count in counts:
            seconds[count].append(work(folder / f"{what}{turn}-{count}", count))
    a, b = median(seconds[few]), median(seconds[many])
    detail = f"{few:,}: {a:.2f} s; {many:,}: {b:.2f} s"
    table.at_most(
        f"{what} {many:,} references: time for each, to that of {few:,}",
        (b / many) / (a / few),
        1.5,
        detail=detail,
    )


def start_up(table: Table, folder: Path, stores: dict[int, Path]) -> None:
    """Run the whole command that needs a cached name, in turn with either store."""
    environments = {}
    for count, root in stores.items():
        environment = {
            **os.environ,
            "EBPM_STORE": str(root),
            "EBPM_CACHE": str(folder / f"c{count}"),
        }
        workspace = Workspace(Config(environment))
        package = workspace.build(ROOT / "index" / "tools" / "sigsnoop").package
        workspace.keep(package, NAME)
        workspace.prepare(parse_target(NAME))
        environments[count] = environment
    seconds: dict[int, list[float]] = {count: [] for count in stores}
    command = [sys.executable, "-m", "ebpm", "run", NAME, "--help"]
    for _ in range(ROUNDS):
        for count, environment in environments.items():
            started = time.perf_counter()
            subprocess.run(command, env=environment, check=True, capture_output=True, cwd=folder)
            seconds[count].append(time.perf_counter() - started)
    few, many = (median(seconds[count]) * 1000 for count in stores)
    one, all_of = stores
    detail = (
        f"`ebpm run NAME --help`, medians of {ROUNDS}: {few:.1f} ms with {one:,}, "
        f"{many:.1f} ms with {all_of:,}"
    )
    what = f"resolve a cached name with {all_of:,} packages: more than with one"
    table.at_most(what, many - few, 5, "ms", detail)


def main() -> int:
    """Measure; the exit status is 1 if a bar is missed."""
    short = figures.parse(figures.arguments(__doc__)).short  # a tenth of everything
    many, few, seconds = (1_000, 100, 2.0) if short else (10_000, 1_000, 20.0)
    print(machine())
    table = Table("The store")
    with tempfile.TemporaryDirectory(prefix="ebpm-store-") as name:
        folder = Path(name)
        bundles = {count: bundle(folder, count) for count in (few, many)}
        stores = {1: folder / "one", many: folder / "many"}
        take(bundles[many], stores[many])
        start_up(table, folder, stores)
        linear(table, folder, "tag", tag, [few, many])
        linear(table, folder, "import", lambda root, count: take(bundles[count], root), [few, many])
        wreck = storm(folder / "storm", seconds, 8)
    detail = f"8 writers, {wreck.kills} of them killed in {seconds:g} s, {wreck.names} names left"
    table.at_most("corrupt blobs", len(wreck.corrupt), 0, "blobs", detail)
    table.at_most("dangling references", len(wreck.dangling), 0, "names", detail)
    table.at_most("unreadable indexes", len(wreck.unreadable), 0, "reads", detail)
    why = " ".join("".join(wreck.failed).split())[-300:]
    table.at_most("writers that failed by themselves", len(wreck.failed), 0, "writers", why)
    return finish([table])


if __name__ == "__main__":
    sys.exit(main())
