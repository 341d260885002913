"""The schema of package files: strict about what is written, a help with what is read."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpm.errors import InvalidPackage
from ebpm.oci.platform import Platform
from ebpm.package.artifact import pack
from ebpm.package.files import parse_package, write_composed, write_skeleton
from ebpm.package.meta import write_meta
from ebpm.package.model import MapSpec, Package
from ebpm.package.schema import PATH, check_written, misspelt, schema
from tests.conftest import ROOT, Ebpm
from tests.package.test_files import META, composed
from tests.strategies import JSON, PACKAGES, examples

HERE = Platform("linux", "amd64")
META_RULES = schema()["$defs"]


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert json.loads(PATH.read_text()) == schema()


@examples(60)
@given(PACKAGES)
def test_what_is_written_fits(package: Package) -> None:
    jsonschema.validate(json.loads(write_composed(package, package.objects[0], "json")), schema())


def wrong(**changes: Any) -> Package:
    package = parse_package(json.dumps(composed()).encode(), "here")
    return replace(package, **changes)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"maps": (MapSpec(name="m", ident="m", description=5),)},  # type: ignore[arg-type]
            r"bpf_skel\.maps\[0\]\.description: 5 is not of type 'string'",
        ),
        ({"license": 5}, r"license: 5 is not of type"),
        ({"extra": {"ebpm_hidden": 1}}, "ebpm_hidden"),
        ({"extra": {"export_types": 1}}, "export_types: 1 is not of type 'array'"),
    ],
)
def test_a_package_that_no_file_may_hold_is_refused(changes: dict[str, Any], says: str) -> None:
    package = wrong(**changes)
    one = package.objects[0]
    for write in (
        lambda: write_composed(package, one, "json"),
        lambda: write_skeleton(package, one, "yaml"),
        lambda: pack(package, default=HERE),
    ):
        with pytest.raises(InvalidPackage, match=says) as caught:
            write()
        assert caught.value.hint


# --- slips ---------------------------------------------------------------------------------------


def slipped(path: str, key: str, near: str = "") -> dict[str, Any]:
    """Copy the metadata with a key more, instead of another."""
    copy: dict[str, Any] = json.loads(json.dumps(META))
    copy["bpf_skel"]["data_sections"] = [
        {"name": ".rodata", "variables": [{"name": "x", "type": "int", "cmdarg": {}}]}
    ]
    copy["export_types"] = [{"name": "event", "members": [{"name": "pid", "type": "int"}]}]
    place: Any = copy
    for part in path.split(".") if path else ():
        place = place[int(part) if part.isdecimal() else part]
    place.pop(near, None)
    place[key] = 1
    return copy


SLIPS = [
    ("", "exports_types", "export_types"),
    ("", "poll-timeout-ms", "poll_timeout_ms"),
    ("bpf_skel", "Progss", "progs"),
    ("bpf_skel.progs.0", "atach", "attach"),
    ("bpf_skel.progs.0", "descripton", "description"),
    ("bpf_skel.maps.0", "interpreter", "intepreter"),
    ("bpf_skel.maps.0", "max_entrys", "max_entries"),
    ("bpf_skel.maps.0", "samples", "sample"),
    ("bpf_skel.data_sections.0.variables.0", "values", "value"),
    ("bpf_skel.data_sections.0.variables.0.cmdarg", "defalut", "default"),
    ("export_types.0.members.0", "descriptoin", "description"),
    ("export_types.0", "typeid", "type_id"),
]


@pytest.mark.parametrize(("path", "key", "near"), SLIPS)
def test_a_key_that_is_nearly_known_is_asked_about(path: str, key: str, near: str) -> None:
    (line,) = misspelt(slipped(path, key, near), "meta")
    assert f"unknown key {key!r}: did you mean {near!r}?" in line
    assert path.replace(".0", "[0]") in line


@pytest.mark.parametrize("key", ["flag", "x", "note", "size", "align", "offset", "since"])
def test_other_unknown_keys_are_nobody_s_business(key: str) -> None:
    for path in ("", "bpf_skel", "bpf_skel.progs.0", "bpf_skel.data_sections.0.variables.0"):
        assert misspelt(slipped(path, key), "meta") == []


def test_a_known_key_beside_it_is_what_was_meant() -> None:
    assert misspelt({"bpf_skel": {"progs": [{"name": "a", "names": "b"}]}}, "meta") == []


@examples(100)
@given(JSON, st.sampled_from(["", "meta", *META_RULES]))
def test_anything_may_be_asked(value: Any, part: str) -> None:
    assert isinstance(misspelt(value, part), list)


def test_slips_are_said_when_a_file_is_read(ebpm: Ebpm, tmp_path: Path) -> None:
    path = tmp_path / "package.json"
    path.write_text(json.dumps(composed(slipped("bpf_skel.progs.0", "atach", "attach"))))
    done = ebpm.run("inspect", path)
    assert "warning: " in done.stderr
    assert "bpf_skel.progs[0] has an unknown key 'atach': did you mean 'attach'?" in done.stderr


# --- the documents -------------------------------------------------------------------------------


def test_every_key_of_the_schema_is_explained() -> None:
    text = "".join((ROOT / "docs" / "spec" / name).read_text() for name in DOCUMENTS)
    for part in META_RULES.values():
        for key in part["properties"]:
            assert f"`{key}`" in text or f"@{key} " in text, key


DOCUMENTS = ("package.md", "formats.md", "hooks.md", "annotations.md", "output.md")


def test_reading_does_not_import_jsonschema() -> None:
    code = (
        "import sys, ebpm.package.files as f, ebpm.package.schema as s;"
        "s.misspelt({'bpf_skel': {'progss': 1}}, 'meta'); print('jsonschema' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_part_is_checked_alone() -> None:
    check_written(write_meta(wrong()), "meta")
    with pytest.raises(InvalidPackage, match="'bpf_skel' is a required property"):
        check_written({}, "meta")
