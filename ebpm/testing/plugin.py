"""The pytest plugin: a fixture that builds a tool, runs it, and gives what it reports.

>>> def test_opens_are_reported(run_tool):
...     run = run_tool("opensnoop.bpf.c", ["cat", "/etc/hostname"])
...     assert any(one["fname"] == "/etc/hostname" for one in run.events)

pytest finds it by itself where ebpm is installed. docs/guides/testing.md tells more.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import pytest

from ebpm.errors import EbpmError
from ebpm.testing.running import Done, run_around, run_beside

_CANNOT = (
    *("permission-missing", "btf-missing", "tracefs-missing", "feature-missing"),
    *("libbpf-missing", "hook-not-found"),
)
"""Codes of errors by which a machine says that it cannot, for which the tool is not to blame."""

_ERROR = re.compile(r"^error\[([a-z-]+)\]: (.*)$", re.MULTILINE)
_MUST = "EBPM_MUST_RUN"


@dataclass(frozen=True, slots=True)
class ToolRun:
    """What a run of a tool gave."""

    events: list[dict[str, Any]]  # as `ebpm run --json` prints them (docs/spec/events.md)
    messages: str  # what ebpm said on standard error
    status: int  # of the trigger, if that was a command


RunTool: TypeAlias = Callable[..., ToolRun]


@pytest.fixture
def run_tool(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    ebpm_packages: dict[Path, Path],
) -> RunTool:
    """Build and run a tool while something happens; give what it reports.

    Where this machine cannot run it the test is skipped with the reason; with EBPM_MUST_RUN=1 in
    the environment it fails instead. The function that this gives takes:

    source: a .bpf.c, its folder, or anything else that ``ebpm run`` takes; a relative path begins
        at the test's folder, or at one above it.
    trigger: a command, after which the tool is stopped; or a function that is called when it is
        attached. A tool that tells processes apart sees the command only.
    options: of the tool, as on the command line.
    attach: hooks, as for ``ebpm run --attach``.
    network: run both in a network namespace of their own, where only loopback is; for commands.
    timeout: seconds after which it is given up.
    """

    def run(
        source: str | Path,
        trigger: Sequence[str] | Callable[[], object],
        *,
        options: Sequence[str] = (),
        attach: Sequence[str] = (),
        network: bool = False,
        timeout: float = 60.0,
    ) -> ToolRun:
        target = _find(str(source), request)
        if isinstance(target, Path) and (target.is_dir() or target.name.endswith(".bpf.c")):
            if target not in ebpm_packages:
                ebpm_packages[target] = _build(target, tmp_path_factory)
            target = ebpm_packages[target]
        if callable(trigger):
            if attach or network:
                raise ValueError("attach and network are for triggers that are commands")
            done = _around(str(target), trigger, options)
        else:
            done = _beside(
                *(str(target), trigger, timeout),
                options=options,
                attach=attach,
                network=network,
            )
        events = [json.loads(line) for line in done.output.splitlines()]
        return ToolRun(events, done.errors, done.status)

    return run


def _around(target: str, act: Callable[[], object], options: Sequence[str]) -> Done:
    try:
        return run_around(target, act, options)
    except EbpmError as error:
        _give_up(error.code, error.message, f"error[{error.code}]: {error}\nhint: {error.hint}")


def _beside(target: str, command: Sequence[str], timeout: float, **how: Any) -> Done:  # noqa: ANN401
    try:
        done = run_beside(target, command, timeout=timeout, **how)
    except subprocess.TimeoutExpired as error:
        said = (error.stderr or b"").decode("utf-8", "replace")
        pytest.fail(f"{command} took more than {timeout} s\n{said}", pytrace=False)
    found = _ERROR.search(done.errors)
    if found and done.status:
        _give_up(found[1], found[2], done.errors.strip())
    return done


@pytest.fixture(scope="session")
def ebpm_packages() -> dict[Path, Path]:
    """Keep what was built, so that each source is compiled once in a session."""
    return {}


def _find(source: str, request: pytest.FixtureRequest) -> Path | str:
    if Path(source).is_absolute():
        return Path(source)
    folder = request.path.parent
    for place in (folder, *folder.parents):
        if (place / source).exists():
            return place / source
        if place == request.config.rootpath:
            break
    if source.endswith(".bpf.c") or source.startswith("."):
        pytest.fail(f"{source} is not in {folder}, nor above it", pytrace=False)
    return source


def _build(source: Path, factory: pytest.TempPathFactory) -> Path:
    from ebpm.api import Workspace, host_platform
    from ebpm.package.files import write_composed

    try:
        package = Workspace().build(source).package
    except EbpmError as error:
        pytest.fail(f"{error.message}\n{error.detail or ''}\nhint: {error.hint}", pytrace=False)

    target = factory.mktemp("ebpm") / "package.json"
    target.write_bytes(write_composed(package, package.object_for(host_platform()), "json"))
    return target


def _give_up(code: str, message: str, text: str) -> NoReturn:
    if code in _CANNOT and not os.environ.get(_MUST):
        pytest.skip(f"{code}: {message}")
    pytest.fail(text, pytrace=False)
