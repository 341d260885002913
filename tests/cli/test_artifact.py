"""The verbs on artifacts of any kind, as processes, with docker-registry where one is needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import jsonschema
import pytest

from ebpm.api import Workspace
from ebpm.oci.copy import copy
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.store import MemoryStore
from tests.artifacts import artifact, two_platforms
from tests.conftest import ROOT, Ebpm
from tests.oci.test_referrers import refer, tag_signature

SCHEMA = json.loads((ROOT / "docs/spec/commands.schema.json").read_text())
NOTE = "application/vnd.example.note"


def kept(name: str = "x:1") -> tuple[MemoryStore, Descriptor]:
    """Put an artifact into the store, with a note of a note and a signature."""
    source, root = two_platforms(b"shared")
    note = refer(source, root, b"note")
    refer(source, note, b"of the note")
    tag_signature(source, root, b"signature")
    copy(source, root, Workspace().store(), name, referrers=True)
    return source, root


def document(ebpm: Ebpm, *words: str | Path) -> dict[str, object]:
    """Run a command with --json; what it prints fits the schema."""
    found: dict[str, object] = json.loads(ebpm.run(*words, "--json").stdout)
    jsonschema.validate(found, SCHEMA)
    return found


def everything(ebpm: Ebpm, place: str) -> list[str]:
    """List what refers to an artifact, as lines without indentation."""
    return [line.strip(" │└├─") for line in ebpm.run("discover", place).stdout.splitlines()[1:]]


# --- copy ----------------------------------------------------------------------------------------


@pytest.mark.needs("docker-registry")
def test_an_artifact_goes_round_through_all_places(
    ebpm: Ebpm, docker_registry: str, work: Path
) -> None:
    _, root = kept()
    places = [
        "x:1",
        "oci:folder:a",
        f"{docker_registry}/t/x:1",
        f"{docker_registry}/t/y:2",
        "oci-archive:bundle.tar:b",
        "oci:second.tar",
        f"{docker_registry}/t/z:3",
        "end:1",
    ]
    first = everything(ebpm, places[0])
    assert len(first) == 3
    for source, target in pairwise(places):
        done = ebpm.run("copy", source, target).stdout
        assert done == f"copied {source} to {target}: {root.digest}\n"
        assert everything(ebpm, target) == first


def test_what_refers_to_it_may_be_left_behind(ebpm: Ebpm, work: Path) -> None:
    kept()
    ebpm.run("copy", "--no-referrers", "x:1", "oci:folder:1")
    assert everything(ebpm, "oci:folder:1") == []


def test_what_is_nowhere_is_not_copied(ebpm: Ebpm, work: Path) -> None:
    kept()
    assert "error[target-not-found]" in ebpm.run("copy", "y:1", "z:1", check=3).stderr
    assert "error[target-not-found]" in ebpm.run("copy", "oci:none", "z:1", check=3).stderr
    Path("file").write_text("no artifact")
    assert "error[invalid-reference]" in ebpm.run("copy", "./file", "z:1", check=2).stderr
    pinned = f"z@sha256:{'0' * 64}"
    assert "can be nothing but that" in ebpm.run("copy", "x:1", pinned, check=2).stderr


# --- attach and discover -------------------------------------------------------------------------


@pytest.mark.needs("docker-registry")
@pytest.mark.parametrize("place", ["{host}/t/x:1", "x:1", "oci:folder:1"])
def test_a_file_is_attached_where_the_artifact_lies(
    ebpm: Ebpm, docker_registry: str, work: Path, place: str
) -> None:
    place = place.format(host=docker_registry)
    source, root = artifact(b"layer")
    copy(source, root, Workspace().store(), "start:1")
    ebpm.run("copy", "start:1", place)
    Path("sbom.json").write_text('{"spdx": 1}')
    words = ("attach", place, "--type", "application/spdx+json", "-a", "made=up")
    found = document(ebpm, *words, "sbom.json:application/spdx+json")
    assert found["subject"] == str(root.digest)
    assert document(ebpm, *words, "sbom.json:application/spdx+json") == found
    assert everything(ebpm, place) == [f"application/spdx+json  {found['digest']}"]
    (one,) = document(ebpm, "discover", place)["referrers"]  # type: ignore[misc]
    assert one["annotations"] == {"made": "up"}
    ebpm.run("copy", place, "back:1")
    attached = json.loads(ebpm.run("manifest", "get", f"back@{found['digest']}").stdout)
    (layer,) = attached["layers"]
    assert layer["mediaType"] == "application/spdx+json"
    assert layer["annotations"] == {"org.opencontainers.image.title": "sbom.json"}
    assert attached["config"]["mediaType"] == "application/vnd.oci.empty.v1+json"
    assert "org.opencontainers.image.created" not in attached.get("annotations", {})


def test_something_may_be_attached_to_one_platform(ebpm: Ebpm, work: Path) -> None:
    kept()
    arm = ebpm.run("resolve", "--platform", "arm64", "x:1").stdout.strip()
    done = document(ebpm, "attach", "--platform", "linux/arm64", "--type", NOTE, "x:1")
    assert done["subject"] == arm
    assert len(everything(ebpm, f"x@{arm}")) == 1
    ebpm.run("resolve", "--platform", "s390x", "x:1", check=3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["x:1", "--type", "note"], "not a media type"),
        (["x:1", "--type", "a b/c"], "not a media type"),
        (["x:1", "--type", NOTE, "-a", "alone"], "no KEY=VALUE"),
        (["x:1", "--type", NOTE, "f", "g/f"], "two files of one name"),
        (["x:1", "f"], "Missing option '--type'"),
    ],
)
def test_what_cannot_be_attached_is_a_usage_error(
    ebpm: Ebpm, work: Path, words: list[str], message: str
) -> None:
    kept()
    Path("g").mkdir()
    for name in ("f", "g/f"):
        Path(name).write_text("content")
    assert message in ebpm.run("attach", *words, check=2).stderr


def test_a_file_that_is_not_there_is_named(ebpm: Ebpm, work: Path) -> None:
    kept()
    done = ebpm.run("attach", "x:1", "none.json", "--type", NOTE, check=3)
    assert "error[target-not-found]: cannot read none.json" in done.stderr


def test_the_tree_shows_what_refers_to_what(ebpm: Ebpm) -> None:
    _, root = kept()
    lines = ebpm.run("discover", "x:1").stdout.splitlines()
    assert lines[0] == f"x:1@{root.digest}"
    assert lines[1].startswith("├── application/vnd.example.note  sha256:")
    assert lines[2].startswith("│   └── application/vnd.example.note  sha256:")
    assert lines[3].startswith(f"└── sha256-{root.digest.hex}.sig  sha256:")
    assert ebpm.run("discover", "--type", "a/b", "x:1").stdout.splitlines() == lines[:1]
    assert len(ebpm.run("discover", "--type", NOTE, "x:1").stdout.splitlines()) == 3


# --- single parts --------------------------------------------------------------------------------


@pytest.mark.needs("docker-registry")
def test_single_parts_are_read_byte_for_byte(ebpm: Ebpm, docker_registry: str, work: Path) -> None:
    source, root = kept()
    place = f"{docker_registry}/t/x"
    ebpm.run("copy", "x:1", f"{place}:1")
    raw = source.blobs[str(root.digest)]
    assert ebpm.run("manifest", "get", f"{place}:1").stdout.encode() == raw
    ebpm.run("manifest", "get", "-o", "out", f"{place}@{root.digest}")
    assert Path("out").read_bytes() == raw
    amd = json.loads(ebpm.run("manifest", "get", "--platform", "amd64", "x:1").stdout)
    digest = amd["layers"][0]["digest"]
    assert ebpm.run("blob", "get", f"{place}@{digest}").stdout == "shared"
    ebpm.run("blob", "get", "-o", "blob", f"{place}@{digest}")
    assert Path("blob").read_text() == "shared"
    for name in (f"{place}@sha256:{'0' * 64}", f"{place}:1", "x:1"):
        ebpm.run("blob", "get", name, check=3 if "@" in name else 2)
    assert sorted(one.name for one in work.iterdir() if one.is_file()) == ["blob", "out"]


@pytest.mark.needs("docker-registry")
def test_a_damaged_blob_leaves_no_file(
    ebpm: Ebpm, docker_registry: str, work: Path, tmp_path: Path
) -> None:
    kept()
    place = f"{docker_registry}/t/x"
    ebpm.run("copy", "x:1", f"{place}:1")
    digest = Descriptor.of(b"shared", "a/b").digest
    (stored,) = (tmp_path / "docker-registry").rglob(f"{digest.hex}/data")
    stored.write_bytes(b"SHARED")
    done = ebpm.run("blob", "get", "-o", "blob", f"{place}@{digest}", check=6)
    assert "error[digest-mismatch]" in done.stderr
    assert not Path("blob").exists()
    assert ebpm.run("blob", "get", f"{place}@{digest}", check=6).stdout == ""


@pytest.mark.needs("docker-registry")
def test_tags_are_listed(ebpm: Ebpm, docker_registry: str) -> None:
    kept()
    place = f"{docker_registry}/t/x"
    for tag in ("1", "2"):
        ebpm.run("copy", "x:1", f"{place}:{tag}")
    names = ebpm.run("tags", place).stdout.split()
    assert {"1", "2"} < set(names)
    assert any(name.endswith(".sig") for name in names)
    assert sorted(ebpm.run("tags", "--exclude-digest-tags", place).stdout.split()) == ["1", "2"]
    assert sorted(document(ebpm, "tags", place)["tags"]) == sorted(names)  # type: ignore[call-overload]
    assert "error[manifest-not-found]" in ebpm.run("tags", f"{place}-none", check=3).stderr
    assert f"write {place}" in ebpm.run("tags", f"{place}:1", check=2).stderr


def test_a_template_is_filled_in(ebpm: Ebpm) -> None:
    _, root = kept()
    form = '{{.digest}}{{range .referrers}}{{"\\n"}}{{.artifactType}}{{end}}'
    assert ebpm.run("discover", "--format", form, "x:1").stdout.splitlines() == [
        str(root.digest), "application/vnd.example.note",
    ]  # fmt: skip
    assert json.loads(ebpm.run("resolve", "--format", "json", "x:1").stdout)["kind"] == "resolve"
    assert (
        "no field .digset" in ebpm.run("resolve", "--format", "{{.digset}}", "x:1", check=2).stderr
    )


def test_the_documents_fit_their_schema(ebpm: Ebpm, work: Path) -> None:
    kept()
    for words in (
        ("copy", "x:1", "oci:folder"),
        ("resolve", "x:1"),
        ("discover", "x:1"),
        ("attach", "x:1", "--type", NOTE),
    ):
        document(ebpm, *words)


def test_names_of_the_store_are_completed(ebpm: Ebpm) -> None:
    kept("sigsnoop:1")
    for command in ("copy", "discover", "resolve"):
        done = subprocess.run(
            [sys.executable, "-m", "ebpm"],
            env={
                **os.environ,
                "_EBPM_COMPLETE": "bash_complete",
                "COMP_WORDS": f"ebpm {command} sig",
                "COMP_CWORD": "2",
            },
            capture_output=True,
            text=True,
        )
        assert "plain,sigsnoop:1" in done.stdout


# --- doctor registry -----------------------------------------------------------------------------


@pytest.mark.needs("docker-registry")
def test_what_a_registry_can_do_is_tried(ebpm: Ebpm, docker_registry: str) -> None:
    found = document(ebpm, "doctor", "registry", "--write", f"{docker_registry}/t/x")
    states = {one["part"]: one["state"] for one in found["parts"]}  # type: ignore[attr-defined]
    assert states == {
        "api": "yes",
        "asks for a login": "no",
        "tells its limits": "no",
        "our login": "no",
        "list tags": "unknown",
        "referrers": "no",
        "upload": "yes",
        "read a range": "yes",
        "upload in chunks": "yes",
        "mount": "yes",
        "any artifact": "yes",
        "sees subjects": "no",
        "delete tags": "no",
        "delete manifests": "no",
        "delete blobs": "no",
    }
    lines = ebpm.run("doctor", "registry", docker_registry).stdout.splitlines()
    assert len(lines) == 4


def test_what_is_no_registry_is_said_to_be_none(ebpm: Ebpm) -> None:
    assert "is no registry" in ebpm.run("doctor", "registry", "nohost", check=2).stderr
    assert "--write needs" in ebpm.run("doctor", "registry", "--write", "a.b", check=2).stderr
    ebpm.run("doctor", "registry", "127.0.0.1:9", check=5)
