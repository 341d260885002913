"""The tools of the catalogue on this kernel, with their events asserted."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ebpm.event import ENTRIES, LINEAR, LOG2
from ebpm.output.table import Columns
from ebpm.package.files import read_package
from ebpm.runtime.planner import make_plan
from tests.conftest import ROOT, Ebpm

pytestmark = pytest.mark.needs("compiler", "bpf")
Tools = Callable[[str], Path]


def events(ebpm: Ebpm, package: Path, options: list[str], script: str) -> list[dict[str, object]]:
    """Run a tool over a Python script; give the events of that process."""
    words = ["run", "--json", package, *options, "--", sys.executable, "-I", "-S", "-c", script]
    out = ebpm.run(*words).stdout
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def test_sigsnoop_reports_sender_target_signal_and_result(ebpm: Ebpm, tools: Tools) -> None:
    script = (
        "import os, signal, _thread\n"
        "signal.signal(10, signal.SIG_IGN)\n"
        "os.kill(os.getpid(), 10)\n"  # kill(2)
        "signal.pthread_kill(_thread.get_ident(), 10)\n"  # tgkill(2)
        "try: os.kill(2**22 - 3, 15)\n"
        "except ProcessLookupError: pass\n"
    )
    found = events(ebpm, tools("sigsnoop") / "package.json", [], script)
    pid = found[0]["pid"]
    assert [(e["tpid"], e["sig"], e["ret"]) for e in found] == [
        (pid, 10, 0),
        (pid, 10, 0),
        (2**22 - 3, 15, -3),
    ]
    assert {e["comm"] for e in found} == {Path(sys.executable).name[:15]}


def test_sigsnoop_filters_by_signal_and_failure(ebpm: Ebpm, tools: Tools) -> None:
    script = "import os\nos.kill(os.getpid(), 0)\ntry: os.kill(2**22 - 3, 0)\nexcept OSError: pass"
    package = tools("sigsnoop") / "package.json"
    assert [e["ret"] for e in events(ebpm, package, ["--failed_only"], script)] == [-3]
    assert events(ebpm, package, ["--target_signal", "9"], script) == []
    assert events(ebpm, package, ["-s", "KILL"], script) == []
    (found,) = events(ebpm, package, ["-s", "0", "-x"], script)
    assert (found["sig_name"], found["ret_name"]) == (None, "ESRCH")


def test_opensnoop_reports_names_flags_and_results(
    ebpm: Ebpm, tools: Tools, tmp_path: Path
) -> None:
    present, absent = tmp_path / "present", tmp_path / "absent"
    script = (
        "import os\n"
        f"os.open({str(present)!r}, os.O_CREAT | os.O_WRONLY)\n"
        f"try: os.open({str(absent)!r}, 0)\n"
        "except FileNotFoundError: pass\n"
    )
    package = tools("opensnoop") / "package.json"
    found = {e["fname"]: e for e in events(ebpm, package, [], script)}
    one, other = found[str(present)], found[str(absent)]
    assert int(str(one["ret"])) >= 3
    assert int(str(one["flags"])) & os.O_WRONLY
    assert one["uid"] == os.getuid()
    assert other["ret"] == -2
    failed = events(ebpm, package, ["-x"], script)
    assert str(absent) in {e["fname"] for e in failed}
    assert all(int(str(e["ret"])) < 0 for e in failed)


def test_execsnoop_reports_programs_with_their_arguments(ebpm: Ebpm, tools: Tools) -> None:
    package = tools("execsnoop") / "package.json"
    done = ebpm.run("run", "--json", package, "--", "/bin/true", "one", "two  words", "")
    (event,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert event["comm"] == "true"
    assert event["args"].startswith("/bin/true one two  words")
    assert event["ppid"] != event["pid"]
    assert event["uid"] == os.getuid()


def test_execsnoop_cuts_long_arguments_off(ebpm: Ebpm, tools: Tools) -> None:
    package = tools("execsnoop") / "package.json"
    done = ebpm.run("run", "--json", package, "--", "/bin/true", "x" * 1000)
    (event,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert event["args"] == "/bin/true " + "x" * 245


FAILING = """
import os
for words in (["/nowhere/lost", "one", "two words"], ["/nowhere/more", *"x" * 30]):
    try: os.execv(words[0], words)
    except OSError: pass
"""


def test_execsnoop_reports_calls_that_failed(ebpm: Ebpm, tools: Tools) -> None:
    package = tools("execsnoop") / "package.json"
    assert [one["ret"] for one in events(ebpm, package, [], FAILING)] == [0]
    _, short, long = events(ebpm, package, ["-x"], FAILING)
    assert (short["ret"], long["ret"]) == (-2, -2)
    assert short["args"] == "/nowhere/lost one two words"
    assert long["args"] == "/nowhere/more" + " x" * 19
    assert short["comm"] == Path(sys.executable).name[:15]


def test_execsnoop_looks_into_the_arguments(ebpm: Ebpm, tools: Tools) -> None:
    package = tools("execsnoop") / "package.json"
    for at in (0, 1, 7, 8, 200):
        words = ["run", "--json", package, "-l", "needle in hay", "--", "/bin/true", "-" * at]
        assert len(ebpm.run(*words, "needle in hay").stdout.splitlines()) == 1
        assert ebpm.run(*words, "needle in ha").stdout == ""


@pytest.mark.parametrize(("most", "shown"), [(1, "/bin/true"), (3, "/bin/true a b c"), (9, None)])
def test_execsnoop_shows_so_many_arguments(
    ebpm: Ebpm, tools: Tools, most: int, shown: str | None
) -> None:
    package = tools("execsnoop") / "package.json"
    words = ["run", "--json", package, "--max-args", most, "--", "/bin/true", "a b", "c", "d"]
    (event,) = [json.loads(line) for line in ebpm.run(*words).stdout.splitlines()]
    assert event["args"] == (shown or "/bin/true a b c d")


@pytest.mark.parametrize("tool", ["sigsnoop", "opensnoop", "execsnoop"])
def test_every_tool_is_one_portable_object(ebpm: Ebpm, tools: Tools, tool: str) -> None:
    data = json.loads((tools(tool) / "package.json").read_text())
    assert data["meta"]["ebpm_platform"] == "any"


@pytest.mark.parametrize(
    "tool", sorted(path.name for path in (ROOT / "index/tools").iterdir() if path.is_dir())
)
def test_every_tool_has_a_readme_with_its_real_header(ebpm: Ebpm, tools: Tools, tool: str) -> None:
    readme = (ROOT / "index" / "tools" / tool / "README.md").read_text()
    lines = [line.rstrip() for line in readme.splitlines()]
    package = read_package(tools(tool) / "package.json")
    for source in make_plan(package, package.objects[0]).sources:
        assert source.layout is not None
        if source.stack:
            assert "Userspace:" in lines
        elif source.form in (LOG2, LINEAR):
            assert any(line.endswith(": count    distribution") for line in lines) or any(
                line.endswith(": count     distribution") for line in lines
            )
        else:
            columns = Columns(source.layout, entries=source.form == ENTRIES)
            assert columns.header.rstrip() in lines
    help_text = ebpm.run("run", tools(tool) / "package.json", "--help").stdout
    assert help_text.rstrip() in readme, "the options in the README are not the tool's"
