from typing import Any

import pytest

from ebpm.errors import InvalidManifest
from ebpm.oci.descriptor import DOCKER_INDEX, INDEX, MANIFEST, Descriptor
from ebpm.oci.platform import Platform

DIGEST = "sha256:" + "0123456789abcdef" * 4
GOOD: dict[str, Any] = {"mediaType": "application/x", "digest": DIGEST, "size": 3}


def test_bytes_are_described() -> None:
    found = Descriptor.of(b"abc", "application/x", artifact_type="application/y")
    assert found.size == 3
    assert str(found.digest).startswith("sha256:ba7816bf")
    assert found.artifact_type == "application/y"


def test_nothing_that_others_wrote_is_lost() -> None:
    data = {
        **GOOD,
        "annotations": {"a": "1", "org.opencontainers.image.ref.name": "x:1"},
        "platform": {"os": "linux", "architecture": "arm", "variant": "v6"},
        "artifactType": "application/y",
        "urls": ["https://example.com/"],
        "data": "YWJj",
        "later": {"addition": True},
    }
    assert Descriptor.from_json(data).to_json() == data


def test_what_is_not_said_is_not_written() -> None:
    assert Descriptor.from_json(GOOD).to_json() == GOOD


@pytest.mark.parametrize(
    "change",
    [
        {"mediaType": None},
        {"mediaType": 1},
        {"digest": None},
        {"digest": "sha256:../../../../etc/passwd"},
        {"digest": "blake3:" + "0" * 64},
        {"size": None},
        {"size": -1},
        {"size": True},
        {"size": "3"},
        {"size": 3.0},
        {"size": 1 << 63},
        {"annotations": []},
        {"annotations": {"a": 1}},
        {"platform": "linux/amd64"},
        {"platform": {}},
    ],
)
def test_a_malformed_field_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidManifest):
        Descriptor.from_json({**GOOD, **change})


@pytest.mark.parametrize("key", ["mediaType", "digest", "size"])
def test_the_three_fields_must_be_there(key: str) -> None:
    with pytest.raises(InvalidManifest):
        Descriptor.from_json({name: value for name, value in GOOD.items() if name != key})


@pytest.mark.parametrize("data", [None, [], "x", 1])
def test_a_descriptor_is_an_object(data: object) -> None:
    with pytest.raises(InvalidManifest, match="not an object"):
        Descriptor.from_json(data)


def test_null_annotations_are_none() -> None:
    assert not Descriptor.from_json({**GOOD, "annotations": None}).annotations


def test_a_name_in_an_index_is_an_annotation_that_comes_and_goes() -> None:
    plain = Descriptor.from_json({**GOOD, "annotations": {"a": "1"}})
    named = plain.named("x:1")
    assert (plain.ref_name, named.ref_name) == (None, "x:1")
    assert named.annotations["a"] == "1"
    assert named.named(None) == plain


@pytest.mark.parametrize(
    ("media_type", "manifest"),
    [(MANIFEST, True), (INDEX, True), (DOCKER_INDEX, True), ("application/octet-stream", False)],
)
def test_manifests_are_told_from_blobs(media_type: str, manifest: bool) -> None:
    assert Descriptor.of(b"", media_type).is_manifest is manifest


def test_a_platform_is_read() -> None:
    data = {**GOOD, "platform": {"os": "linux", "architecture": "arm64"}}
    assert Descriptor.from_json(data).platform == Platform("linux", "arm64")
