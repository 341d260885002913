"""Packages as OCI artifacts: the same bytes, the right machine, and no byte that goes unseen."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpm.errors import (
    BlobNotFound,
    EbpmError,
    IntegrityError,
    InvalidManifest,
    InvalidPackage,
    PlatformNotFound,
    SchemaTooNew,
)
from ebpm.oci.descriptor import INDEX, Descriptor
from ebpm.oci.digest import Digest
from ebpm.oci.manifest import Index, Manifest, parse_manifest, write_index, write_manifest
from ebpm.oci.platform import Platform
from ebpm.oci.store import MemoryStore, fetch_manifest
from ebpm.package.artifact import (
    ARTIFACT_TYPE,
    CONFIG_TYPE,
    OBJECT_TYPE,
    choose,
    pack,
    platforms,
    read_config,
    unpack,
)
from ebpm.package.model import Documentation, ObjectFile, Package
from tests.strategies import examples
from tests.synthetic import Sec, elf

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
RISCV64, S390X = Platform("linux", "riscv64"), Platform("linux", "s390x")
OBJECT = elf([Sec("license", b"GPL\0")])


def package(*objects: ObjectFile, **fields: Any) -> Package:
    return Package(name="tool", object_name="tool_bpf", objects=objects, **fields)


PORTABLE = package(ObjectFile(data=OBJECT, portable=True))
BOTH = package(
    ObjectFile(data=OBJECT, platform=ARM64),
    ObjectFile(data=elf([Sec("license", b"MIT\0")]), platform=AMD64),
)


def opened(store: MemoryStore, root: Descriptor) -> tuple[Index, list[Manifest]]:
    index = fetch_manifest(store, root)
    assert isinstance(index, Index)
    manifests = [fetch_manifest(store, one) for one in index.manifests]
    assert all(isinstance(one, Manifest) for one in manifests)
    return index, manifests  # type: ignore[return-value]


def test_the_contract_of_the_artifact() -> None:
    doc = Documentation(version="1.2", brief="Traces.", details="More.")
    one = package(
        ObjectFile(data=OBJECT, platform=AMD64), documentation=doc, license="Dual BSD/GPL"
    )
    store, root = pack(one, default=ARM64, created=86400)
    index, (manifest,) = opened(store, root)
    assert (root.media_type, root.artifact_type) == (INDEX, ARTIFACT_TYPE)
    assert index.artifact_type == manifest.artifact_type == ARTIFACT_TYPE
    assert index.manifests[0].platform == AMD64
    assert index.annotations == manifest.annotations
    assert manifest.annotations == {
        "org.opencontainers.image.title": "tool",
        "org.opencontainers.image.version": "1.2",
        "org.opencontainers.image.description": "Traces.",
        "org.opencontainers.image.licenses": "BSD-2-Clause OR GPL-2.0-only",
        "org.opencontainers.image.created": "1970-01-02T00:00:00Z",
    }
    assert manifest.config.media_type == CONFIG_TYPE
    (layer,) = manifest.layers
    assert (layer.media_type, layer.size) == (OBJECT_TYPE, len(OBJECT))
    assert layer.annotations == {"org.opencontainers.image.title": "tool.bpf.o"}
    assert store.blobs[str(layer.digest)] == OBJECT
    config = json.loads(store.blobs[str(manifest.config.digest)])
    assert config["object"] == {"digest": str(Digest.of(OBJECT)), "size": len(OBJECT)}
    assert (config["os"], config["architecture"]) == ("linux", "amd64")
    assert (config["name"], config["version"]) == ("tool", "1.2")
    assert config["schemaVersion"] == "1.0"
    assert "portable" not in config


def test_a_license_that_has_no_spdx_name_is_not_an_annotation() -> None:
    store, root = pack(replace(PORTABLE, license="Proprietary"), default=AMD64)
    index, _ = opened(store, root)
    assert set(index.annotations) == {
        "org.opencontainers.image.title",
        "org.opencontainers.image.created",
    }
    assert unpack(store, root, [AMD64]).license == "Proprietary"


def test_the_same_package_has_the_same_digest_whatever_the_order_of_its_objects() -> None:
    turned = replace(BOTH, objects=BOTH.objects[::-1])
    assert pack(BOTH, default=AMD64)[1] == pack(turned, default=RISCV64)[1]
    assert pack(BOTH, default=AMD64)[1] != pack(replace(BOTH, name="other"), default=AMD64)[1]


def test_a_portable_object_is_one_manifest_that_is_listed_for_both_machines() -> None:
    store, root = pack(PORTABLE, default=S390X)
    index, manifests = opened(store, root)
    assert [one.platform for one in index.manifests] == [AMD64, ARM64]
    assert index.manifests[0].digest == index.manifests[1].digest
    assert {one.annotations["dev.ebpm.portable"] for one in index.manifests} == {"true"}
    assert len(manifests[0].layers) == 1
    config = json.loads(store.blobs[str(manifests[0].config.digest)])
    assert config["portable"] is True
    assert "architecture" not in config
    assert platforms(store, root) == [AMD64, ARM64]
    assert unpack(store, root, [AMD64, ARM64]).objects == PORTABLE.objects


def test_each_machine_gets_its_own_object() -> None:
    store, root = pack(BOTH, default=S390X)
    assert platforms(store, root) == [AMD64, ARM64]
    for one in BOTH.objects:
        assert one.platform is not None
        assert unpack(store, root, [one.platform]).objects == (one,)


def test_a_machine_with_an_object_of_its_own_is_not_given_the_portable_one() -> None:
    own = ObjectFile(data=elf(), platform=AMD64)
    store, root = pack(package(ObjectFile(data=OBJECT, portable=True), own), default=ARM64)
    assert unpack(store, root, [AMD64]).objects == (own,)
    assert unpack(store, root, [ARM64]).objects[0].portable
    assert platforms(store, root) == [AMD64, ARM64]


def test_an_object_of_unknown_platform_is_packed_as_that_of_the_machine_that_pushes() -> None:
    store, root = pack(package(ObjectFile(data=OBJECT)), default=RISCV64)
    assert platforms(store, root) == [RISCV64]
    (one,) = unpack(store, root, [RISCV64]).objects
    assert (one.platform, one.portable) == (RISCV64, False)


def test_a_portable_object_serves_little_endian_machines_that_nobody_listed() -> None:
    store, root = pack(PORTABLE, default=AMD64)
    assert choose(store, root, RISCV64).platform is None
    with pytest.raises(
        PlatformNotFound, match=r"for linux/amd64, linux/arm64, not for linux/s390x"
    ):
        choose(store, root, S390X)


def test_a_machine_that_the_package_is_not_for_is_refused() -> None:
    store, root = pack(BOTH, default=AMD64)
    with pytest.raises(PlatformNotFound, match="for linux/amd64, linux/arm64, not for linux/risc"):
        unpack(store, root, [AMD64, RISCV64])


def test_a_manifest_alone_is_a_package_for_one_machine() -> None:
    store, root = pack(BOTH, default=AMD64)
    index, _ = opened(store, root)
    assert platforms(store, index.manifests[1]) == [ARM64]
    assert choose(store, index.manifests[1], ARM64).platform == ARM64
    with pytest.raises(PlatformNotFound, match="is for linux/arm64, not for linux/amd64"):
        choose(store, index.manifests[1], AMD64)
    store, root = pack(PORTABLE, default=AMD64)
    index, _ = opened(store, root)
    assert choose(store, index.manifests[0], RISCV64).platform is None
    with pytest.raises(PlatformNotFound, match="little-endian machines, not for linux/s390x"):
        choose(store, index.manifests[0], S390X)


def test_a_package_without_an_object_cannot_be_packed() -> None:
    with pytest.raises(InvalidPackage, match="tool has no object"):
        pack(package(), default=AMD64)


# --- what others may have written ----------------------------------------------------------------


def put(store: MemoryStore, data: bytes, media_type: str, **fields: Any) -> Descriptor:
    return store.add(data, Descriptor.of(data, media_type, **fields))


def artifact(
    config: Any, layers: int = 1, *, kind: str = CONFIG_TYPE, platform: Platform = AMD64
) -> tuple[MemoryStore, Descriptor]:
    """Write an artifact with any config."""
    store = MemoryStore()
    data = config if isinstance(config, bytes) else json.dumps(config).encode()
    parts = [put(store, OBJECT, OBJECT_TYPE) for _ in range(layers)]
    manifest = write_manifest(put(store, data, kind), parts, artifact_type=ARTIFACT_TYPE)
    media_type = "application/vnd.oci.image.manifest.v1+json"
    index = write_index([put(store, manifest, media_type, platform=platform)])
    return store, put(store, index, INDEX)


META = {"bpf_skel": {"obj_name": "tool_bpf"}}
CONFIG: dict[str, Any] = {
    "schemaVersion": "1.0",
    "meta": META,
    "os": "linux",
    "architecture": "amd64",
}


def test_index_and_config_must_agree_on_the_machine() -> None:
    store, root = artifact(CONFIG, platform=ARM64)
    with pytest.raises(PlatformNotFound, match="promises linux/arm64, the config says linux/amd64"):
        choose(store, root, ARM64)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (b"", "config is not JSON"),
        (b"\xff", "config is neither text nor an object"),
        (b"[1]", "config is not an object"),
        (b"{", "config is not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (CONFIG | {"meta": None}, "config lacks the required field 'meta'"),
        (CONFIG | {"meta": {}}, r"config\.meta lacks the required field 'bpf_skel'"),
        (CONFIG | {"architecture": {}}, r"config\.architecture is not text"),
        (CONFIG | {"architecture": "../../etc"}, "is not a platform"),
        (CONFIG | {"os": "../linux"}, "is not a platform"),
        (CONFIG | {"schemaVersion": "later"}, "no version"),
        (CONFIG | {"meta": META | {"x": float("nan")}}, "a number that JSON does not have"),
        (b'{"meta": {"bpf_skel": {"obj_name": "\\ud800"}}}', "not Unicode"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_config_that_is_malformed_is_refused(config: Any, says: str) -> None:
    store, root = artifact(config)
    with pytest.raises(InvalidPackage, match=says):
        choose(store, root, AMD64)


def test_a_config_of_a_newer_major_version_is_refused() -> None:
    store, root = artifact(CONFIG | {"schemaVersion": "2.1"})
    with pytest.raises(SchemaTooNew, match=r"2\.1"):
        choose(store, root, AMD64)
    store, root = artifact(CONFIG | {"schemaVersion": "1.7", "later": True})
    assert choose(store, root, AMD64).package.name == "tool"


def test_an_artifact_of_another_kind_is_refused_by_its_kind() -> None:
    store, root = artifact(b"{}", kind="application/vnd.oci.image.config.v1+json")
    with pytest.raises(InvalidPackage, match=f"of type '{ARTIFACT_TYPE}', which is no ebpm"):
        choose(store, root, AMD64)


@pytest.mark.parametrize("layers", [0, 2])
def test_a_manifest_has_exactly_one_object(layers: int) -> None:
    store, root = artifact(CONFIG, layers)
    with pytest.raises(InvalidPackage, match=f"has {layers} objects in one manifest"):
        choose(store, root, AMD64)


def test_an_index_of_indexes_is_refused() -> None:
    store, inner = artifact(CONFIG)
    index = write_index([replace(inner, platform=AMD64)])
    with pytest.raises(InvalidManifest, match="names another index"):
        choose(store, put(store, index, INDEX), AMD64)


def test_a_package_is_inspected_without_its_object() -> None:
    store, root = pack(BOTH, default=AMD64)
    _, manifests = opened(store, root)
    for manifest in manifests:
        del store.blobs[str(manifest.layers[0].digest)]
    packed = choose(store, root, AMD64)
    assert packed.package == replace(BOTH, objects=())
    assert packed.layer.size == len(BOTH.objects[1].data)
    with pytest.raises(BlobNotFound):
        unpack(store, root, [AMD64])


def test_an_object_larger_than_any_is_not_fetched() -> None:
    store, root = artifact(CONFIG)
    packed = choose(store, root, AMD64)
    claimed = replace(packed.layer, size=1 << 40)
    manifest = write_manifest(put(store, json.dumps(CONFIG).encode(), CONFIG_TYPE), [claimed])
    media_type = "application/vnd.oci.image.manifest.v1+json"
    alone = put(store, manifest, media_type)
    with pytest.raises(InvalidManifest, match="1099511627776 bytes"):
        unpack(store, alone, [AMD64])


def test_every_flipped_byte_of_every_blob_is_noticed() -> None:
    store, root = pack(BOTH, default=AMD64)
    whole = dict(store.blobs)
    assert unpack(store, root, [AMD64, ARM64]) == replace(BOTH, objects=BOTH.objects[::-1])
    for digest, data in whole.items():
        for at in range(len(data)):
            changed = bytearray(data)
            changed[at] ^= 1 << at % 8
            store.blobs[digest] = bytes(changed)
            with pytest.raises(IntegrityError):
                unpack(store, root, [AMD64, ARM64])
        store.blobs[digest] = data


def test_every_blob_cut_off_or_grown_is_noticed() -> None:
    store, root = pack(BOTH, default=AMD64)
    for digest, data in dict(store.blobs).items():
        for changed in (data[:-1], b"", data + b"\0"):
            store.blobs[digest] = changed
            with pytest.raises(IntegrityError):
                unpack(store, root, [AMD64, ARM64])
        store.blobs[digest] = data


MUTATIONS: list[Callable[[bytes, int], bytes]] = [
    lambda data, at: data[:at] + data[at + 1 :],
    lambda data, at: data[:at] + b'"' + data[at:],
    lambda data, at: data[:at] + b"9" + data[at + 1 :],
    lambda data, at: data[:at] + b"null" + data[at + 4 :],
]


@examples(200)
@given(st.data())
def test_any_config_and_manifest_give_a_package_or_an_error(data: st.DataObject) -> None:
    """The digests are right here, as a hostile publisher would have them."""
    config: bytes = json.dumps(CONFIG).encode()
    for _ in range(data.draw(st.integers(0, 2))):
        change = data.draw(st.sampled_from(MUTATIONS))
        config = change(config, data.draw(st.integers(0, len(config))))
    store, root = artifact(config)
    with suppress(EbpmError):
        unpack(store, root, [AMD64])
    raw = store.blobs[str(root.digest)]
    changed = data.draw(st.sampled_from(MUTATIONS))(raw, data.draw(st.integers(0, len(raw))))
    with suppress(EbpmError):
        unpack(store, put(store, changed, INDEX), [AMD64])


@examples(200)
@given(st.binary(max_size=60))
def test_any_bytes_as_config_give_a_package_or_an_error(data: bytes) -> None:
    with suppress(EbpmError):
        read_config(data)
    with suppress(EbpmError):
        parse_manifest(data, INDEX)
