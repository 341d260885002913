"""The guides: what they say can be typed, and the tutorial works as written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from ebpm.cli.commands import app
from ebpm.cli.options import RUN_OPTIONS
from tests.conftest import ROOT
from tests.test_docs import blocks

GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))
FLAGS = {name for one in RUN_OPTIONS for name in one.names}


def commands(text: str) -> Iterator[list[str]]:
    """All commands of ebpm in code spans and shell blocks."""
    plain = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    spans = re.findall(r"`([^`\n]+)`", plain)
    indented = re.findall(r"^    ((?:sudo )?ebpm .*)$", text, re.MULTILINE)
    for line in (*spans, *indented, *"\n".join(blocks(text, "sh")).splitlines()):
        for part in re.split(r"[|;]|&&", line.replace("\\|", "|")):
            words = part.removeprefix("sudo ").strip().removeprefix("sudo ").split()
            if words[:1] == ["ebpm"] and len(words) > 1 and words[1].isalpha():
                yield words[1:]


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_commands_and_their_options_exist(path: Path) -> None:
    for words in commands(path.read_text()):
        name, *rest = words
        command = app.get_command(click.Context(app), name)
        assert command is not None, f"ebpm {name}"
        while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
            command = command.get_command(click.Context(command), rest.pop(0))
            assert command is not None, words
        if name == "run":
            continue
        known = {flag for one in command.params for flag in (*one.opts, *one.secondary_opts)}
        given = [word.partition("=")[0] for word in rest if word.startswith("-") and word != "-"]
        assert set(given) <= known | {"--help"}, words


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_run_is_given_options_and_tools_that_there_are(path: Path) -> None:
    tools = {one.name for one in (ROOT / "index" / "tools").iterdir()}
    made = {"demo", "chdirsnoop", "TARGET"}  # by the guides themselves
    for words in commands(path.read_text()):
        if words[0] != "run":
            continue
        rest = words[1:]
        while rest and rest[0].startswith("-") and rest[0] != "-":
            flag = rest.pop(0)
            assert flag in FLAGS, words
            option = next(one for one in RUN_OPTIONS if flag in one.names)
            if option.read is not None and rest:
                rest.pop(0)
        if rest and re.fullmatch(r"[a-z]+", rest[0]):
            assert rest[0] in tools | made, words


@pytest.mark.needs("compiler", "bpf", "docker-registry")
def test_the_way_from_an_empty_folder_to_a_published_tool_works_as_written(
    work: Path, docker_registry: str
) -> None:
    text = (
        (ROOT / "docs/guides/publishing.md").read_text().replace("localhost:5000", docker_registry)
    )
    scripts = blocks(text, "sh")
    assert len(scripts) == 4
    done = subprocess.run(
        ["bash", "-ec", 'sudo() { "$@"; }\n' + "\n".join(scripts)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=work,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"true +/bin/true", done.stdout)) == 2
    assert "1 passed" in done.stdout
    (shown,) = [block for block in blocks(text, "") if block.startswith("TIME")]
    assert shown.splitlines()[0] in [line.rstrip() for line in done.stdout.splitlines()]
