"""tool.yaml: what is right is read, and what is wrong is named with what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpm.errors import EbpmError, InvalidToolFile
from ebpm.index import toolfile
from tests.conftest import ROOT

GOOD = {
    "name": "opensnoop",
    "summary": "Files that processes open",
    "groups": "[files]",
    "license": "GPL-2.0-only OR BSD-2-Clause",
}


def text(**changes: str | None) -> bytes:
    lines = [f"{key}: {value}" for key, value in {**GOOD, **changes}.items() if value is not None]
    return "\n".join(lines).encode()


def test_a_tool_file_is_read() -> None:
    found = toolfile.parse_tool_file(
        text(kernel='"5.8"', keywords="[open, file descriptor]", options="[CONFIG_BPF]"),
        "tool.yaml",
    )
    assert (found.name, found.groups, found.kernel) == ("opensnoop", ("files",), "5.8")
    assert found.keywords == ("open", "file descriptor")
    assert found.options == ("CONFIG_BPF",)
    assert found.maintainers == ()


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({"sumary": "x"}, "unknown key 'sumary'", "did you mean summary"),
        ({"qqqq": "x"}, "unknown key 'qqqq'", "there are name, summary"),
        ({"groups": "[file]"}, "groups\\[0\\] is 'file'", "did you mean files"),
        ({"groups": "[]"}, "groups", ""),
        ({"license": None}, "license is missing", "write license"),
        ({"kernel": "5.8"}, "kernel is the number 5.8", 'kernel: "5.8"'),
        ({"name": "Open_Snoop!"}, "name is 'Open_Snoop!'", "ebpm run"),
        ({"summary": "Files that are opened."}, "summary is", "without a full stop"),
        ({"keywords": "open"}, "keywords is no array", ""),
        ({"options": "[FTRACE]"}, "options\\[0\\] is 'FTRACE'", "CONFIG"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, str | None], message: str, hint: str) -> None:
    with pytest.raises(InvalidToolFile, match=message) as caught:
        toolfile.parse_tool_file(text(**changes), "tool.yaml")
    assert hint in (caught.value.hint or "")
    assert str(caught.value).startswith("tool.yaml: ")


@pytest.mark.parametrize("raw", [b"{", b"- a", b"", b"a: !!int x", b"[" * 5000, b"\xff\xfe"])
def test_what_is_no_mapping_is_an_error(raw: bytes) -> None:
    with pytest.raises(InvalidToolFile):
        toolfile.parse_tool_file(raw, "tool.yaml")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_tool_or_an_error(raw: bytes) -> None:
    try:
        toolfile.parse_tool_file(raw, "tool.yaml")
    except EbpmError:
        pass


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidToolFile, match=r"cannot read .*tool\.yaml"):
        toolfile.read_tool_file(tmp_path / "tool.yaml")


def test_the_repositorys_schema_is_the_one_that_is_used() -> None:
    assert (ROOT / "index" / "schema.json").read_bytes() == (
        ROOT / "ebpm" / "index" / "tool.schema.json"
    ).read_bytes()


@pytest.mark.parametrize(
    "path", sorted((ROOT / "index" / "tools").glob("*/tool.yaml")), ids=lambda one: one.parent.name
)
def test_the_catalogues_tool_files_are_right(path: Path) -> None:
    found = toolfile.read_tool_file(path)
    assert found.name == path.parent.name
    assert (path.parent / f"{found.name}.bpf.c").exists()
    assert (path.parent / "README.md").exists()
