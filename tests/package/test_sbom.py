"""Bills of materials: what the SPDX specification asks for is there, and points to itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ebpm.package.files import read_package
from ebpm.package.sbom import write_spdx
from tests.conftest import ROOT, Ebpm


@pytest.mark.needs("compiler")
def test_object_sources_and_compiler_are_named(tools: Callable[[str], Path]) -> None:
    package = read_package(tools("sigsnoop") / "package.json")
    found = json.loads(write_spdx(package, tool="ebpm-1", created=0))
    assert found["spdxVersion"] == "SPDX-2.3"
    assert found["creationInfo"] == {
        "created": "1970-01-01T00:00:00Z",
        "creators": ["Tool: ebpm-1"],
    }
    (checksum,) = found["packages"][0]["checksums"]
    assert f"sha256:{checksum['checksumValue']}" == str(package.objects[0].digest)
    assert {one["fileName"] for one in found["files"]} >= {"./sigsnoop.bpf.c", "./sigsnoop.h"}
    known = {one["SPDXID"] for one in (*found["packages"], *found["files"])} | {"SPDXRef-DOCUMENT"}
    for one in found["relationships"]:
        assert {one["spdxElementId"], one["relatedSpdxElement"]} <= known
    kinds = [one["relationshipType"] for one in found["relationships"]]
    assert kinds[:2] == ["DESCRIBES", "BUILD_TOOL_OF"]
    assert len(known) == len(found["packages"]) + len(found["files"]) + 1


@pytest.mark.needs("compiler")
def test_inspect_prints_it(ebpm: Ebpm) -> None:
    done = ebpm.run("inspect", "--format", "spdx", ROOT / "index" / "tools" / "sigsnoop")
    assert json.loads(done.stdout)["name"] == "sigsnoop"
