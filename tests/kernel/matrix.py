"""Hooks on kernels: the tools compiled, what a kernel should say, and what it said."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.kernel.cases import CASES, COMMON, TARGET
from tests.sources import probe_library

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
import emulator  # noqa: E402

if TYPE_CHECKING:
    from ebpm.config import Config

__all__ = ["emulator"]
CACHE = Path(os.environ.get("EBPM_SCRIPT_CACHE") or ROOT / ".cache").resolve() / "kernels"
GUEST = (
    "tests/__init__.py",
    *(
        f"tests/kernel/{name}.py"
        for name in ("__init__", "cases", "guest", "namesakes", "pairs", "workloads")
    ),
)
BY_NAME = {case.name: case for case in CASES}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a kernel said to a case; ``wrong`` says what it should have said instead."""

    hook: str
    outcome: str  # "works", or an error's code
    message: str
    wrong: str | None


# --- compiling -----------------------------------------------------------------------------------


def compile_cases(architecture: str) -> Path:
    """Compile the cases; give the folder with their objects and plans.

    Kept by the sources, the headers and the compiling code: a second time nothing is compiled.
    """
    recipe = hashlib.sha256()
    used = [ROOT / "tests/kernel/cases.py", Path(__file__), *(ROOT / "ebpm").rglob("*.py")]
    for path in sorted([*used, *(ROOT / "ebpm/build/headers").rglob("*.h")]):
        room = path.relative_to(ROOT).parts[1]
        if room not in ("cli", "registry", "cache", "output", "oci", "testing"):
            recipe.update(path.read_bytes())
    folder = CACHE / "tools" / architecture / recipe.hexdigest()[:16]
    if folder.exists():
        return folder
    shutil.rmtree(folder.parent, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        jobs = [(Path(work), architecture, [case.name]) for case in CASES if case.alone]
        jobs.append((Path(work), architecture, [case.name for case in CASES if not case.alone]))
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(_compile, [*jobs, (Path(work), architecture, [])]))
        Path(work).rename(folder)
        Path(work).mkdir()
    return folder


def _compile(job: tuple[Path, str, list[str]]) -> None:
    """Compile some cases into one object, and plan each as if it were alone; or the target."""
    folder, architecture, names = job
    from ebpm.build.pack import build
    from ebpm.build.toolchain import find_compiler
    from ebpm.package.hook import parse_hook
    from ebpm.runtime.planner import make_plan, move

    shared = len(names) > 1
    cases = [BY_NAME[name] for name in names]
    name = "shared" if shared else cases[0].file if cases else "target"
    parts = [_named(at, case.code) if shared else case.code for at, case in enumerate(cases)]
    with tempfile.TemporaryDirectory() as work:
        source = Path(work) / f"{name}.bpf.c"
        source.write_text(COMMON + "\n".join(parts or [TARGET]))
        package = build(source, compiler=find_compiler(), architectures=(architecture,)).package
        if not cases:
            probe_library(
                Path(work),
                {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[architecture],
            )
            shutil.copy(Path(work) / "probe.so", folder)
    (one,) = package.objects
    (folder / f"{name}.o").write_bytes(one.data)
    if not cases:
        (folder / "target.plan").write_text(make_plan(package, one).dump())
        (folder / "target.object").write_text(name)
    for at, case in enumerate(cases):
        plan = make_plan(package, one)
        if shared:
            (program,) = (each for each in plan.programs if each.name == f"p{at}")
            plan.programs = [program]
            # In the object it is optional, so that the others do not load it: here it is wanted.
            move(program, parse_hook(program.section.removeprefix("?"), program.section))
        if case.attach:
            move(plan.programs[0], parse_hook(case.attach, plan.programs[0].section))
        (folder / f"{case.file}.plan").write_text(plan.dump())
        (folder / f"{case.file}.object").write_text(name)


def _named(at: int, code: str) -> str:
    """Give a case's program a name of its own, and make it one that is loaded only on demand."""
    code, count = re.subn(r"\bp(?=[(,])", f"p{at}", code, count=1)
    assert count == 1, code
    return code.replace('SEC("', 'SEC("?', 1)


# --- asking --------------------------------------------------------------------------------------


def read_answers(text: str, release: str, architecture: str, config: str) -> list[Answer]:
    """Read what guest.py printed, and hold it against what the kernel should have said."""
    return [judge(one, release, architecture, config) for one in lines(text, "hook")]


def lines(text: str, key: str) -> list[dict[str, Any]]:
    """Read the lines of JSON that a guest printed of one sort: those that have a key."""
    found = [json.loads(line[2:]) for line in text.splitlines() if line.startswith("@ {")]
    return [one for one in found if key in one]


def judge(one: Mapping[str, Any], release: str, architecture: str, config: str) -> Answer:
    """Hold an answer against what a kernel of a release and a configuration should say."""
    case = BY_NAME[one["hook"]]
    outcome, message = one["outcome"], one.get("message", "")
    wanted = case.arm64 if architecture == "arm64" else case.since
    if case.option and f"{case.option}=y" not in config and numbers(release) >= numbers(wanted):
        told = outcome == "feature-missing" and case.option in message
        wrong = None if told else f"should be feature-missing, and name {case.option}"
    elif numbers(release) >= numbers(wanted):
        wrong = None if outcome == "works" else f"should work since Linux {wanted}"
    else:
        named = f"Linux {wanted}" in message
        told = outcome == "feature-missing" and named
        wrong = None if told else f"should be feature-missing, and name Linux {wanted}"
    return Answer(one["hook"], outcome, message, wrong)


def numbers(version: str) -> tuple[int, int]:
    """Read the first two numbers of a version."""
    major, minor = re.findall(r"\d+", version)[:2]
    return int(major), int(minor)


def keep(path: Path, results: Sequence[Mapping[str, object]]) -> None:
    """Write results of kernels into a file that has, or will have, those of others too."""
    kept = json.loads(path.read_text())["kernels"] if path.exists() else []
    new = {(one["kernel"], one["architecture"]) for one in results}
    old = [one for one in kept if (one["kernel"], one["architecture"]) not in new]
    order = list(emulator.KERNELS)
    kernels = sorted(
        [*old, *results], key=lambda one: (one["architecture"], order.index(str(one["kernel"])))
    )
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"schemaVersion": 1, "kernels": kernels}, indent=1) + "\n")


def ask_here(folder: Path, names: Sequence[str]) -> list[dict[str, Any]]:
    """Ask the kernel of this machine; the cases run in processes of their own."""
    command = [sys.executable, "-m", "tests.kernel.guest", str(folder), *names]
    done = subprocess.run(
        command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=600
    )
    found = [json.loads(line[2:]) for line in done.stdout.splitlines() if line.startswith("@ {")]
    assert len(found) == len(names), done.stdout + done.stderr
    return found


def fill_guest(folder: Path, tools: Path) -> None:
    """Put the questions into the guest's folder: guest.py, and the tools."""
    for name in GUEST:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    (folder / "cases").mkdir()
    for path in tools.iterdir():
        shutil.copyfile(path, folder / "cases" / path.name)


def catalogue_alone(folder: Path) -> Config:
    """Make the catalogue, if it has not been made; give settings that know nothing else.

    Args:
        folder: for what is kept; its ``cache`` gets plans.
    """
    from ebpm.config import Config

    subprocess.run([sys.executable, ROOT / "scripts/catalogue"], check=True)
    places = {"EBPM_CACHE": "cache", "EBPM_STORE": "store", "EBPM_CONFIG": "config.yaml"}
    return Config({name: str(folder / place) for name, place in places.items()})


def bring_namesakes(folder: Path, tools: Sequence[str]) -> None:
    """Put into a guest's folder what tests/kernel/pairs.py needs: the catalogue, and the peers.

    Args:
        folder: that has ebpm from :func:`emulator.copy_ebpm`; ``cache`` gets the tools' plans, so
            that an emulated processor need not make them.
        tools: by name.
    """
    import elftools

    from ebpm.api import Workspace
    from ebpm.target import parse_target

    config = catalogue_alone(folder)
    peers = emulator.peers(emulator.host_architecture())
    (folder / "peers").mkdir()
    for path in [*peers.glob("*.so.*"), *(peers / f"{name}-libbpf" for name in tools)]:
        shutil.copy(path, folder / "peers")
    shutil.copytree(Path(elftools.__file__).parent, folder / "elftools")  # for names of functions
    for name in tools:
        Workspace(config).prepare(parse_target(name))
    shutil.copytree(config.catalogue, folder / "ebpm/index/layout")
