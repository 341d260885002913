"""The guides on mirrors, bundles and locks, tried word by word by a new user."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ebpm.cache.layout import Layout
from ebpm.testing.registry import registry_server
from tests.artifacts import is_whole
from tests.conftest import ROOT, Ebpm
from tests.test_docs import blocks

pytestmark = pytest.mark.needs("compiler", "bpf")


class Guide:
    """A guide whose hosts are servers on loopback."""

    def __init__(self, name: str, hosts: dict[str, str], folder: Path) -> None:
        text = (ROOT / "docs/guides" / f"{name}.md").read_text()
        for host, server in hosts.items():
            text = text.replace(host, server)
        self.text = text
        self.folder = folder

    def blocks(self, language: str) -> list[str]:
        return blocks(self.text, language)

    def run(self, script: str, check: int = 0, **environment: str) -> str:
        """Run a block of it in bash, which ends at the first error."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-ec", f'sudo() {{ "$@"; }}\n{script}'],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=self.folder,
            env={**os.environ, "PATH": path, **environment},
        )
        assert done.returncode == check, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr


@pytest.fixture
def hosts(ebpm: Ebpm, tools: Callable[[str], Path]) -> Iterator[dict[str, str]]:
    """Two registries; the first has acme/sigsnoop."""
    package = tools("sigsnoop") / "package.json"
    with registry_server() as public, registry_server() as private:
        for tag in ("1.0", "1.1", "2.0"):
            ebpm.run("push", package, f"{public.host}/acme/sigsnoop:{tag}")
        yield {"ghcr.io": public.host, "registry.internal": private.host}


@pytest.fixture
def guide(hosts: dict[str, str], work: Path) -> Callable[[str], Guide]:
    return lambda name: Guide(name, hosts, work)


def test_the_guide_for_machines_without_a_network(
    guide: Callable[[str], Guide], hosts: dict[str, str], work: Path
) -> None:
    tried = guide("air-gapped")
    export, take, increment, take_more, push = tried.blocks("sh")
    far = {"EBPM_STORE": str(work / "far")}
    tried.run(export)
    out = tried.run(take, **far)
    assert f"imported {hosts['ghcr.io']}/acme/sigsnoop:1.0@sha256:" in out
    tried.run(increment)
    assert "all sound" in tried.run(take_more, **far)
    assert is_whole(Layout(far["EBPM_STORE"], journal=True))
    out = tried.run(push)
    assert f"-> {hosts['registry.internal']}/tools/acme/sigsnoop:1.0" in out
    (shown,) = tried.blocks("console")
    command, _, expected = shown.partition("\n")
    far["EBPM_STORE"] = str(work / "empty")
    assert tried.run(command.removeprefix("$ "), check=5, **far) == expected


def test_the_guide_for_mirrors(
    guide: Callable[[str], Guide], hosts: dict[str, str], work: Path
) -> None:
    tried = guide("mirrors")
    settings, jobs = tried.blocks("yaml")
    sync, serve = tried.blocks("sh")
    (work / "jobs.yaml").write_text(jobs)
    out = tried.run(sync)
    assert [line.split()[0] for line in out.splitlines()] == [
        "wanted",
        "wanted",
        "copied",
        "copied",
    ]
    Path(os.environ["EBPM_CONFIG"]).write_text(settings)
    name = f"{hosts['ghcr.io']}/acme/sigsnoop:1.0"
    log = tried.run(f"ebpm --debug pull {name}")
    assert f"http://{hosts['registry.internal']}/v2/tools/acme/sigsnoop" in log
    assert f"http://{hosts['ghcr.io']}" not in log
    free = serve.replace("127.0.0.1:5000", "127.0.0.1:0")
    assert "serving on 127.0.0.1:" in tried.run(
        f"timeout --preserve-status -s INT 2 {free.strip()}"
    )


def test_every_field_of_a_job_is_in_the_guide() -> None:
    from ebpm.mirror.jobs import _KEYS

    text = (ROOT / "docs/guides/mirrors.md").read_text()
    rows = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == {*_KEYS, "target"}


def test_the_guide_for_locks(
    guide: Callable[[str], Guide], hosts: dict[str, str], work: Path
) -> None:
    tried = guide("lock")
    pull, lock, frozen, newer, export = tried.blocks("sh")
    (project,) = tried.blocks("toml")
    assert f"pulled {hosts['ghcr.io']}/acme/sigsnoop:1.1@" in tried.run(pull)
    (work / "ebpm.toml").write_text(project)
    out = tried.run(lock)
    assert out.startswith("sigsnoop 1.1  ")
    assert "here sigsnoop 1.1" in tried.run(frozen) or "pulled sigsnoop 1.1" in out
    out = tried.run(newer)
    assert re.search(r"^sigsnoop +1\.1 +1\.1 +2\.0$", out, re.MULTILINE)
    tried.run(export)
    far = {"EBPM_STORE": str(work / "far"), "EBPM_OFFLINE": "1"}
    tried.run("ebpm mirror import tools.tar\nebpm sync --frozen\nebpm run -d 1s sigsnoop", **far)
