"""``ebpm mirror`` as a user meets it, between registries and a machine without a network."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from ebpm.api import Workspace
from ebpm.cache.archive import Archive
from ebpm.cache.layout import Layout
from ebpm.mirror.moves import ORIGINAL_DIGEST
from ebpm.oci.copy import copy
from ebpm.oci.store import MemoryStore, fetch_manifest
from ebpm.testing.registry import RegistryServer, registry_server
from tests.artifacts import artifact, client_for, is_whole, repository_of
from tests.conftest import ROOT, Ebpm
from tests.mirror.test_bundle import signed


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RegistryServer]:
    """A registry that has tools/x:1, signed, and tools/y with some versions."""
    source, root = signed(b"layer" * 1000)
    with registry_server() as running, client_for(tmp_path) as client:
        copy(source, root, repository_of(client, running.host), "1", referrers=True)
        for tag in ("1.0", "1.2.9", "1.2.10", "2.0", "latest"):
            other, one = artifact(tag.encode())
            copy(other, one, repository_of(client, running.host, "tools/y"), tag)
        running.log.clear()
        yield running


@pytest.fixture
def target() -> Iterator[RegistryServer]:
    with registry_server() as running:
        yield running


def tags(server: RegistryServer, name: str) -> set[str]:
    return {one for one in server.repositories[name].tags if not one.startswith("sha256-")}


def fits(text: str) -> dict:
    document = json.loads(text)
    jsonschema.validate(document, json.loads((ROOT / "docs/spec/commands.schema.json").read_text()))
    return document


def other_machine(folder: Path) -> dict[str, str]:
    """An environment with a store of its own, and no network."""
    return {**os.environ, "EBPM_STORE": str(folder / "far"), "EBPM_OFFLINE": "1"}


def test_a_bundle_goes_to_a_machine_without_a_network(
    ebpm: Ebpm, server: RegistryServer, work: Path
) -> None:
    x, y = f"{server.host}/tools/x:1", f"{server.host}/tools/y:1.0"
    out = ebpm.run("mirror", "export", x, y, "-o", "all.tar").stdout
    assert f"exported {x}@sha256:" in out
    assert "wrote all.tar, " in out
    far = other_machine(work)
    out = ebpm.run("mirror", "import", "all.tar", env=far).stdout
    assert f"imported {x}@sha256:" in out
    store = Layout(far["EBPM_STORE"], journal=True)
    assert is_whole(store)
    memory = MemoryStore()
    copy(store, store.resolve(x), memory, "1", referrers=True)
    assert memory.blobs.keys() == {
        *server.repositories["tools/x"].blobs,
        *(
            digest
            for digest, (_, raw) in server.repositories["tools/x"].manifests.items()
            if digest in memory.blobs or b"old" in raw
        ),
    }
    assert ebpm.run("cache", "verify", env=far).stdout.endswith("all sound\n")
    assert x in ebpm.run("list", env=far).stdout


def test_an_increment_and_json(ebpm: Ebpm, server: RegistryServer, work: Path) -> None:
    x, y = f"{server.host}/tools/x:1", f"{server.host}/tools/y:1.0"
    first = fits(ebpm.run("mirror", "export", x, "-o", "one.tar", "--json").stdout)
    assert first["size"] == (work / "one.tar").stat().st_size
    ebpm.run("mirror", "export", x, y, "-o", "two.tar", "--base", "one.tar")
    far = other_machine(work)
    done = ebpm.run("mirror", "import", "two.tar", env=far, check=3)
    assert "error[blob-not-found]" in done.stderr
    assert "import the bundle that it is based on first" in done.stderr
    for name in ("one.tar", "two.tar"):
        shown = fits(ebpm.run("mirror", "import", name, "--json", env=far).stdout)
    assert {x, y} <= shown["names"].keys()


def test_offline_an_export_comes_out_of_the_store(
    ebpm: Ebpm, server: RegistryServer, work: Path
) -> None:
    x = f"{server.host}/tools/x:1"
    ebpm.run("pull", x)
    server.log.clear()
    ebpm.run("--offline", "mirror", "export", x, "-o", "x.tar")
    assert server.log == []
    done = ebpm.run(
        "--offline", "mirror", "export", f"{server.host}/tools/y:1.0", "-o", "y.tar", check=5
    )
    assert "error[offline]" in done.stderr
    assert sorted(os.listdir(work)) == ["x.tar"]


def test_a_bundle_is_pushed_to_a_private_registry_and_again_without_effect(
    ebpm: Ebpm, server: RegistryServer, target: RegistryServer, work: Path
) -> None:
    ebpm.run("mirror", "export", f"{server.host}/tools/x:1", "-o", "x.tar")
    shown = fits(ebpm.run("mirror", "push", "x.tar", f"{target.host}/copies", "--json").stdout)
    states = {one["source"]: one["state"] for one in shown["references"]}
    assert states[f"{server.host}/tools/x:1"] == "copied"
    assert tags(target, "copies/tools/x") == {"1"}
    with client_for(work) as client:
        repository = repository_of(client, target.host, "copies/tools/x")
        root = repository.resolve("1")
        assert len(repository.referrers(root)) == 1
        assert len(repository.signature_tags(root)) == 1
    target.log.clear()
    out = ebpm.run("mirror", "push", "x.tar", f"{target.host}/copies").stdout
    assert {line.split()[0] for line in out.splitlines()} == {"unchanged"}
    assert target.requests("PUT") == target.requests("POST") == []
    ebpm.run("mirror", "push", "x.tar", target.host, "--keep-host")
    assert f"{server.host.replace(':', '-')}/tools/x" in target.repositories


def test_a_name_of_the_store_can_be_pushed_as_well(
    ebpm: Ebpm, target: RegistryServer, work: Path
) -> None:
    source, root = artifact(b"local")
    copy(source, root, Workspace().store(), "local:1")
    out = ebpm.run("mirror", "push", "local:1", f"{target.host}/copies").stdout
    assert out == f"copied local:1 -> {target.host}/copies/local:1\n"
    assert "is no place for a mirror" in ebpm.run("mirror", "push", "local:1", "x", check=2).stderr
    assert work.exists()


def test_a_tar_takes_from_several_sources(ebpm: Ebpm, work: Path) -> None:
    source, root = artifact(b"local")
    copy(source, root, Workspace().store(), "local:1")
    ebpm.run("mirror", "export", "local:1", "-o", "bundle.tar")
    copy(source, root, Workspace().store(), "other:1")
    ebpm.run("mirror", "push", "bundle.tar", "other:1", "oci:out.tar")
    with Archive("out.tar") as made:
        assert {one.ref_name for one in made.entries()} == {"local:1", "other:1"}
    assert work.exists()


@pytest.mark.parametrize("place", ["oci:copies", "oci:copies.tar", "store"])
def test_a_dry_run_tells_what_would_come_and_makes_nothing(
    ebpm: Ebpm, server: RegistryServer, work: Path, place: str
) -> None:
    (work / "jobs.yaml").write_text(f"target: {place}\nsources: ['{server.host}/tools/x']\n")
    out = ebpm.run("mirror", "sync", "jobs.yaml", "--dry-run").stdout
    assert f"wanted {server.host}/tools/x:1 -> {server.host}/tools/x:1" in out.splitlines()
    assert {one.name for one in work.iterdir() if one.name.startswith("copies")} == set()


def test_jobs_keep_a_copy_up_to_date(
    ebpm: Ebpm, server: RegistryServer, target: RegistryServer, work: Path
) -> None:
    (work / "jobs.yaml").write_text(
        f"target: {target.host}/copies\n"
        "sources:\n"
        f"  - {{from: {server.host}/tools/y, versions: '~=1.0', newest: 2}}\n"
        f"  - {{from: {server.host}/tools/x, to: signed/x, tags: ['1']}}\n"
    )
    out = ebpm.run("mirror", "sync", "jobs.yaml", "--dry-run").stdout
    assert out.splitlines() == [
        f"wanted {server.host}/tools/y:1.2.10 -> {target.host}/copies/tools/y:1.2.10",
        f"wanted {server.host}/tools/y:1.2.9 -> {target.host}/copies/tools/y:1.2.9",
        f"wanted {server.host}/tools/x:1 -> {target.host}/copies/signed/x:1",
    ]
    assert target.repositories == {}
    out = ebpm.run("mirror", "sync", "jobs.yaml").stdout
    assert [line.split()[0] for line in out.splitlines()] == ["copied"] * 3
    assert tags(target, "copies/tools/y") == {"1.2.9", "1.2.10"}
    assert tags(target, "copies/signed/x") == {"1"}
    shown = fits(ebpm.run("mirror", "sync", "jobs.yaml", "--json").stdout)
    assert [one["state"] for one in shown["references"]] == ["unchanged"] * 3


def test_a_job_that_fails_does_not_stop_the_others(
    ebpm: Ebpm, server: RegistryServer, work: Path
) -> None:
    (work / "jobs.yaml").write_text(
        f"target: oci:copies.tar\n"
        f"sources: [{server.host}/tools/absent, {{from: {server.host}/tools/x, tags: ['1']}}]\n"
    )
    done = ebpm.run("mirror", "sync", "jobs.yaml", check=3)
    assert f"failed {server.host}/tools/absent" in done.stderr
    assert f"copied {server.host}/tools/x:1 -> {server.host}/tools/x:1" in done.stdout
    ebpm.run("pull", f"oci:copies.tar:{server.host}/tools/x:1")
    assert "cannot read none" in ebpm.run("mirror", "sync", "none", check=1).stderr


def test_a_mirror_of_the_configuration_serves_pulls(
    ebpm: Ebpm, server: RegistryServer, target: RegistryServer
) -> None:
    ebpm.run("mirror", "push", f"{server.host}/tools/x:1", f"{target.host}/copies")
    Path(os.environ["EBPM_CONFIG"]).write_text(
        f"mirrors:\n  - {{prefix: {server.host}, location: {target.host}/copies}}\n"
    )
    server.log.clear()
    ebpm.run("pull", f"{server.host}/tools/x:1")
    assert server.log == []
    Path(os.environ["EBPM_CONFIG"]).write_text("mirrors: {a: b}\n")
    assert "is not a list of settings" in ebpm.run("pull", "a.b/c", check=1).stderr
    Path(os.environ["EBPM_CONFIG"]).write_text("mirrors: [{prefix: a}]\n")
    assert "error[invalid-config]" in ebpm.run("pull", "a.b/c", check=1).stderr


def test_out_of_a_bundle_for_one_machine_the_rest_is_not_missed(
    ebpm: Ebpm, server: RegistryServer, work: Path
) -> None:
    x = f"{server.host}/tools/x:1"
    ebpm.run("mirror", "export", x, "-o", "arm.tar", "--platform", "linux/arm64")
    ebpm.run("mirror", "import", "arm.tar")
    rows = {one["reference"]: one for one in fits(ebpm.run("list", "--json").stdout)["packages"]}
    assert rows[x]["platforms"] == ["linux/arm64"]
    assert rows[x]["size"] > 0
    assert ebpm.run("cache", "verify").stdout.endswith("all sound\n")
    assert x in ebpm.run("cache", "du").stdout
    ebpm.run("cache", "gc", "--grace", "0")
    assert ebpm.run("cache", "verify").stdout.endswith("all sound\n")
    assert work.exists()


@pytest.mark.needs("docker-registry")
def test_a_registry_that_takes_only_whole_indexes_gets_a_smaller_one(
    ebpm: Ebpm, server: RegistryServer, docker_registry: str, work: Path
) -> None:
    x = f"{server.host}/tools/x:1"
    ebpm.run("mirror", "export", x, "-o", "arm.tar", "--platform", "linux/arm64")
    with Archive(str(work / "arm.tar")) as archive:
        original = archive.resolve(x)
    shown = fits(ebpm.run("mirror", "push", "arm.tar", docker_registry, "--json").stdout)
    states = {one["source"]: one for one in shown["references"]}
    assert states[x]["state"] == "reduced"
    with client_for(work) as client:
        repository = repository_of(client, docker_registry)
        root = repository.resolve("1")
        assert str(root.digest) == states[x]["digest"]
        found = fetch_manifest(repository, root)
        assert [str(one.platform) for one in found.children] == ["linux/arm64"]
        assert found.annotations[ORIGINAL_DIGEST] == str(original.digest)
        copy(repository, root, MemoryStore(), None)
    ebpm.run("mirror", "push", "arm.tar", f"oci:{work}/copy")
    assert Layout(str(work / "copy")).resolve(x) == original
