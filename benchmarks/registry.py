"""How fast artifacts move between a folder and a registry: ebpm beside oras, skopeo and oras-py.

    benchmarks/registry.py [--rounds 5] [--only small,large,attach]

Each client is a process of its own, from its start to its end. ebpm and skopeo copy an OCI layout
folder to docker-registry and back. oras pushes and pulls files, its main verbs, against which the
bars are; `oras cp` copies the folder, whose bytes it sends without looking at them (sendfile).
oras-py knows files alone. The clients take turns, each round with an empty registry, after a sync;
the server's work on the same disk is in all figures. With --first everything runs before what else
the machine does.
Needs docker-registry, oras and skopeo (CONTRIBUTING.md says how they are had).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import figures
from benchmarks.figures import Table, finish, machine, median
from benchmarks.processes import Runner, Taken
from tests.needs import docker_registry

SMALL, LARGE = [1_000_000] * 50, [500_000_000]
ATTACHES = 12
MEMORY_BAR = 40.0  # MiB
PEERS = ("oras", "skopeo", "oras-py")  # the first has a bar of its own


@dataclass
class Client:
    """The commands of one client, and what they took."""

    push: Callable[[Path, str], list[str]]
    pull: Callable[[str, Path], list[str]]
    taken: dict[str, list[Taken]] = field(default_factory=lambda: {"push": [], "pull": []})

    def seconds(self, verb: str) -> list[float]:
        """List how long it took."""
        return [one.seconds for one in self.taken[verb]]

    def peak(self, verb: str) -> float:
        """Tell the largest peak of memory."""
        return max(one.peak for one in self.taken[verb])


ORAS_PY = """
import sys, os
from oras.provider import Registry
verb, place, folder = sys.argv[1:]
client = Registry(insecure=True)
if verb == "push":
    os.chdir(folder)
    client.push(target=place, files=sorted(os.listdir(".")))
else:
    client.pull(target=place, outdir=folder)
"""


def clients() -> dict[str, Client]:
    """Make the command lines; a source is a folder that holds a layout and files."""
    python, plain = sys.executable, ("--plain-http",)
    ebpm = [python, "-m", "ebpm", "copy", "--no-referrers"]
    skopeo = ["skopeo", "--insecure-policy", "copy"]
    return {
        "ebpm": Client(
            lambda source, place: [*ebpm, f"oci:{source}/layout:1", place],
            lambda place, target: [*ebpm, place, f"oci:{target}:1"],
        ),
        "oras cp": Client(
            lambda source, place: [
                *("oras", "cp", "--from-oci-layout", "--to-plain-http", f"{source}/layout:1", place)
            ],
            lambda place, target: [
                *("oras", "cp", "--from-plain-http", "--to-oci-layout", place, f"{target}:1")
            ],
        ),
        "skopeo": Client(
            lambda source, place: [
                *(*skopeo, "--dest-tls-verify=false", f"oci:{source}/layout:1", f"docker://{place}")
            ],
            lambda place, target: [
                *(*skopeo, "--src-tls-verify=false", f"docker://{place}", f"oci:{target}:1")
            ],
        ),
        "oras-py": Client(
            lambda source, place: [python, "-c", ORAS_PY, "push", place, f"{source}/files"],
            lambda place, target: [python, "-c", ORAS_PY, "pull", place, str(target)],
        ),
        "oras": Client(
            lambda source, place: [
                *("env", "-C", f"{source}/files", "oras", "push", *plain, place),
                *files_in(source),
            ],
            lambda place, target: ["oras", "pull", *plain, "-o", str(target), place],
        ),
    }


def files_in(source: Path) -> list[str]:
    """Name the files of a source."""
    return sorted(path.name for path in (source / "files").iterdir())


def make_source(folder: Path, sizes: list[int]) -> Path:
    """Write random files, and a layout of them."""
    (folder / "files").mkdir(parents=True)
    for number, size in enumerate(sizes):
        with (folder / "files" / f"{number:03}").open("wb") as file:
            for at in range(0, size, 1 << 20):
                file.write(os.urandom(min(1 << 20, size - at)))
    names = sorted(str(path) for path in (folder / "files").iterdir())
    command = ["oras", "push", "--disable-path-validation", "--oci-layout"]
    subprocess.run([*command, f"{folder}/layout:1", *names], check=True, stdout=subprocess.DEVNULL)
    return folder


def measure(runner: Runner, folder: Path, sizes: list[int], rounds: int) -> dict[str, Client]:
    """Let all clients push and pull, in turn."""
    source = make_source(folder / "source", sizes)
    found = clients()
    order = list(found)
    for number in range(rounds + 1):
        place = folder / f"round{number}"
        with docker_registry(place / "registry") as host:
            for name in order[number % len(order) :] + order[: number % len(order)]:
                one = found[name]
                repository = f"{host}/bench/{name.replace(' ', '-')}:1"
                there = place / name.replace(" ", "-")
                one.taken["push"].append(runner.run(one.push(source, repository)))
                one.taken["pull"].append(runner.run(one.pull(repository, there)))
        subprocess.run(["rm", "-rf", str(place)], check=True)
        if not number:  # nobody knew the disk yet
            for one in found.values():
                for kept in one.taken.values():
                    kept.clear()
    return found


def compare(title: str, found: dict[str, Client], bar: float) -> Table:
    """Put the figures of one size into a table, with the bars."""
    table = Table(title)
    ours = found["ebpm"]
    for verb in ("push", "pull"):
        for name, one in found.items():
            times = one.seconds(verb)
            cpu = median([taken.cpu for taken in one.taken[verb]])
            text = f"{median(times):.2f} s ({min(times):.2f} to {max(times):.2f})"
            table.note(f"{verb}, {name}", f"{text}, CPU {cpu:.2f} s, {one.peak(verb):.0f} MiB")
        ratios = {
            name: median(ours.seconds(verb)) / median(found[name].seconds(verb)) for name in PEERS
        }
        table.at_most(f"{verb}, of oras's time", ratios["oras"], bar)
        for name in PEERS[1:]:
            table.at_most(f"{verb}, of {name}'s time", ratios[name], 1.0)
        table.at_most(f"{verb}, peak memory", ours.peak(verb), MEMORY_BAR, "MiB")
    return table


def attach(folder: Path, rounds: int) -> Table:
    """Attach from several processes at once, on a registry that keeps no lists of referrers."""
    table = Table(f"{ATTACHES} parallel attaches, docker-registry")
    for name, command in (
        ("ebpm", [sys.executable, "-m", "ebpm", "attach", "--type", "a/b"]),
        ("oras", ["oras", "attach", "--plain-http", "--artifact-type", "a/b"]),
    ):
        counts, times = [], []
        for number in range(rounds):
            with docker_registry(folder / f"{name}{number}") as host:
                found, seconds = attach_all(command, host)
                counts.append(found)
                times.append(seconds)
        text = f"{min(counts)} to {max(counts)} found, {median(times):.2f} s"
        table.note(f"{name}, {rounds} times", text)
        if name == "ebpm":
            table.at_least("discoverable, at least", min(counts), ATTACHES)
    return table


def attach_all(command: list[str], host: str) -> tuple[int, float]:
    """Attach at once; tell how many are found afterwards, and the seconds that it took."""
    from ebpm.oci.copy import copy
    from ebpm.registry.client import RegistryClient
    from ebpm.registry.credentials import CredentialStore
    from ebpm.registry.http import HttpSettings
    from tests.artifacts import artifact, repository_of

    client = RegistryClient(HttpSettings(), CredentialStore([], Path("/nonexistent")))
    repository = repository_of(client, host)
    source, root = artifact(b"layer")
    copy(source, root, repository, "1")
    started = time.perf_counter()
    running = [
        subprocess.Popen(
            [*command, f"{host}/tools/x:1", "-a", f"number={number}"], stdout=subprocess.DEVNULL
        )
        for number in range(ATTACHES)
    ]
    failed = sum(one.wait() != 0 for one in running)
    seconds = time.perf_counter() - started
    if failed:
        print(f"{failed} attaches failed")
    found = len(repository.referrers(root))
    client.close()
    return found, seconds


def main() -> int:
    """Measure, print the tables, tell whether a bar was missed."""
    parser = figures.arguments(__doc__)
    parser.add_argument("--rounds", type=int, help="5, or 1 in short")
    parser.add_argument("--only", default="small,large,attach")
    parser.add_argument("--first", action="store_true", help="as root on a machine of one's own")
    given = figures.parse(parser)
    rounds = given.rounds or (1 if given.short else 5)
    wanted = given.only.split(",")
    if given.first:
        os.nice(-15)
    runner = Runner()
    print(machine())
    tables = []
    with tempfile.TemporaryDirectory(prefix="ebpm-bench-") as name:
        folder = Path(name)
        os.environ |= {"HOME": name, "EBPM_CONFIG": f"{name}/config.yaml"}
        os.environ |= {"EBPM_STORE": f"{name}/store", "EBPM_CACHE": f"{name}/cache"}
        if "small" in wanted:
            small = measure(runner, folder / "small", SMALL, rounds)
            tables.append(compare("50 files of 1 MB", small, 1.5))
        if "large" in wanted:
            large = measure(runner, folder / "large", LARGE, rounds)
            tables.append(compare("one file of 500 MB", large, 1.2))
        if "attach" in wanted:
            tables.append(attach(folder / "attach", rounds))
    runner.close()
    return finish(tables)


if __name__ == "__main__":
    sys.exit(main())
