"""The verbs that move artifacts: which name means what, and where it is looked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ebpm.api import Workspace
from ebpm.cache.layout import Layout
from ebpm.errors import (
    InvalidReference,
    ManifestNotFound,
    RegistryUnreachable,
    TargetNotFound,
)
from ebpm.oci.copy import copy
from ebpm.oci.descriptor import MANIFEST, Descriptor
from ebpm.oci.manifest import write_manifest
from ebpm.oci.store import MemoryStore
from ebpm.target import parse_target
from ebpm.testing.registry import RegistryServer, registry_server
from tests.artifacts import artifact, is_whole


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with registry_server() as running:
        yield running


@pytest.fixture
def workspace() -> Workspace:
    return Workspace()


def keep(workspace: Workspace, name: str) -> Descriptor:
    source, root = artifact(name.encode())
    return copy(source, root, workspace.store(), name)


def tags_of(server: RegistryServer, name: str = "tools/x") -> dict[str, str]:
    return server.repositories[name].tags


def names_of(workspace: Workspace) -> list[str | None]:
    return [one.ref_name for one in workspace.store().entries()]


# --- push ----------------------------------------------------------------------------------------


def test_push_sends_what_the_store_has_under_that_name(
    workspace: Workspace, server: RegistryServer
) -> None:
    name = f"{server.host}/tools/x:1"
    root = keep(workspace, name)
    assert workspace.push(None, parse_target(name)).digest == root.digest
    assert tags_of(server) == {"1": str(root.digest)}


def test_push_sends_another_source(workspace: Workspace, server: RegistryServer) -> None:
    root = keep(workspace, "local:2")
    workspace.push(parse_target("local:2"), parse_target(f"{server.host}/tools/x:1"))
    assert tags_of(server) == {"1": str(root.digest)}


def test_a_push_to_a_pinned_tag_is_of_that_digest_and_moves_the_tag(
    workspace: Workspace, server: RegistryServer
) -> None:
    root, other = keep(workspace, "x:1"), keep(workspace, "y:1")
    target = parse_target(f"{server.host}/tools/x:1@{root.digest}")
    workspace.push(parse_target("x:1"), target)
    assert tags_of(server) == {"1": str(root.digest)}
    with pytest.raises(InvalidReference, match=f"and the package is {other.digest}"):
        workspace.push(parse_target("y:1"), target)
    assert tags_of(server) == {"1": str(root.digest)}


def test_a_push_to_a_digest_gives_no_tag(workspace: Workspace, server: RegistryServer) -> None:
    root = keep(workspace, "x:1")
    workspace.push(parse_target("x:1"), parse_target(f"{server.host}/tools/x@{root.digest}"))
    assert tags_of(server) == {}
    assert str(root.digest) in server.repositories["tools/x"].manifests


def test_a_push_of_what_is_not_there_asks_no_registry(
    workspace: Workspace, server: RegistryServer
) -> None:
    with pytest.raises(TargetNotFound):
        workspace.push(None, parse_target("x:1"))
    assert server.log == []


def test_a_push_to_a_folder_makes_one(workspace: Workspace, work: Path) -> None:
    root = keep(workspace, "x:1")
    for name in ("a:1", "b:1"):
        workspace.push(parse_target("x:1"), parse_target(f"oci:folder:{name}"))
    layout = Layout("folder")
    assert {one.ref_name: one.digest for one in layout.entries()} == {
        "a:1": root.digest,
        "b:1": root.digest,
    }
    assert is_whole(layout)


# --- pull and tag --------------------------------------------------------------------------------


def test_a_pull_is_kept_under_its_full_name_or_another(
    workspace: Workspace, server: RegistryServer
) -> None:
    root = keep(workspace, "x:1")
    workspace.push(parse_target("x:1"), parse_target(f"{server.host}/tools/x"))
    assert workspace.pull(parse_target(f"{server.host}/tools/x"))[0] == (
        f"{server.host}/tools/x:latest"
    )
    assert workspace.pull(parse_target(f"{server.host}/tools/x"), "mine:2")[0] == "mine:2"
    assert workspace.store().resolve("mine:2").digest == root.digest


def test_a_host_in_upper_case_is_the_same_package(
    workspace: Workspace, server: RegistryServer
) -> None:
    host = f"localhost:{server.port}"
    keep(workspace, "x:1")
    workspace.push(parse_target("x:1"), parse_target(f"{host}/tools/x:1"))
    assert workspace.pull(parse_target(f"{host.upper()}/tools/x:1"))[0] == f"{host}/tools/x:1"
    server.log.clear()
    workspace.locate(parse_target(f"{host.upper()}/tools/x:1"))
    assert server.log == []


@pytest.mark.parametrize(
    ("entry", "title", "kept"),
    [
        ("x:1", None, "x:1"),
        ("ghcr.io/acme/x:1", None, "ghcr.io/acme/x:1"),
        ("1.0", "tool", "tool:1.0"),
        ("1.0", None, "package:1.0"),
    ],
)
def test_what_comes_out_of_a_folder_is_named_as_there_or_by_its_title(
    workspace: Workspace, work: Path, entry: str, title: str | None, kept: str
) -> None:
    source = MemoryStore()
    config = source.add(b"{}", Descriptor.of(b"{}", "a/b"))
    titles = {"org.opencontainers.image.title": title} if title else None
    raw = write_manifest(config, [], annotations=titles)
    root = source.add(raw, Descriptor.of(raw, MANIFEST))
    copy(source, root, Layout.create("folder"), entry)
    assert workspace.pull(parse_target("oci:folder"))[0] == kept


def test_a_folder_that_is_no_layout_is_said_to_be_none(workspace: Workspace, work: Path) -> None:
    (work / "folder").mkdir()
    with pytest.raises(TargetNotFound, match="no OCI layout"):
        workspace.pull(parse_target("oci:folder"))


def test_a_second_name_is_given(workspace: Workspace) -> None:
    root = keep(workspace, "x:1")
    assert workspace.tag(parse_target("x:1"), "ghcr.io/acme/x") == "ghcr.io/acme/x:latest"
    assert workspace.store().resolve("ghcr.io/acme/x:latest").digest == root.digest


def test_a_pinned_name_is_given_to_nothing_else(workspace: Workspace) -> None:
    root, other = keep(workspace, "x:1"), keep(workspace, "y:1")
    workspace.tag(parse_target("x:1"), f"z@{root.digest}")
    with pytest.raises(InvalidReference, match="can be nothing but that"):
        workspace.tag(parse_target("x:1"), f"z@{other.digest}")


# --- where a name is looked for ------------------------------------------------------------------


def test_the_store_is_asked_before_the_registry_unless_told_otherwise(
    workspace: Workspace, server: RegistryServer
) -> None:
    target = parse_target(f"{server.host}/tools/x:1")
    old = keep(workspace, target.text)
    new = keep(workspace, "new:1")
    workspace.push(parse_target("new:1"), target)
    assert workspace.locate(target)[1].digest == old.digest
    assert workspace.locate(target, refresh=True)[1].digest == new.digest
    assert workspace.locate(target)[1].digest == new.digest


def test_a_registry_that_is_gone_does_not_matter_for_what_is_here(workspace: Workspace) -> None:
    with registry_server() as gone:
        target = parse_target(f"{gone.host}/tools/x:1")
    root = keep(workspace, target.text)
    assert workspace.locate(target)[1].digest == root.digest
    with pytest.raises(RegistryUnreachable):
        workspace.locate(target, refresh=True)


def test_a_name_is_looked_up_below_the_indexes_in_their_order(
    workspace: Workspace, server: RegistryServer
) -> None:
    root = keep(workspace, "tmp:1")
    workspace.push(parse_target("tmp:1"), parse_target(f"{server.host}/second/tool:1"))
    workspace.config.indexes = [f"{server.host}/first", f"{server.host}/second/"]
    assert workspace.locate(parse_target("tool:1"))[1].digest == root.digest
    assert f"{server.host}/second/tool:1" in names_of(workspace)
    with pytest.raises(TargetNotFound, match="is no file, and no package here"):
        workspace.locate(parse_target("other:1"))


def test_no_registry_is_assumed(workspace: Workspace) -> None:
    keep(workspace, "sigsnoop:1.0")
    with pytest.raises(TargetNotFound) as caught:
        workspace.locate(parse_target("sigsnop"))
    assert "sigsnoop:1.0" in caught.value.hint


def test_what_is_no_reference_is_said_before_anything_is_searched(workspace: Workspace) -> None:
    with pytest.raises(InvalidReference):
        workspace.locate(parse_target("Not A Name"))


def test_an_unknown_tag_of_a_registry_is_not_found(
    workspace: Workspace, server: RegistryServer
) -> None:
    with pytest.raises(ManifestNotFound, match="tools/x:1 does not exist"):
        workspace.locate(parse_target(f"{server.host}/tools/x:1"))


@pytest.mark.parametrize("damaged", ["layer", "manifest"])
def test_a_second_pull_repairs_a_damaged_package(
    workspace: Workspace, server: RegistryServer, damaged: str
) -> None:
    target = parse_target(f"{server.host}/tools/x:1")
    root = keep(workspace, target.text)
    workspace.push(None, target)
    name = root.digest if damaged == "manifest" else Descriptor.of(target.text.encode(), "x").digest
    path = Path(os.environ["EBPM_STORE"], "blobs/sha256", name.hex)
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(data[::-1])
    workspace.pull(target)
    assert path.read_bytes() == data
    assert is_whole(workspace.store())
