"""The workflows and the action: valid, without findings, and the action's steps really run."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ebpm import scaffold
from ebpm.package.files import read_package
from tests.conftest import ROOT, Ebpm

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTION = ROOT / "action.yml"


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """The folder that `ebpm init` makes."""
    scaffold.create(tmp_path / "demo", "demo", "ringbuf", "0.1.0")
    return tmp_path / "demo"


def uses(data: object) -> Iterator[str]:
    """All actions that something uses."""
    if isinstance(data, dict):
        if isinstance(data.get("uses"), str):
            yield data["uses"]
        for one in data.values():
            yield from uses(one)
    elif isinstance(data, list):
        for one in data:
            yield from uses(one)


@pytest.mark.needs("check-jsonschema")
def test_workflows_and_action_fit_their_schemas(template: Path) -> None:
    files = [*WORKFLOWS, *sorted((template / ".github" / "workflows").glob("*.yml"))]
    for schema, paths in (("github-workflows", files), ("github-actions", [ACTION])):
        done = subprocess.run(
            ["check-jsonschema", "--builtin-schema", f"vendor.{schema}", *paths],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.needs("zizmor")
def test_zizmor_finds_nothing_above_low(template: Path) -> None:
    done = subprocess.run(
        ["zizmor", "--offline", "--no-progress", "--format", "json", "--min-severity", "medium"]
        + [str(one) for one in (*WORKFLOWS, ACTION, template)],
        capture_output=True,
        text=True,
    )
    found = json.loads(done.stdout)
    assert [(one["ident"], one["locations"][0]["symbolic"]["key"]) for one in found] == []


@pytest.mark.parametrize("path", [*WORKFLOWS, ACTION], ids=lambda path: path.name)
def test_others_actions_are_pinned_by_commit_with_their_version(path: Path) -> None:
    text = path.read_text()
    for one in uses(yaml.safe_load(text)):
        if not one.startswith("./"):
            assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", one)
            assert re.search(rf"{re.escape(one)} # v\d+\.\d+\.\d+$", text, re.MULTILINE)


def test_all_pin_one_action_to_one_commit(template: Path) -> None:
    pins: dict[str, set[str]] = {}
    for path in (*WORKFLOWS, ACTION, *(template / ".github" / "workflows").glob("*.yml")):
        for one in uses(yaml.safe_load(path.read_text())):
            name, _, commit = one.partition("@")
            pins.setdefault(name, set()).add(commit)
    assert {name: len(commits) for name, commits in pins.items() if len(commits) > 1} == {}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_permit_nothing_but_what_a_job_needs(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        assert job["permissions"]
        assert "write-all" not in str(job["permissions"])


def test_scripts_take_what_is_given_by_the_environment_only(template: Path) -> None:
    for path in (*WORKFLOWS, ACTION, *(template / ".github" / "workflows").glob("*.yml")):
        for script in _scripts(yaml.safe_load(path.read_text())):
            assert "${{" not in script, f"{path.name}: {script}"


def _scripts(data: Any) -> Iterator[str]:
    if isinstance(data, dict):
        if isinstance(data.get("run"), str):
            yield data["run"]
        for one in data.values():
            yield from _scripts(one)
    elif isinstance(data, list):
        for one in data:
            yield from _scripts(one)


class Runner:
    """What GitHub does with a composite action's steps that are scripts."""

    def __init__(self, folder: Path, work: Path, **inputs: str) -> None:
        self.action = yaml.safe_load(ACTION.read_text())
        self.work = work
        self.contexts = {
            "github.actor": "somebody",
            "github.repository_owner": "Somebody",
            "github.token": "",
            "runner.temp": str(folder),
        }
        for name, one in self.action["inputs"].items():
            value = inputs.pop(name, None)
            self.contexts[f"inputs.{name}"] = self.fill(one["default"] if value is None else value)
        assert not inputs, "the action has these inputs"
        self.files = {name: folder / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        self.environment = {
            **os.environ,
            **{name: str(path) for name, path in self.files.items()},
            "GITHUB_REF": "refs/tags/v1.2.0",
            "GITHUB_REF_NAME": "v1.2.0",
            "GITHUB_SHA": "0" * 40,
        }

    def fill(self, text: str) -> str:
        """Put in what expressions stand for; one that nobody set is an error."""
        return re.sub(r"\$\{\{ *([\w.-]+) *\}\}", lambda found: self.contexts[found[1]], text)

    def run(self) -> dict[str, str]:
        """Run all scripts in their order; give the action's outputs."""
        for step in self.action["runs"]["steps"]:
            if "run" not in step:
                continue
            assert step["shell"] == "bash"
            for path in self.files.values():
                path.write_text("")
            given = {name: self.fill(value) for name, value in step.get("env", {}).items()}
            done = subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
                cwd=self.work,
                env=self.environment | given,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, f"{step['name']}\n{done.stdout}\n{done.stderr}"
            for line in self.files["GITHUB_OUTPUT"].read_text().splitlines():
                name, _, value = line.partition("=")
                self.contexts[f"steps.{step['id']}.outputs.{name}"] = value
        outputs = self.action["outputs"].items()
        return {name: self.fill(one["value"]) for name, one in outputs}


@pytest.mark.needs("compiler", "docker-registry")
def test_the_actions_steps_publish_to_a_registry(
    template: Path, docker_registry: str, tmp_path: Path, ebpm: Ebpm
) -> None:
    (tmp_path / "runner").mkdir()
    repository = f"{docker_registry}/somebody/demo"
    runner = Runner(
        *(tmp_path / "runner", template),
        **{"repository": repository, "ebpm": "ebpm", "plain-http": "true", "kernel": "5.10"},
        kernels="/sys/kernel/btf/vmlinux",
    )
    outputs = runner.run()
    assert outputs["reference"] == f"{repository}:1.2.0"
    resolved = ebpm.run("resolve", "--format", "{{.digest}}", f"{repository}:latest").stdout.strip()
    assert outputs["digest"] == resolved
    found = json.loads(ebpm.run("discover", "--json", f"{repository}:1.2.0").stdout)
    assert [one["artifactType"] for one in found["referrers"]] == ["application/spdx+json"]
    platforms = json.loads(ebpm.run("inspect", "--json", f"{repository}:1.2.0").stdout)["platforms"]
    assert platforms == ["linux/amd64", "linux/arm64"]


@pytest.mark.needs("compiler", "docker-registry", "bpf")
def test_a_stranger_runs_what_was_published(
    template: Path, docker_registry: str, tmp_path: Path, ebpm: Ebpm
) -> None:
    (tmp_path / "runner").mkdir()
    repository = f"{docker_registry}/somebody/demo"
    Runner(
        *(tmp_path / "runner", template),
        **{"repository": repository, "ebpm": "ebpm", "plain-http": "true", "version": "7"},
    ).run()
    done = ebpm.run("run", "--json", f"{repository}:7", "--", "sh", "-c", "exec /bin/true")
    assert json.loads(done.stdout.splitlines()[-1])["file"] == "/bin/true"


def test_the_container_runs_as_nobody_special() -> None:
    text = (ROOT / "Containerfile").read_text()
    steps = re.findall(r"^([A-Z]+) (.*)$", text, re.MULTILINE)
    assert [name for name, _ in steps][-4:] == ["USER", "WORKDIR", "ENTRYPOINT", "CMD"]
    assert dict(steps)["USER"] == "1000"
    assert json.loads(dict(steps)["ENTRYPOINT"]) == ["ebpm"]
    assert json.loads(dict(steps)["CMD"]) == ["build", "."]


@pytest.mark.needs("compiler", "docker-registry")
def test_the_templates_own_workflow_publishes(
    template: Path, docker_registry: str, tmp_path: Path, ebpm: Ebpm
) -> None:
    workflow = yaml.safe_load((template / ".github/workflows/publish.yml").read_text())
    (step,) = [one for one in workflow["jobs"]["publish"]["steps"] if one.get("id") == "push"]
    output = tmp_path / "output"
    environment = {"OWNER": "Somebody", "TOKEN": "secret", "TOOL": workflow["env"]["TOOL"]}
    github = {"GITHUB_ACTOR": "me", "GITHUB_REF_NAME": "v0.1.0", "GITHUB_OUTPUT": str(output)}
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", step["run"].replace("ghcr.io", docker_registry)],
        cwd=template,
        env={**os.environ, **environment, **github},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    outputs = dict(line.split("=", 1) for line in output.read_text().splitlines())
    assert outputs["repository"] == f"{docker_registry}/somebody/demo"
    found = json.loads(ebpm.run("discover", "--json", f"{outputs['repository']}:0.1.0").stdout)
    assert found["digest"] == outputs["digest"]
    assert len(found["referrers"]) == 1


@pytest.mark.needs("compiler")
def test_the_templates_pages_hold_what_runs_by_its_address(template: Path, tmp_path: Path) -> None:
    workflow = yaml.safe_load((template / ".github/workflows/pages.yml").read_text())
    (step,) = [one for one in workflow["jobs"]["build"]["steps"] if one.get("name") == "Build"]
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", step["run"]],
        cwd=template,
        env={**os.environ, "LAYOUT": str(tmp_path / "layout")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "demo" in (template / "site" / "index.html").read_text()
    assert read_package(template / "site" / "demo" / "package.json").name == "demo"
