"""Print, edit, run: what docs/guides/editing.md promises, through the program itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT, Ebpm

pytestmark = pytest.mark.needs("compiler", "bpf")
Document = dict[str, Any]
CALL = (sys.executable, "-c", "import os; os.getpgid(0)")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Build tests/data/NAME.bpf.c once; give its package.json."""
    built: dict[str, Path] = {}

    def package(name: str) -> Path:
        if name not in built:
            from ebpm.api import Workspace
            from ebpm.cli.build import write_files

            folder = tmp_path_factory.mktemp(name)
            made = Workspace().build(ROOT / f"tests/data/{name}.bpf.c").package
            write_files(made, folder, "json")
            built[name] = folder / "package.json"
        return built[name]

    return package


def named(items: list[Document], name: str) -> Document:
    return next(item for item in items if item["name"] == name)


def skeleton(document: Document) -> Document:
    found: Document = document["meta"]["bpf_skel"]
    return found


def variable(document: Document, name: str) -> Document:
    sections = skeleton(document)["data_sections"]
    return named([one for section in sections for one in section["variables"]], name)


def events(ebpm: Ebpm, *words: str | Path) -> list[Document]:
    """Run a tool around one call of getpgid, filtered by the tool's own pid variable."""
    done = ebpm.run("run", "--json", *words, "--", *CALL)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_what_is_printed_runs_as_it_is_and_as_it_is_edited(
    ebpm: Ebpm, packages: Callable[[str], Path], work: Path, form: str
) -> None:
    printed = ebpm.run("inspect", "--format", form, packages("params")).stdout
    path = work / f"package.{form}"
    path.write_text(printed)
    (before,) = events(ebpm, path)
    assert before["name"] == "none"
    assert before["in_data"] == 1

    document: Document = yaml.safe_load(printed)
    variable(document, "name")["value"] = "edited"
    variable(document, "mode")["value"] = "SLOW"
    variable(document, "list")["value"] = [7]
    variable(document, "in_custom_data")["value"] = 70
    export = named(document["meta"]["export_types"], "event")
    export["members"] = [{"name": name} for name in ("in_custom_data", "name", "list", "mode")]
    del export["size"]
    export["type_id"] = 613  # as in a package that was compiled elsewhere
    path.write_text(json.dumps(document) if form == "json" else yaml.safe_dump(document))
    (after,) = events(ebpm, path)
    assert after == {"name": "edited", "mode": "SLOW(0)", "list": [7, 2, 3], "in_custom_data": 70}
    table = ebpm.run("run", path, "--", *CALL).stdout
    assert table.split()[1:5] == ["IN_CUSTOM_DATA", "NAME", "LIST", "MODE"]


def test_a_map_is_filled_by_the_edited_package(
    ebpm: Ebpm, packages: Callable[[str], Path], work: Path
) -> None:
    document = yaml.safe_load(ebpm.run("inspect", "--format", "yaml", packages("maps")).stdout)
    maps = skeleton(document)["maps"]
    named(maps, "limits").update(data=[{"key": 7, "value": 456}], max_entries=100)
    (work / "package.yaml").write_text(yaml.safe_dump(document))
    assert [one["limit"] for one in events(ebpm, "package.yaml")] == [456]
    named(maps, "limits")["data"] = [{"key": 123, "value": -1}]
    (work / "package.yaml").write_text(yaml.safe_dump(document))
    refused = ebpm.run("run", "package.yaml", check=1).stderr
    assert (
        "error[invalid-package]: map 'limits', key 123: the value, of type unsigned long long: -1 "
        "is out of range for unsigned long long, which holds 0 to 18446744073709551615" in refused
    )


def test_a_skeleton_is_edited_beside_its_object(
    ebpm: Ebpm, packages: Callable[[str], Path]
) -> None:
    path = packages("params").with_name("params.skel.json")
    original = path.read_text()
    document = {"meta": json.loads(original)}
    variable(document, "in_data").update(value=11)
    try:
        path.write_text(json.dumps(document["meta"]))
        (event,) = events(ebpm, path)
        variable(document, "in_data").update(value="many")
        path.write_text(json.dumps(document["meta"]))
        refused = ebpm.run("run", path, check=1).stderr
    finally:
        path.write_text(original)
    assert event["in_data"] == 11
    assert "'in_data' of type int has a value that it cannot hold: 'many' is not an integer" in (
        refused
    )


def test_a_program_is_moved_by_the_edited_package(
    ebpm: Ebpm, packages: Callable[[str], Path], work: Path
) -> None:
    document = yaml.safe_load(ebpm.run("inspect", "--format", "yaml", packages("moves")).stdout)
    programs = skeleton(document)["progs"]
    moved = named(programs, "on_tracepoint")
    moved["attach"] = "tracepoint/syscalls/sys_enter_getpgid"
    skeleton(document)["progs"] = [moved]
    (work / "package.yaml").write_text(yaml.safe_dump(document))
    assert events(ebpm, "package.yaml") == [{"which": 1}]
    moved["attach"] = "xdp"
    (work / "package.yaml").write_text(yaml.safe_dump(document))
    refused = ebpm.run("run", "package.yaml", check=1).stderr
    assert "program on_tracepoint: a program of section tracepoint/syscalls/sys_enter_getsid" in (
        refused
    )
    assert "cannot move to xdp: it is compiled for the record of a tracepoint" in refused


def test_the_same_on_the_command_line(ebpm: Ebpm, packages: Callable[[str], Path]) -> None:
    package = packages("params")
    (event,) = events(ebpm, "--set", "name=set", "--set=list=[4,5]", package, "--mode", "SLOW")
    assert (event["name"], event["list"], event["mode"]) == ("set", [4, 5, 3], "SLOW(0)")
    hook = "on_getpgid=tp/syscalls/sys_exit_getpgid"
    assert len(events(ebpm, "--attach", hook, package)) == 1
    assert events(ebpm, "--attach", "tp/syscalls/sys_enter_getsid", package) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "nmae=x"], "params has no variable 'nmae'\nhint: did you mean name?"),
        (["--set", "si8=128"], "--set si8: 128 is out of range for signed char, which holds -128"),
        (["--set", "si8"], "option --set: 'si8' is not NAME=VALUE"),
        (["--attach", "xdp,dev=lo"], "program 'on_getpgid': a program of section tracepoint/sys"),
        (["--attach", "on_getpid=tp/a/b"], "has no program 'on_getpid'\nhint: it has on_getpgid"),
        (
            ["--attach", "tp/syscalls/sys_enter_nosuch"],
            "this kernel has no tp/syscalls/sys_enter",
        ),
    ],
)
def test_what_the_command_line_cannot_change_is_named(
    ebpm: Ebpm, packages: Callable[[str], Path], words: list[str], said: str
) -> None:
    assert said in ebpm.run("run", *words, packages("params"), check=None).stderr


def test_help_and_version_of_a_tool_go_to_standard_output(
    ebpm: Ebpm, packages: Callable[[str], Path]
) -> None:
    for word in ("-h", "--help"):
        done = ebpm.run("run", packages("params"), word)
        usage, _, brief, *rows, epilogue = done.stdout.splitlines()
        assert usage.startswith("Usage: params_bpf [--help] [--version] [--verbose] [--age VAR]")
        assert "[--pid VAR]" in usage
        assert "[--failed]" in usage
        assert (brief, epilogue) == (
            "All kinds of options.",
            "They are reported as they were given.",
        )
        assert "  -h, --help            shows help message and exits" in rows
        assert "  -v, --version         prints version information and exits" in rows
        assert "  --verbose             prints libbpf debug information" in rows
        assert "  -p, --pid             Process to watch" in rows
        assert "  -f, --failed          only the failed" in rows
        assert "  --age                 set value of age_t variable age" in rows
        assert done.stderr == ""
    for word in ("-v", "--version", "-V"):
        done = ebpm.run("run", packages("params"), word)
        assert (done.stdout, done.stderr) == ("0.1.0\n", "")


def test_a_package_of_the_store_can_be_printed(
    ebpm: Ebpm, packages: Callable[[str], Path], work: Path
) -> None:
    ebpm.run("push", packages("params"), "oci:layout:1.0")
    ebpm.run("pull", "oci:layout:1.0", "-t", "params")
    printed = ebpm.run("inspect", "--format", "yaml", "params").stdout
    assert printed.startswith("meta:\n  bpf_skel:\n")
    assert yaml.safe_load(printed)["bpf_object_size"] > 1000
    assert "two answers" in ebpm.run("inspect", "--json", "--format", "yaml", "x", check=2).stderr
