"""Every form of a package: what is read, what is written, and what runs of it.

``test_format`` is the table that docs/compatibility.md shows.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ebpm.api import fetch, host_platform
from ebpm.cache.layout import Layout
from ebpm.oci.copy import copy
from ebpm.package.artifact import pack
from ebpm.package.files import (
    FORMS,
    form_of,
    parse_package,
    read_package,
    write_composed,
    write_files,
)
from ebpm.package.model import KernelBtf, Package
from ebpm.package.text import write_yaml
from ebpm.runtime.planner import make_plan
from ebpm.runtime.session import Session
from tests import generations
from tests.conftest import ROOT

pytestmark = pytest.mark.needs("compiler")
ARTIFACT = "artifact"
BTF = KernelBtf(path="debian/10/x86_64/4.19.0-21-amd64", data=b"types")


def named(form: str) -> str:
    """Name a file of a form."""
    return {"o": "generations.bpf.o", "json": "package.json", "yaml": "package.yaml"}.get(
        form, f"generations.{form}"
    )


def put(folder: Path, generation: str) -> Path:
    """Write a package of a generation, or in a form of today's."""
    if generation == ARTIFACT:
        store, root = pack(parse(generations.current()), default=host_platform())
        copy(store, root, Layout.create(str(folder)), "1.0")
        return folder
    if generation in FORMS:
        package = parse(generations.current())
        files = write_files(package, package.objects[0], generation, named(generation))
    else:
        content = generations.GENERATIONS[generation]()
        files = {"package.json": json.dumps(content).encode()}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder / next(iter(files))


def parse(content: dict[str, Any]) -> Package:
    return parse_package(json.dumps(content).encode(), "package.json")


def events(package: Package) -> list[dict[str, Any]]:
    """Run a package, and send signals that are none."""
    one = package.objects[0]
    found: list[dict[str, Any]] = []
    with Session(make_plan(package, one), one.data, {"pid_target": os.getpid()}) as session:
        for _ in range(2):
            os.kill(os.getpid(), 0)
        end = time.monotonic() + 10
        while len(found) < 2 and time.monotonic() < end:
            for batch in session.batches(0.1):
                found += [event.fields for event in batch.events()]
    return found


TABLE = {
    **dict.fromkeys(generations.GENERATIONS, ("read", "run")),
    **dict.fromkeys(("current", *FORMS, ARTIFACT), ("read", "write", "run")),
}
CELLS = [
    pytest.param(
        form, verb, id=f"{form}-{verb}", marks=[pytest.mark.needs("bpf")] * (verb == "run")
    )
    for form, verbs in TABLE.items()
    for verb in verbs
]


@pytest.mark.parametrize(("form", "verb"), CELLS)
def test_format(form: str, verb: str, tmp_path: Path) -> None:
    path = put(tmp_path, form)
    package = fetch(f"oci:{path}:1.0") if form == ARTIFACT else read_package(path)
    if verb == "read":
        assert package.object_name == "generations_bpf"
        assert [(one.name, one.attach) for one in package.programs] == [
            ("on_kill", "tracepoint/syscalls/sys_enter_kill")
        ]
        known = {(section, one.name): one.type for section, one in package.variables}
        assert known[".rodata", "pid_target"] == "int"
        assert known[".bss", "seen"] == "unsigned long long"
        idents = {one.name: one.ident for one in package.maps}
        assert (idents["counts"], idents["events"]) == ("counts", "events")
        assert idents["generati.rodata"] == "rodata"
        assert [one.name for one in package.exports[0].members] == generations.COLUMNS
        assert (package.exports[0].name, package.exports[0].size) == ("event", generations.SIZE)
    elif verb == "write":
        one, whole = package.objects[0], parse(generations.current())
        if form == "current":  # key by key what the other compiler wrote, but for ours
            written = json.loads(write_composed(package, one, "json"))
            written["meta"] = {
                key: value for key, value in written["meta"].items() if key[:5] != "ebpm_"
            }
            assert written == generations.current()
        elif form == ARTIFACT:
            whole = replace(whole, objects=package.objects)  # they have a platform then
            _, root = pack(package, default=host_platform())
            assert root.digest == pack(whole, default=host_platform())[1].digest
        else:
            for name, data in write_files(package, one, form, named(form)).items():
                assert (tmp_path / name).read_bytes() == data
        assert form == "o" or package == whole
    else:
        for event in events(package):
            assert event["pid"] == os.getpid()
            assert (event["signal"], event["when"], event["odd"]) == (0, 1 << 40, True)
            assert event["comm"]
            assert event["pair"] == [7, 65535]
        assert len(events(package)) == 2


def test_the_table_in_the_documents_is_this_one() -> None:
    """Made by scripts/compatibility --record."""
    data = json.loads((ROOT / "docs" / "data" / "formats.json").read_text())
    assert data["results"] == {
        form: dict.fromkeys(verbs, "passed") for form, verbs in TABLE.items()
    }


# --- what is particular to the generations -------------------------------------------------------


def test_a_flat_package_keeps_what_nobody_knows() -> None:
    package = parse(generations.flat())
    assert (package.name, package.version, package.license) == ("generations", "0.1.0", "GPL")
    assert package.documentation.description == "signals as they are sent"
    assert package.documentation.extra == {"author": "somebody"}
    assert package.extra["unknown"] == {"kept": True}
    assert package.programs[0].extra == {"unknown": 1}


@pytest.mark.parametrize("key", ["maps", "progs", "data_sections", "name", "license", "version"])
def test_a_flat_package_may_lack_anything_but_the_object(key: str) -> None:
    content = generations.flat()
    content[key] = None
    package = parse(content)
    assert [one.attach for one in package.programs] == ["tracepoint/syscalls/sys_enter_kill"]
    assert package.license == "GPL"
    assert {one.name for one in package.maps} >= {"counts", "events"}


def test_a_size_that_cannot_be_bits_is_bytes() -> None:
    content = generations.flat()
    content["maps"][1]["ring_buffer_export"]["Size"] = generations.SIZE
    assert parse(content).exports == parse(generations.flat()).exports


def test_a_flat_package_may_have_its_struct_under_either_name() -> None:
    content = generations.flat()
    events = content["maps"][1]
    described = events.pop("ring_buffer_export")
    described["DataSize"] = described.pop("Data Size")
    described["struct_name"] = described.pop("Struct Name")
    for field in described["Fields"]:
        field["Field Offset"] = field.pop("FieldOffset")
    del described["Size"]
    events["export_data_types"] = [described]
    assert [one.name for one in parse(content).exports[0].members] == generations.COLUMNS


def two_structs(content: dict[str, Any]) -> dict[str, Any]:
    """Let another map of a flat package carry another struct."""
    other = {
        "Struct Name": "struct other",
        "Size": 64,
        "Fields": [{"Name": "count", "Type": "int", "LLVMType": "i32", "FieldOffset": 0}],
    }
    content["maps"][0]["export_data_types"] = [other]
    return content


@pytest.mark.needs("bpf")
def test_each_map_of_a_flat_package_may_carry_a_struct_of_its_own() -> None:
    package = parse(two_structs(generations.flat()))
    assert [one.name for one in package.exports] == ["other", "event"]
    assert {one.name: one.export for one in package.maps if one.export} == {
        "counts": {"export_type": "other"},
        "events": {"export_type": "event"},
    }
    assert [event["pair"] for event in events(package)] == [[7, 65535]] * 2


def test_structs_that_the_object_has_are_named_by_their_ids() -> None:
    content = two_structs(generations.flat())
    content["data"] = generations.current()["bpf_object"]
    package = parse(content)
    type_id = package.exports[1].type_id
    assert type_id
    assert package.maps[1].export == {"btf_type_id": type_id}
    assert package.maps[0].export == {"export_type": "other"}


def test_the_object_s_own_struct_counts_where_it_has_one() -> None:
    """Then the loaders of eunomia-bpf can run what is written."""
    old, new = generations.november(), generations.current()
    old["bpf_object"] = new["bpf_object"]
    (export,) = parse(old).exports
    assert export.type_id == parse(new).exports[0].type_id
    assert not export.extra


def test_a_struct_of_the_same_name_and_another_size_is_another_one() -> None:
    content = generations.flat()
    content["data"] = generations.current()["bpf_object"]
    content["maps"][1]["ring_buffer_export"]["Size"] = 999 * 8
    (export,) = parse(content).exports
    assert (export.size, export.type_id) == (999, None)


def test_drafts_had_the_metadata_beside_the_object() -> None:
    content = generations.november()
    draft = {"bpf_object": content["bpf_object"], **content["meta"]}
    assert parse(draft) == parse(content)


def test_a_skeleton_of_november_2022_is_read_beside_its_object(tmp_path: Path) -> None:
    (tmp_path / "generations.skel.json").write_text(json.dumps(generations.november()["meta"]))
    (tmp_path / "generations.bpf.o").write_bytes(generations.tool())
    assert read_package(tmp_path / "generations.skel.json") == parse(generations.november())


@pytest.mark.parametrize("generation", generations.GENERATIONS)
def test_every_generation_may_be_written_as_yaml(generation: str) -> None:
    content = generations.GENERATIONS[generation]()
    assert parse_package(write_yaml(content), "package.yaml") == parse(content)


@pytest.mark.parametrize("generation", generations.GENERATIONS)
@pytest.mark.parametrize("form", ["json", "yaml", "skel.json", "skel.yaml", "tar", "tar.gz"])
def test_every_generation_is_the_same_package_in_every_form(
    generation: str, form: str, tmp_path: Path
) -> None:
    package = replace(parse(generations.GENERATIONS[generation]()), btfs=(BTF,))
    name = f"generations.{form}"
    for file, data in write_files(package, package.objects[0], form, name).items():
        (tmp_path / file).write_bytes(data)
    assert read_package(tmp_path / name) == package


def test_padding_is_no_variable() -> None:
    """Its key is there twice, of which the second wins; at a section's end it stands alone."""
    package = parse(generations.current())
    assert package.sections[0].variables[-1].extra == {"size": 3}
    content = generations.current()
    section = content["meta"]["bpf_skel"]["data_sections"][0]
    section["variables"] += [{"name": "__padding", "size": 3}]
    assert parse(content) == package
    text = '{"name":"__padding","size":3,"name":"quiet","type":"bool"}'
    assert json.loads(text) == {"name": "quiet", "size": 3, "type": "bool"}


@pytest.mark.parametrize("spelling", ["enum", "enum event_type", "composite", "", None])
@pytest.mark.needs("bpf")
def test_a_member_s_type_may_be_spelt_in_any_way(spelling: str | None) -> None:
    content = generations.current()
    for member in content["meta"]["export_types"][0]["members"]:
        if member["name"] == "type":
            member["type"] = spelling
    assert [event["pair"] for event in events(parse(content))] == [[7, 65535]] * 2


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("package.json", "json"),
        ("a.b/package.yml", "yaml"),
        ("tool.skel.json", "skel.json"),
        ("tool.skel.yml", "skel.yaml"),
        ("tool.tgz", "tar.gz"),
        ("tool.tar.gz", "tar.gz"),
        ("tool.tar", "tar"),
        ("tool.bpf.o", "o"),
        ("tool", None),
        ("json", None),
    ],
)
def test_a_file_s_name_tells_its_form(name: str, form: str | None) -> None:
    assert form_of(name) == form
