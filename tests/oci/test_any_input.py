"""Whatever is given to a parser: a value or an EbpmError, and never anything else."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ebpm.errors import EbpmError
from ebpm.oci.descriptor import INDEX, MANIFEST, MANIFESTS, Descriptor
from ebpm.oci.digest import Digest
from ebpm.oci.manifest import media_type_of, parse_manifest, write_json
from ebpm.oci.platform import Platform
from ebpm.oci.reference import Reference
from ebpm.target import parse_target

TEXT = st.text(st.characters(), max_size=40)
DIGESTS = st.sampled_from(["sha256:" + "0" * 64, "sha512:" + "f" * 128, "sha256:" + "0" * 63])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)
DESCRIPTORS = st.fixed_dictionaries(
    {},
    optional={
        "mediaType": st.sampled_from(MANIFESTS) | TEXT | JSON,
        "digest": DIGESTS | TEXT | JSON,
        "size": st.integers() | JSON,
        "annotations": st.dictionaries(TEXT, TEXT, max_size=3) | JSON,
        "platform": st.fixed_dictionaries({"os": TEXT, "architecture": TEXT}) | JSON,
        "artifactType": TEXT | JSON,
        "data": JSON,
    },
)
MANIFEST_LIKE = st.fixed_dictionaries(
    {"schemaVersion": st.just(2) | JSON},
    optional={
        "mediaType": st.sampled_from(MANIFESTS) | JSON,
        "config": DESCRIPTORS | JSON,
        "layers": st.lists(DESCRIPTORS, max_size=3) | JSON,
        "manifests": st.lists(DESCRIPTORS, max_size=3) | JSON,
        "annotations": JSON,
        "subject": DESCRIPTORS | JSON,
        "artifactType": JSON,
    },
)


def value_or_error(function: Any, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except EbpmError:
        return None


@settings(max_examples=200)
@given(TEXT)
def test_any_text_as_a_name(text: str) -> None:
    value_or_error(Digest.parse, text)
    value_or_error(Platform.parse, text)
    assert parse_target(text).full_name
    if found := value_or_error(Reference.parse, text):
        assert Reference.parse(str(found)) == found


@settings(max_examples=150)
@given(st.from_regex(r"[a-zA-Z.:\[\]/@_-]{1,12}/[a-z:@./-]{1,12}(@sha256:[0-9a-f]{64})?"))
def test_any_text_that_is_nearly_a_reference(text: str) -> None:
    if found := value_or_error(Reference.parse, text):
        assert Reference.parse(str(found)) == found


@settings(max_examples=150)
@given(st.binary(max_size=200), st.sampled_from(MANIFESTS))
def test_any_bytes_as_a_manifest(raw: bytes, media_type: str) -> None:
    value_or_error(parse_manifest, raw, media_type)
    value_or_error(media_type_of, raw)


@settings(max_examples=200)
@given(MANIFEST_LIKE | JSON, st.sampled_from([MANIFEST, INDEX]))
def test_any_json_as_a_manifest(data: object, media_type: str) -> None:
    raw = json.dumps(data).encode()
    if found := value_or_error(parse_manifest, raw, media_type):
        for child in found.children:
            assert Descriptor.from_json(json.loads(write_json(child.to_json()))) == child


@settings(max_examples=150)
@given(DESCRIPTORS | JSON)
def test_any_json_as_a_descriptor(data: object) -> None:
    if found := value_or_error(Descriptor.from_json, data):
        assert Descriptor.from_json(found.to_json()) == found
        assert found.named("x").named(None).ref_name is None
