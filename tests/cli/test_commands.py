"""The other commands, as processes, with a real registry where one is needed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from ebpm.cli.commands import COMMANDS, app
from ebpm.cli.report import report, tell
from ebpm.cli.view import size_text
from ebpm.errors import BuildFailed
from tests.conftest import ROOT, Ebpm

Tools = Callable[[str], Path]
SOURCE = ROOT / "index" / "tools" / "sigsnoop"


@pytest.fixture
def sigsnoop(tools: Tools) -> Path:
    return tools("sigsnoop") / "package.json"


@pytest.fixture
def stored(ebpm: Ebpm, sigsnoop: Path, work: Path) -> str:
    """sigsnoop:latest in the store."""
    ebpm.run("push", sigsnoop, "oci:layout:latest")
    ebpm.run("pull", "oci:layout:latest")
    return "sigsnoop:latest"


# --- the program ---------------------------------------------------------------------------------


def test_the_version_is_told(ebpm: Ebpm) -> None:
    import ebpm as library

    assert ebpm.run("--version").stdout == f"ebpm {library.__version__}\n"


@pytest.mark.parametrize("command", ["doctor", "--help", "inspect PACKAGE --json"])
def test_a_full_disk_is_an_error_without_a_traceback(
    ebpm: Ebpm, sigsnoop: Path, command: str
) -> None:
    words = command.replace("PACKAGE", str(sigsnoop)).split()
    with open("/dev/full", "w") as full:
        line = [sys.executable, "-m", "ebpm", *words]
        done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "error[system-refused]: No space left on device"


@pytest.mark.needs("compiler")
def test_a_folder_that_cannot_be_made_is_an_error_without_a_traceback(ebpm: Ebpm) -> None:
    done = ebpm.run("build", SOURCE, "-o", "/dev/null/x", check=1)
    assert "error[output-failed]: cannot write /dev/null/x/sigsnoop.bpf.o: Not a dir" in done.stderr


def test_what_a_compiler_or_the_kernel_says_does_not_play_with_the_terminal(
    capfd: pytest.CaptureFixture[str],
) -> None:
    report(BuildFailed("one", detail="a\tb\x1b[2J\nc"))
    tell("lib\x1b[1m")
    assert "a\tb\\x1b[2J\nc\n" in (said := capfd.readouterr().err)
    assert "lib\\x1b[1m" in said


_SLOW = """#!/bin/sh
case "$*" in
*--version) echo "clang version 20.1.0" ;;
*--print-targets) echo "    bpf - BPF" ;;
*) echo > "$STARTED/$$"; exec sleep 60 ;;
esac
"""


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
def test_a_build_that_is_ended_leaves_nothing(
    ebpm: Ebpm, work: Path, number: signal.Signals, status: int, many: bool
) -> None:
    """At once, whatever else was to be built."""
    sources = [shutil.copytree(SOURCE, work / name) for name in "abcd"[: 4 if many else 1]]
    (work / "clang").write_text(_SLOW)
    (work / "clang").chmod(0o755)
    for name in ("started", "tmp"):
        (work / name).mkdir()
    environment = {**os.environ, "TMPDIR": str(work / "tmp"), "STARTED": str(work / "started")}
    words = ["build", *sources, *(["-j", "2"] if many else []), "--clang", work / "clang"]
    before = signal.signal(number, signal.SIG_DFL)  # nohup, for one, has what it starts ignore it
    process = ebpm.start(*words, env=environment, start_new_session=True)
    signal.signal(number, before)
    while len(os.listdir(work / "started")) < (2 if many else 1):
        time.sleep(0.01)
    made = os.listdir(work / "tmp")
    os.killpg(process.pid, number)  # as a terminal does, or a job that is cancelled
    process.communicate(timeout=30)
    assert made
    assert process.returncode == status
    assert os.listdir(work / "tmp") == []
    for one in sources:
        assert sorted(os.listdir(one)) == sorted(os.listdir(SOURCE))


def test_every_command_is_described_and_has_an_example_or_its_words(ebpm: Ebpm) -> None:
    out = ebpm.run("--help").stdout
    context = click.Context(app)
    for name in app.list_commands(context):
        command = app.get_command(context, name)
        assert command is not None
        assert command.name == name
        if name in COMMANDS:
            assert command.get_short_help_str(200) == COMMANDS[name][1]
        assert re.search(rf"^  {name}\b", out, re.MULTILINE)
        assert command.help
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help or parameter.show_default, f"{name} {parameter.opts}"


def test_an_unknown_command_is_a_usage_error(ebpm: Ebpm) -> None:
    done = ebpm.run("runn", check=2)
    assert "No such command 'runn'" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed(ebpm: Ebpm, shell: str) -> None:
    assert "_EBPM_COMPLETE" in ebpm.run("completion", shell).stdout


def test_completion_completes_commands_and_the_options_of_run(ebpm: Ebpm) -> None:
    environment = {**os.environ, "_EBPM_COMPLETE": "bash_complete"}
    for words, index, expected in (
        ("ebpm pu", 1, "plain,push"),
        ("ebpm run --du", 2, "--duration"),
        ("ebpm run ./ope", 2, "file,./ope"),
        ("ebpm run syscount -c /sys/fs/cg", 4, "file,/sys/fs/cg"),
        ("ebpm run syscount -- ./prog", 4, "file,./prog"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "ebpm"],
            env={**environment, "COMP_WORDS": words, "COMP_CWORD": str(index)},
            capture_output=True,
            text=True,
        )
        assert expected in done.stdout


def test_errors_are_coloured_for_people_only(ebpm: Ebpm) -> None:
    assert "\x1b" not in ebpm.run("inspect", "nosuch", check=3).stderr
    script = f"{sys.executable} -m ebpm inspect nosuch"
    for variable, coloured in (("X", True), ("NO_COLOR", False)):
        done = subprocess.run(
            ["script", "-qec", script, "/dev/null"],
            env={**os.environ, variable: "1", "TERM": "xterm"},
            capture_output=True,
            text=True,
        )
        assert ("\x1b[1;31m" in done.stdout) is coloured


def test_debug_shows_where_an_error_was_raised(ebpm: Ebpm) -> None:
    assert "Traceback" in ebpm.run("--debug", "inspect", "nosuch", check=1).stderr
    assert "Traceback" in ebpm.run("run", "--debug", "nosuch", check=1).stderr


def test_output_to_nobody_is_no_error(stored: str) -> None:
    command = f"{sys.executable} -m ebpm inspect --json {stored} | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1500, "1.5 kB"),
        (2_000_000, "2.0 MB"),
        (5_000_000_000_000, "5000.0 GB"),
    ],
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert size_text(size) == text


# --- build ---------------------------------------------------------------------------------------


@pytest.fixture
def sources(work: Path) -> Path:
    folder = work / "sources"
    folder.mkdir()
    for name in ("sigsnoop.bpf.c", "sigsnoop.h"):
        (folder / name).write_bytes((SOURCE / name).read_bytes())
    return folder


@pytest.mark.needs("compiler")
def test_build_writes_beside_the_source_and_tags_in_the_store(ebpm: Ebpm, sources: Path) -> None:
    done = ebpm.run(
        "build", sources / "sigsnoop.bpf.c", sources / "sigsnoop.h", "-t", "sigsnoop:1.0"
    )
    names = {path.name for path in sources.iterdir()}
    assert names == {
        *("sigsnoop.bpf.c", "sigsnoop.h"),
        *("sigsnoop.bpf.o", "sigsnoop.skel.json", "package.json"),
    }
    assert "tagged sigsnoop:1.0" in done.stdout
    assert "sigsnoop:1.0" in ebpm.run("list").stdout


@pytest.mark.needs("compiler")
def test_build_takes_a_folder_and_writes_elsewhere_in_yaml(ebpm: Ebpm, sources: Path) -> None:
    ebpm.run("build", sources, "-o", sources / "out", "--format", "yaml", "--arch", "arm64")
    names = {path.name for path in (sources / "out").iterdir()}
    assert names == {"sigsnoop.bpf.o", "sigsnoop.skel.yaml", "package.yaml"}
    shown = ebpm.run("inspect", sources / "out" / "package.yaml").stdout
    assert shown.split()[:2] == ["name:", "sigsnoop"]


@pytest.mark.needs("compiler")
def test_build_shows_the_compilers_words_and_leaves_nothing(ebpm: Ebpm, work: Path) -> None:
    (work / "bad.bpf.c").write_text("int broken(\n")
    done = ebpm.run("build", "bad.bpf.c", check=1)
    assert re.search(r"bad\.bpf\.c:\d+:\d+: error: ", done.stderr)
    assert "error[build-failed]: cannot compile bad.bpf.c\n" in done.stderr
    assert [path.name for path in work.iterdir()] == ["bad.bpf.c"]


@pytest.mark.needs("compiler")
def test_build_as_json(ebpm: Ebpm, sources: Path) -> None:
    data = json.loads(ebpm.run("build", "--json", sources).stdout)
    assert data["kind"] == "build"
    assert data["schemaVersion"] == 1
    assert [one["platform"] for one in data["objects"]] == ["any"]


def test_a_build_without_a_compiler_says_how_to_get_one(
    ebpm: Ebpm, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (work / "x.bpf.c").write_text("")
    (work / "ziglang.py").write_text("raise ImportError\n")
    monkeypatch.setenv("PYTHONPATH", str(work))
    monkeypatch.setenv("PATH", "/nonexistent")
    done = ebpm.run("build", "x.bpf.c", check=9)
    assert "error[compiler-missing]" in done.stderr
    assert "pip install 'ebpm[build]'" in done.stderr
    assert "apt install clang" in done.stderr


def test_a_compiler_that_is_none_is_refused(ebpm: Ebpm, work: Path) -> None:
    (work / "x.bpf.c").write_text("")
    done = ebpm.run("build", "--clang", "/bin/true", "x.bpf.c", check=9)
    assert "/bin/true is not a clang with the bpf target" in done.stderr


# --- the store -----------------------------------------------------------------------------------


@pytest.mark.needs("compiler")
def test_list_shows_what_is_there(ebpm: Ebpm, stored: str) -> None:
    header, row = ebpm.run("list").stdout.splitlines()
    assert header.split() == ["REFERENCE", "VERSION", "DIGEST", "SIZE", "PLATFORMS", "DESCRIPTION"]
    assert row.split()[:2] == ["sigsnoop:latest", "1.0.0"]
    assert "amd64,arm64" in row
    data = json.loads(ebpm.run("list", "--json").stdout)
    assert data["kind"] == "list"
    assert data["packages"][0]["reference"] == "sigsnoop:latest"


def test_an_empty_store_is_no_error(ebpm: Ebpm) -> None:
    assert "the store is empty" in ebpm.run("list").stdout
    assert json.loads(ebpm.run("list", "--json").stdout)["packages"] == []


@pytest.mark.needs("compiler")
def test_inspect_shows_hooks_options_and_columns(ebpm: Ebpm, stored: str) -> None:
    out = ebpm.run("inspect", stored).stdout
    for words in (
        "sigsnoop",
        "1.0.0",
        "Dual BSD/GPL",
        "tracepoint/syscalls/sys_enter_kill",
        "--target_signal",
        "reports event:",
        "char[16]",
        "process that sends the signal",
    ):
        assert words in out
    data = json.loads(ebpm.run("inspect", "--json", stored).stdout)
    assert data["kind"] == "package"
    assert data["meta"]["bpf_skel"]["obj_name"] == "sigsnoop_bpf"
    assert data["platforms"] == ["linux/amd64", "linux/arm64"]
    assert data["build"]["inputs"]["sigsnoop.bpf.c"].startswith("sha256:")


@pytest.mark.needs("compiler")
@pytest.mark.parametrize("name", ["package.json", "sigsnoop.skel.json", "sigsnoop.bpf.o"])
def test_inspect_takes_files(ebpm: Ebpm, tools: Tools, name: str) -> None:
    assert (
        "tracepoint/syscalls/sys_enter_kill" in ebpm.run("inspect", tools("sigsnoop") / name).stdout
    )


@pytest.mark.needs("compiler")
def test_inspect_lists_the_options_that_a_run_takes(ebpm: Ebpm, tools: Tools) -> None:
    shown = ebpm.run("inspect", tools("sigsnoop") / "package.json").stdout
    assert "--target_signal" in shown
    assert "lost_events" not in shown  # the program counts there, and nobody sets it


@pytest.mark.needs("compiler")
def test_a_package_gets_a_second_name_and_each_is_removed_by_itself(
    ebpm: Ebpm, stored: str
) -> None:
    ebpm.run("tag", stored, "localhost:5000/tools/sigsnoop:1.0")
    assert ebpm.run("list").stdout.count("sigsnoop") == 2
    ebpm.run("remove", stored)
    assert "localhost:5000/tools/sigsnoop:1.0" in ebpm.run("list").stdout
    ebpm.run("inspect", "localhost:5000/tools/sigsnoop:1.0")
    ebpm.run("remove", "localhost:5000/tools/sigsnoop:1.0")
    blobs = Path(os.environ["EBPM_STORE"]) / "blobs" / "sha256"
    assert list(blobs.iterdir()) == []
    assert "error[manifest-not-found]" in ebpm.run("remove", stored, check=3).stderr


@pytest.mark.parametrize("name", ["Bad Name", "x:y:z", "a@sha256:12", "-", "../x"])
def test_a_tag_that_is_no_reference_is_refused(ebpm: Ebpm, stored: str, name: str) -> None:
    done = ebpm.run("tag", stored, "--", name, check=2)
    assert "error[invalid-reference]" in done.stderr


# --- registries ----------------------------------------------------------------------------------


@pytest.mark.needs("compiler", "docker-registry")
def test_a_package_goes_to_a_registry_and_comes_back_the_same(
    ebpm: Ebpm, stored: str, docker_registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = f"{docker_registry}/tools/sigsnoop:1.0"
    ebpm.run("tag", stored, reference)
    pushed = ebpm.run("push", reference).stdout.split("@")[1]
    again = json.loads(ebpm.run("push", "--json", stored, reference).stdout)
    assert again["digest"] == pushed.strip()
    monkeypatch.setenv("EBPM_STORE", os.environ["EBPM_STORE"] + "-2")
    assert pushed in ebpm.run("pull", reference).stdout
    assert reference in ebpm.run("list").stdout
    assert "sys_enter_kill" in ebpm.run("inspect", reference).stdout


@pytest.mark.needs("compiler", "docker-registry")
def test_a_file_is_pushed_as_it_is(ebpm: Ebpm, sigsnoop: Path, docker_registry: str) -> None:
    reference = f"{docker_registry}/tools/sigsnoop:1.0"
    ebpm.run("push", sigsnoop, reference)
    assert ebpm.run("inspect", "--json", reference).stdout
    assert ebpm.run("pull", f"{docker_registry}/tools/sigsnoop:2.0", check=3).stderr.startswith(
        "error[manifest-not-found]"
    )


@pytest.mark.needs("compiler", "bpf", "docker-registry")
def test_a_reference_that_is_not_here_is_pulled_and_run(
    ebpm: Ebpm, sigsnoop: Path, docker_registry: str
) -> None:
    reference = f"{docker_registry}/tools/sigsnoop:1.0"
    ebpm.run("push", sigsnoop, reference)
    done = ebpm.run("run", reference, "--", "sh", "-c", "kill -0 $$")
    assert done.stdout.startswith("TIME")
    assert reference in ebpm.run("list").stdout


@pytest.mark.needs("docker-registry")
def test_what_is_not_in_the_store_cannot_be_pushed(ebpm: Ebpm, docker_registry: str) -> None:
    # The store knows no such reference, and neither does the registry that it would come from.
    done = ebpm.run("push", f"{docker_registry}/tools/nothing:1", check=3)
    assert "error[" in done.stderr


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["push", "a", "b", "c"], 2, "push takes [SOURCE] REF"),
        (["push", "sigsnoop"], 2, "names no registry"),
        (["pull", "sigsnoop"], 2, "no registry is assumed"),
        (["push", "oci:folder"], 2, "which package?"),
        (["login", "name/with/path"], 2, "is no registry"),
        (["push", "nosuch", "localhost:1/x"], 3, "'nosuch' is no file"),
        (["pull", "localhost:1/x"], 5, "cannot reach localhost:1"),
    ],
)
def test_a_mistake_is_named(ebpm: Ebpm, words: list[str], status: int, said: str) -> None:
    done = ebpm.run(*words, check=status)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_login_that_nobody_knows_is_told_to_be_absent(ebpm: Ebpm) -> None:
    assert "there was no login" in ebpm.run("logout", "localhost:5000").stdout


# --- what bad packages get -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        ("", 1, "invalid-package"),
        ("[]", 1, "invalid-package"),
        ("{}", 1, "invalid-package"),
        (
            '{"bpf_object": "!!", "bpf_object_size": 1, "meta": {"bpf_skel": {"obj_name": "x"}}}',
            1,
            "invalid-package",
        ),
        ("\x7fELF", 1, "invalid-object"),
    ],
)
def test_a_file_that_is_no_package(
    ebpm: Ebpm, work: Path, content: str, status: int, code: str
) -> None:
    (work / "file").write_text(content)
    for command in ("run", "inspect"):
        done = ebpm.run(command, "./file", check=status)
        assert f"error[{code}]" in done.stderr
        assert "\nhint: " in done.stderr


def test_a_skeleton_without_its_object(ebpm: Ebpm, work: Path) -> None:
    (work / "x.skel.json").write_text('{"bpf_skel": {"obj_name": "x_bpf"}}')
    done = ebpm.run("run", "x.skel.json", check=3)
    assert "x.bpf.o" in done.stderr


# --- many sources at once ------------------------------------------------------------------------


@pytest.mark.needs("compiler")
def test_several_sources_are_built_at_once_each_beside_itself(ebpm: Ebpm, work: Path) -> None:
    text = (SOURCE / "sigsnoop.bpf.c").read_text()
    for name in ("one", "two"):
        (work / name).mkdir()
        (work / name / f"{name}.bpf.c").write_text(text)
        (work / name / "sigsnoop.h").write_text((SOURCE / "sigsnoop.h").read_text())
    (work / "bad.bpf.c").write_text("int x = ;\n")
    done = ebpm.run("build", "-j", "2", "one", "bad.bpf.c", "two", check=1, cwd=work)
    assert "error[build-failed]: bad.bpf.c" in done.stderr
    for name in ("one", "two"):
        assert (work / name / f"{name}.bpf.o").exists()
        assert f"wrote {name}/package.json" in done.stdout


def test_several_sources_take_no_options_of_one(ebpm: Ebpm, work: Path) -> None:
    for name in ("a", "b"):
        (work / f"{name}.bpf.c").touch()
    ebpm.run("build", "a.bpf.c", "b.bpf.c", "-t", "x:1", check=2, cwd=work)
    ebpm.run("build", "a.bpf.c", "b.bpf.c", "a.h", check=2, cwd=work)
