"""A package is the same after each of its forms: nothing is lost, known or unknown."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given

from ebpm.oci.platform import Platform
from ebpm.package.artifact import pack, platforms, unpack
from ebpm.package.files import (
    parse_package,
    read_package,
    write_bundle,
    write_composed,
    write_skeleton,
)
from ebpm.package.model import Package
from tests.strategies import PACKAGES, examples

HERE = Platform("linux", "amd64")


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_any_package_survives_package_json_and_yaml(form: str) -> None:
    @examples(80)
    @given(PACKAGES)
    def check(package: Package) -> None:
        one = replace(package, objects=package.objects[:1])
        data = write_composed(one, one.objects[0], form)
        again = parse_package(data, "here")
        assert again == one
        assert write_composed(again, again.objects[0], form) == data

    check()


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_any_package_survives_a_skeleton_beside_its_object(form: str) -> None:
    @examples(60)
    @given(PACKAGES)
    def check(package: Package) -> None:
        one = replace(package, objects=package.objects[:1])
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / f"tool.skel.{form}"
            path.write_bytes(write_skeleton(one, one.objects[0], form))
            (path.parent / "tool.bpf.o").write_bytes(one.objects[0].data)
            assert read_package(path) == one

    check()


@pytest.mark.parametrize("compressed", [False, True])
def test_any_package_survives_the_tar(compressed: bool) -> None:
    @examples(60)
    @given(PACKAGES)
    def check(package: Package) -> None:
        one = replace(package, objects=package.objects[:1])
        data = write_bundle(one, one.objects[0], compressed=compressed)
        again = parse_package(data, "here")
        assert again == one
        assert write_bundle(again, again.objects[0], compressed=compressed) == data

    check()


@examples(80)
@given(PACKAGES)
def test_any_package_survives_the_artifact(package: Package) -> None:
    store, root = pack(package, default=HERE)
    offered = platforms(store, root)
    again = unpack(store, root, offered)
    assert {(one.platform, one.data) for one in again.objects} == {
        (one.platform, one.data) for one in package.objects
    }
    assert replace(again, objects=()) == replace(package, objects=())
    second, root_again = pack(package, default=HERE)
    assert root_again == root
    assert second.blobs == store.blobs


@examples(60)
@given(PACKAGES)
def test_what_stood_beside_the_metadata_comes_back_through_the_artifact(package: Package) -> None:
    one = replace(package, objects=package.objects[:1])
    import json

    fields = json.loads(write_composed(one, one.objects[0], "json"))
    read = parse_package(json.dumps({**fields, "unknown": {"a": 1}}).encode(), "here")
    store, root = pack(read, default=HERE)
    again = unpack(store, root, platforms(store, root)[:1])
    assert json.loads(write_composed(again, again.objects[0], "json"))["unknown"] == {"a": 1}
