"""What tests need of a machine, and what they share.

``@pytest.mark.needs("bpf", "docker-registry")`` names a test's needs. Where one is absent the test
is skipped with the reason and the remedy; where ``EBPM_MUST_HAVE`` names it, the run fails instead,
so that no skip hides a missing part.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import needs

# A shell's background jobs ignore it, and so does what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parent.parent

# The same examples at every run, so that a run says something of the change and not of luck; new
# ones are looked for with HYPOTHESIS_PROFILE=explore, and what it finds becomes a test.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", max_examples=3000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        for part in mark.args:
            reason = needs.missing(part)
            if reason is None:
                continue
            if part in needs.must_have():
                pytest.fail(f"EBPM_MUST_HAVE names {part!r}: {reason}", pytrace=False)
            pytest.skip(f"needs {part}: {reason}")


@pytest.fixture(autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a store, a cache and credentials of its own."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("EBPM_STORE", str(home / "store"))
    monkeypatch.setenv("EBPM_CACHE", str(home / "cache"))
    monkeypatch.setenv("EBPM_CATALOGUE", str(home / "no-catalogue"))
    monkeypatch.setenv("EBPM_CONFIG", str(home / "config.yaml"))
    monkeypatch.setenv("DOCKER_CONFIG", str(home / "docker"))
    for name in (
        "REGISTRY_AUTH_FILE",
        "XDG_RUNTIME_DIR",
        "XDG_CONFIG_HOME",
        "SUDO_UID",
        "NO_COLOR",
        "EBPM_REGISTRY",
        "EBPM_USERNAME",
        "EBPM_PASSWORD",
        "GITHUB_ACTIONS",
        "GITHUB_TOKEN",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Build a tool of index/tools once; give the folder with its files."""
    built: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in built:
            from ebpm.api import Workspace
            from ebpm.cli.build import write_files

            source = ROOT / "index" / "tools" / name
            target = tmp_path_factory.mktemp(name)
            write_files(Workspace().build(source).package, target, "json")
            built[name] = target
        return built[name]

    return folder


class Ebpm:
    """The program, in a process of its own."""

    def run(
        self, *arguments: str | Path, check: int | None = 0, **options: object
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; the exit status must be ``check``."""
        command = [sys.executable, "-m", "ebpm", *map(str, arguments)]
        options.setdefault("timeout", 60)
        done = subprocess.run(command, capture_output=True, text=True, **options)  # type: ignore[call-overload]
        if check is not None:
            assert done.returncode == check, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def start(self, *arguments: str | Path, **options: object) -> subprocess.Popen[str]:
        """Start a command."""
        command = [sys.executable, "-m", "ebpm", *map(str, arguments)]
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        return subprocess.Popen(command, text=True, **options)  # type: ignore[call-overload]


@pytest.fixture
def ebpm() -> Ebpm:
    """The program ``ebpm``."""
    return Ebpm()


@pytest.fixture
def docker_registry(tmp_path: Path) -> Iterator[str]:
    """Run Debian's docker-registry on loopback; give its host[:port]."""
    with needs.docker_registry(tmp_path / "docker-registry") as host:
        yield host


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pytest_report_header() -> list[str]:
    parts = {part: needs.missing(part) for part in needs.PARTS}
    have = ", ".join(part for part, reason in parts.items() if reason is None)
    lacks = ", ".join(part for part, reason in parts.items() if reason)
    return [f"this machine has: {have or 'nothing'}", f"and lacks: {lacks or 'nothing'}"]


__all__ = ["ROOT", "Ebpm", "os", "shutil"]
