"""`ebpm init` and the pytest plugin: what a stranger begins with works as it is."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from ebpm import scaffold
from ebpm.errors import UsageError
from ebpm.index.toolfile import read_tool_file
from ebpm.testing.running import run_beside
from tests.conftest import ROOT, Ebpm

INSTALLED = any(one.name == "ebpm" for one in metadata.entry_points(group="pytest11"))
PLUGIN = [] if INSTALLED else ["-p", "ebpm.testing.plugin"]


def run_pytest(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-rs", *PLUGIN, "-p", "no:cacheprovider"],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


@pytest.mark.needs("compiler", "bpf", "netns")
@pytest.mark.parametrize("template", scaffold.TEMPLATES)
def test_a_template_passes_its_own_test(template: str, work: Path, ebpm: Ebpm) -> None:
    ebpm.run("init", f"my-{template}", "--template", template)
    folder = work / f"my-{template}"
    done = run_pytest(folder, EBPM_MUST_RUN="1")
    assert "1 passed" in done.stdout, done.stdout
    assert read_tool_file(folder / "tool.yaml").name == f"my-{template}"
    assert "@" not in (folder / "README.md").read_text()


@pytest.mark.parametrize("template", scaffold.TEMPLATES)
def test_a_template_is_filled_in(template: str, tmp_path: Path) -> None:
    files = scaffold.create(tmp_path / "x", "demo-tool", template, "1.2.3")
    assert {str(one) for one in files} == {
        *(".github/workflows/pages.yml", ".github/workflows/publish.yml", ".gitignore"),
        *("README.md", "demo-tool.bpf.c"),
        *("demo-tool.h", "tests/test_demo_tool.py", "tool.yaml"),
    }
    for one in files:
        text = (tmp_path / "x" / one).read_text()
        assert "@TOOL@" not in text
        assert "@VERSION@" not in text
    workflow = yaml.safe_load((tmp_path / "x" / ".github/workflows/publish.yml").read_text())
    assert workflow["permissions"] == {}
    assert "==1.2.3" in str(workflow["jobs"])


@pytest.mark.parametrize("name", ["Demo", "", "a/b", "-a", "a" * 65, "1a", "a..b"])
def test_what_is_no_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no name"):
        scaffold.create(tmp_path / "x", name, "ringbuf", "1")
    assert not (tmp_path / "x").exists()


def test_a_folder_that_holds_something_is_left_alone(work: Path, ebpm: Ebpm) -> None:
    (work / "demo").mkdir()
    (work / "demo" / "mine").write_text("mine")
    assert "not empty" in ebpm.run("init", "demo", check=2).stderr
    assert os.listdir(work / "demo") == ["mine"]
    made = json.loads(ebpm.run("init", "demo", "--folder", "other", "--json").stdout)
    assert made["folder"] == "other"
    assert (work / "other" / "demo.bpf.c").exists()


@pytest.fixture
def suite(work: Path) -> Path:
    """A folder with a tool that no kernel can run, and one that does not compile."""
    shutil.copy(ROOT / "tests" / "data" / "nohook.bpf.c", work)
    (work / "broken.bpf.c").write_text("int x = ;\n")
    shutil.copytree(ROOT / "index" / "tools" / "sigsnoop", work / "sigsnoop")
    return work


@pytest.mark.needs("compiler", "bpf")
def test_what_this_kernel_cannot_is_skipped_with_the_reason(suite: Path) -> None:
    (suite / "test_it.py").write_text(
        "def test_it(run_tool):\n    run_tool('nohook.bpf.c', ['true'])\n"
    )
    done = run_pytest(suite)
    assert "1 skipped" in done.stdout, done.stdout
    assert "hook-not-found: " in done.stdout
    assert "1 failed" in run_pytest(suite, EBPM_MUST_RUN="1").stdout


@pytest.mark.needs("compiler", "bpf")
def test_a_function_can_be_the_trigger(suite: Path) -> None:
    (suite / "tests").mkdir()
    (suite / "tests" / "test_it.py").write_text(
        "import os\n\n"
        "def test_it(run_tool):\n"
        "    run = run_tool('sigsnoop', lambda: os.kill(os.getpid(), 0),\n"
        "                   options=['--filtered_pid', str(os.getpid())])\n"
        "    assert run.events[0]['tpid'] == os.getpid()\n"
    )
    done = run_pytest(suite)
    assert "1 passed" in done.stdout, done.stdout


MISTAKES = {  # a call, and what is said of it
    "run_tool('broken.bpf.c', ['true'])": "cannot compile broken.bpf.c",
    "run_tool('absent.bpf.c', ['true'])": "absent.bpf.c is not in",
    "run_tool('sigsnoop', print, network=True)": "for triggers that are commands",
    "run_tool('sigsnoop', ['true'], options=['--nothing'])": "--nothing",
}


@pytest.mark.needs("compiler")
def test_mistakes_fail_and_are_named(suite: Path) -> None:
    """In one run of pytest: to start one takes longer than all of them."""
    tests = [f"def test_{at}(run_tool):\n    {call}\n" for at, call in enumerate(MISTAKES)]
    (suite / "test_it.py").write_text("\n\n".join(tests))
    done = run_pytest(suite)
    assert f"{len(MISTAKES)} failed" in done.stdout
    reports = re.split(r"^_+ test_\d _+$", done.stdout, flags=re.MULTILINE)[1:]
    for report, said in zip(reports, MISTAKES.values(), strict=True):
        assert said in report


@pytest.mark.needs("compiler", "bpf")
def test_a_run_that_is_given_up_ends_with_its_command(
    tools: Callable[[str], Path], work: Path
) -> None:
    command = ["sh", "-c", f"echo $$ > pid; kill -INT {os.getpid()}; exec sleep 60"]
    with pytest.raises(KeyboardInterrupt):
        run_beside(str(tools("sigsnoop") / "package.json"), command)
    pid = (work / "pid").read_text().strip()
    while not _has_ended(pid):
        time.sleep(0.01)


def _has_ended(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True
