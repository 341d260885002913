"""What the documents say is what the program does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.conftest import ROOT, Ebpm

Tools = Callable[[str], Path]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("index/**/*.md")])


def blocks(text: str, language: str) -> list[str]:
    """List the fenced blocks of a language."""
    parts = re.split(r"^```(\w*)\n", text, flags=re.MULTILINE)
    # Openings and closings alternate: text, language, block, "", text, language, block, …
    return [block for name, block in zip(parts[1::4], parts[2::4], strict=True) if name == language]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", path.read_text()):
        if not target.startswith(("http", "#")):
            assert (path.parent / target.partition("#")[0]).exists(), target


def test_the_help_in_the_readme_is_the_programs(ebpm: Ebpm) -> None:
    shown = ebpm.run("--help", env={**os.environ, "COLUMNS": "80"}).stdout
    assert f"$ ebpm --help\n{shown}```" in (ROOT / "README.md").read_text()


def test_python_examples_are_valid() -> None:
    for path in DOCUMENTS:
        for block in blocks(path.read_text(), "python"):
            compile(block, str(path), "exec")


@pytest.mark.needs("compiler", "bpf")
def test_the_python_guides_example_runs() -> None:
    (example,) = blocks((ROOT / "docs/guides/python.md").read_text(), "python")
    done = subprocess.run(
        [sys.executable, "-c", example], capture_output=True, text=True, timeout=60, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    pid, sig, _comm = done.stdout.split(maxsplit=2)
    assert pid.isdecimal()
    assert sig == "0"


@pytest.mark.needs("compiler", "bpf")
def test_the_tutorial_works_as_written(work: Path) -> None:
    text = (ROOT / "docs/guides/writing-a-tool.md").read_text()
    header, source = blocks(text, "c")
    make, build_and_run, _publish, carry = blocks(text, "sh")
    subprocess.run(["bash", "-ec", make], check=True, cwd=work)
    folder = work / "chdirsnoop"
    (folder / "chdirsnoop.h").write_text(header)
    (folder / "chdirsnoop.bpf.c").write_text(source)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    def shell(script: str, *flags: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", *flags, "-c", f'sudo() {{ "$@"; }}\n{script}'],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=folder,
            env={**os.environ, "PATH": path},
        )

    done = shell(build_and_run)
    assert shell(carry, "-e").returncode == 0
    # The traced shell fails to change to /nowhere, and its status is that of the run.
    assert re.search(r"\d\d:\d\d:\d\d  \d+ +0 +sh\n\S+ +\d+ +-2 +sh", done.stdout), done.stderr
    (shown,) = [block for block in blocks(text, "") if block.startswith("TIME")]
    assert shown.splitlines()[0] in [line.rstrip() for line in done.stdout.splitlines()]


def _merge(document: Any, fragment: Any, key: str = "") -> Any:
    """Do what an editor would: named items of lists are changed, other values replaced."""
    if isinstance(document, dict) and isinstance(fragment, dict):
        changed = {name: _merge(document.get(name), part, name) for name, part in fragment.items()}
        return {**document, **changed}
    if isinstance(document, list) and key not in ("members", "data"):
        changed = {part["name"]: part for part in fragment}
        assert set(changed) <= {one["name"] for one in document}
        return [_merge(one, changed.get(one["name"], {})) for one in document]
    return fragment


@pytest.mark.needs("compiler", "bpf")
def test_the_guide_to_editing_works_as_written(work: Path) -> None:
    text = (ROOT / "docs/guides/editing.md").read_text()
    (source,) = blocks(text, "c")
    (work / "dirsnoop.bpf.c").write_text(source)
    before, after, once = blocks(text, "sh")
    shown = [table for table in blocks(text, "") if table.startswith("TIME")]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    def shell(script: str) -> list[list[str]]:
        done = subprocess.run(
            ["bash", "-ec", f'sudo() {{ "$@"; }}\n{script}'],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=work,
            env={**os.environ, "PATH": path},
        )
        lines = done.stdout[done.stdout.index("TIME") :].splitlines()
        return [[cell for cell in line.split()[1:] if not _varies(cell)] for line in lines]

    def expected(table: str) -> list[list[str]]:
        return [
            [cell for cell in row.split()[1:] if not _varies(cell)] for row in table.splitlines()
        ]

    assert shell(before) == expected(shown[0])
    document = yaml.safe_load((work / "package.yaml").read_text())
    for fragment in blocks(text, "yaml"):
        document = _merge(document, yaml.safe_load(fragment))
    (work / "package.yaml").write_text(yaml.safe_dump(document))
    assert shell(after) == expected(shown[1])
    assert shell(once) == expected(shown[2])


@pytest.mark.needs("compiler", "bpf")
def test_the_guide_to_counting_works_as_written(work: Path) -> None:
    text = (ROOT / "docs/guides/counting.md").read_text()
    sources, commands = blocks(text, "c"), blocks(text, "sh")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    found = []
    for name, source, command in zip(("writesize", "whowrites"), sources, commands, strict=True):
        (work / f"{name}.bpf.c").write_text(source)
        done = subprocess.run(
            ["bash", "-ec", f'sudo() {{ "$@"; }}\n{command}'],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=work,
            env={**os.environ, "PATH": path},
        )
        assert done.returncode == 0, done.stderr
        found.append(done.stdout)
    (shown,) = blocks(text, "")
    assert found[0] == f"{shown}\n"
    assert sum(int(line.rpartition(" ")[2]) for line in found[1].splitlines()) == 8
    assert all(line.startswith("dd;") for line in found[1].splitlines())
    assert "8 (100.00 %)" in (work / "writes.svg").read_text()


def _varies(cell: str) -> bool:
    """Whether a cell is a process ID."""
    return cell.isdecimal() and len(cell) > 1


@pytest.mark.needs("compiler")
def test_what_the_commands_print_fits_its_schema(ebpm: Ebpm, tools: Tools, work: Path) -> None:
    schema = json.loads((ROOT / "docs/spec/commands.schema.json").read_text())
    package = tools("sigsnoop") / "package.json"
    for words in (
        ["build", ROOT / "index/tools/sigsnoop", "-o", work / "out", "-t", "sigsnoop:1.0"],
        ["list"],
        ["inspect", "sigsnoop:1.0"],
        ["inspect", package],
        ["push", "sigsnoop:1.0", "oci:layout"],
        ["pull", "oci:layout"],
        ["doctor"],
        ["check", package],
        ["cache", "du"],
        ["cache", "verify"],
        ["cache", "gc", "--dry-run"],
    ):
        done = ebpm.run(*words, "--json", check=None)
        document = json.loads(done.stdout)
        jsonschema.validate(document, schema)


@pytest.mark.needs("compiler", "bpf")
def test_events_fit_their_schema(ebpm: Ebpm, tools: Tools) -> None:
    schema = json.loads((ROOT / "docs/spec/events.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    package = tools("sigsnoop") / "package.json"
    out = ebpm.run("run", "--json", package, "--", "sh", "-c", "kill -0 $$").stdout
    assert out
    for line in out.splitlines():
        validator.validate(json.loads(line))
    out = ebpm.run("run", "--json", "--timestamps", package, "--", "sh", "-c", "kill -0 $$").stdout
    for line in out.splitlines():
        validator.validate(json.loads(line))
    validator.validate({"key": {"u32": 1}, "value": {"slots": [1, 2]}})
    validator.validate({"pid": 1, "kstack": [{"address": 1, "symbol": "a"}]})
    validator.validate({"source": "ring", "fields": {"a": 1}})
    assert not validator.is_valid([1])


@pytest.mark.needs("git")
def test_no_document_names_this_machine() -> None:
    for path in subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0"):
        if path and (ROOT / path).exists():
            data = (ROOT / path).read_bytes()
            assert b"/work/" + b"main" not in data, path


@pytest.mark.parametrize(
    ("page", "least"), [("registry", 100), ("editing", 25), ("options", 20), ("store", 40)]
)
def test_every_test_that_a_specification_names_exists(page: str, least: int) -> None:
    """A rule without a test is one that nobody sees broken."""
    text = (ROOT / f"docs/spec/{page}.md").read_text()
    named = set(re.findall(r"`([\w/]+\.py)::(\w+)`", text))
    assert len(named) > least
    missing = [
        f"{path}::{name}"
        for path, name in sorted(named)
        if f"\ndef {name}(" not in (ROOT / "tests" / path).read_text()
    ]
    assert missing == []
    _, *tables = text.split("| rule | test |")
    for line in [line for table in tables for line in table.partition("\n\n")[0].splitlines()]:
        assert "::test_" in line or set(line) <= set("|- "), line


@pytest.mark.needs("docker-registry")
def test_the_guide_to_credentials_works_as_written(tmp_path: Path) -> None:
    from tests.interop.conftest import HTPASSWD
    from tests.needs import docker_registry

    text = (ROOT / "docs/guides/credentials.md").read_text()
    login, look, script = blocks(text, "sh")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with docker_registry(tmp_path / "registry", htpasswd=HTPASSWD) as host:

        def shell(block: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                ["bash", "-ec", block.replace("registry.example", host)],
                capture_output=True,
                text=True,
                timeout=60,
                env={**os.environ, "PATH": path, "PASSWORD": "secret"},
            )

        done = shell(login)
        kept = Path(os.environ["DOCKER_CONFIG"], "config.json")
        assert done.stdout == f"logged in to {host}; kept in {kept}\n", done.stderr
        assert kept.stat().st_mode & 0o777 == 0o600
        assert f"error[manifest-not-found]: {host}/tools/opensnoop" in shell(script).stderr
        done = shell(look)
        assert "alice is accepted" in done.stdout
        assert f"logged out of {host}" in done.stdout
        assert "error[manifest-not-found]" in shell(script).stderr  # by the environment alone
        bare = script.replace(' EBPM_PASSWORD="$PASSWORD"', "")
        assert "EBPM_PASSWORD is not set" in shell(bare).stderr


@pytest.mark.needs("docker-registry")
def test_the_guide_to_oras_py_works_as_written(work: Path) -> None:
    from tests.needs import docker_registry

    example, ours = blocks((ROOT / "docs/guides/oras-py.md").read_text(), "python")
    with docker_registry(work / "registry") as host:
        done = subprocess.run(
            [sys.executable, "-c", example.replace("localhost:5000", host) + ours],
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    assert "['1']" in done.stdout
    assert 'report.json {"tools": 3}' in done.stdout
