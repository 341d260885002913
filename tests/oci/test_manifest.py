import json
from typing import Any

import pytest

from ebpm.errors import InvalidManifest
from ebpm.oci.descriptor import DOCKER_INDEX, DOCKER_MANIFEST, INDEX, MANIFEST, Descriptor
from ebpm.oci.manifest import (
    LARGEST,
    Index,
    Manifest,
    media_type_of,
    parse_manifest,
    write_index,
    write_json,
    write_manifest,
)
from ebpm.oci.platform import Platform

CONFIG = Descriptor.of(b"{}", "application/vnd.example.config+json")
LAYER = Descriptor.of(b"layer", "application/vnd.example.layer")
SUBJECT = Descriptor.of(b"subject", MANIFEST)


def document(**changes: Any) -> bytes:
    fields: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": CONFIG.to_json(),
        "layers": [LAYER.to_json()],
    }
    fields |= changes
    return json.dumps({key: value for key, value in fields.items() if value is not ...}).encode()


def test_a_manifest_is_read_and_keeps_its_bytes() -> None:
    raw = b"  " + document(annotations={"a": "b"}, subject=SUBJECT.to_json()) + b"\n\n"
    found = parse_manifest(raw, MANIFEST)
    assert isinstance(found, Manifest)
    assert found.raw == raw
    assert found.children == (CONFIG, LAYER)
    assert found.annotations == {"a": "b"}
    assert found.subject == SUBJECT


def test_an_index_is_read_and_keeps_its_bytes() -> None:
    one = Descriptor.of(b"m", MANIFEST, platform=Platform("linux", "amd64"))
    raw = b" " + write_index([one], annotations={"a": "b"})
    found = parse_manifest(raw, INDEX)
    assert isinstance(found, Index)
    assert (found.raw, found.children, found.annotations) == (raw, (one,), {"a": "b"})


@pytest.mark.parametrize("media_type", [MANIFEST, DOCKER_MANIFEST])
def test_docker_s_manifests_are_manifests(media_type: str) -> None:
    assert isinstance(parse_manifest(document(mediaType=media_type), media_type), Manifest)


def test_docker_s_lists_are_indexes() -> None:
    raw = json.dumps({"schemaVersion": 2, "mediaType": DOCKER_INDEX, "manifests": []}).encode()
    assert isinstance(parse_manifest(raw, DOCKER_INDEX), Index)


def test_a_manifest_that_does_not_say_its_type_has_the_one_that_is_stated() -> None:
    assert parse_manifest(document(mediaType=...), MANIFEST).media_type == MANIFEST


@pytest.mark.parametrize("inside", [INDEX, DOCKER_MANIFEST, "text/plain", "", None, 7])
def test_a_type_inside_that_contradicts_the_one_outside_is_refused(inside: object) -> None:
    with pytest.raises(InvalidManifest, match="came as"):
        parse_manifest(document(mediaType=inside), MANIFEST)


def test_a_type_that_nobody_knows_is_refused() -> None:
    with pytest.raises(InvalidManifest, match="no type of manifest"):
        parse_manifest(document(mediaType="application/x"), "application/x")


def test_what_may_be_read_as_both_kinds_is_refused_as_either() -> None:
    both = document(mediaType=..., manifests=[SUBJECT.to_json()])
    for media_type in (MANIFEST, INDEX):
        with pytest.raises(InvalidManifest):
            parse_manifest(both, media_type)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"{",
        b"\xff",
        document()[:-1],
        document() + b"x",
        document().decode().encode("utf-16"),
        b"\xef\xbb\xbf" + document(),
        document(schemaVersion=1),
        document(schemaVersion="2"),
        document(config=...),
        document(config=None),
        document(layers={}),
        document(layers=[None]),
        document(layers=[{"mediaType": "x", "digest": "sha256:../..", "size": 1}]),
        document(annotations={"a": 1}),
        document(subject={}),
        document(extra=float("nan")),
        b"[" * 100_000,
    ],
    ids=lambda raw: repr(raw[:20]),
)
def test_anything_else_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidManifest):
        parse_manifest(raw, MANIFEST)


def test_a_manifest_has_at_most_four_megabytes() -> None:
    padding = LARGEST - len(document())
    assert parse_manifest(document() + b" " * padding, MANIFEST)
    with pytest.raises(InvalidManifest, match="larger"):
        parse_manifest(document() + b" " * (padding + 1), MANIFEST)


def test_no_layers_are_none() -> None:
    assert parse_manifest(document(layers=...), MANIFEST).children == (CONFIG,)
    assert parse_manifest(document(layers=None), MANIFEST).children == (CONFIG,)


def test_the_kind_is_the_artifact_type_else_the_configs_type() -> None:
    plain = parse_manifest(document(), MANIFEST)
    typed = parse_manifest(document(artifactType="application/vnd.a"), MANIFEST)
    assert isinstance(plain, Manifest)
    assert isinstance(typed, Manifest)
    assert (plain.kind, typed.kind) == (CONFIG.media_type, "application/vnd.a")


def test_what_is_written_can_be_read() -> None:
    raw = write_manifest(
        CONFIG, [LAYER], artifact_type="application/a", subject=SUBJECT, annotations={"k": "v"}
    )
    found = parse_manifest(raw, MANIFEST)
    assert isinstance(found, Manifest)
    assert (found.config, found.layers, found.subject) == (CONFIG, (LAYER,), SUBJECT)
    assert (found.artifact_type, found.annotations) == ("application/a", {"k": "v"})


def test_no_annotations_means_no_field() -> None:
    assert "annotations" not in json.loads(write_manifest(CONFIG, []))


def test_the_same_document_is_written_in_the_same_bytes() -> None:
    assert write_json({"b": "é", "a": [1]}) == '{"a":[1],"b":"é"}'.encode()


def test_a_lone_surrogate_of_somebody_else_stays_what_it_was() -> None:
    data = json.loads('{"a":"\\ud800"}')
    assert write_json(data) == b'{"a":"\\ud800"}'


@pytest.mark.parametrize(
    ("raw", "media_type"),
    [
        (document(), MANIFEST),
        (document(mediaType=...), MANIFEST),
        (document(mediaType=DOCKER_MANIFEST), DOCKER_MANIFEST),
        (b'{"schemaVersion":2,"manifests":[]}', INDEX),
    ],
)
def test_bytes_tell_their_type(raw: bytes, media_type: str) -> None:
    assert media_type_of(raw) == media_type


@pytest.mark.parametrize("raw", [b"", b"\x7fELF", b"{}", document(mediaType=5)])
def test_bytes_that_are_no_manifest_have_no_type(raw: bytes) -> None:
    with pytest.raises(InvalidManifest):
        media_type_of(raw)
