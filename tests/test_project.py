"""ebpm.toml, ebpm.lock, and ranges of versions, as a user meets them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpm import lockfile
from ebpm.api import Workspace
from ebpm.cache.layout import Layout
from ebpm.errors import EbpmError, InvalidConfig, InvalidLock, Offline, TargetNotFound
from ebpm.oci.copy import copy
from ebpm.oci.descriptor import Descriptor
from ebpm.project import read_project
from ebpm.target import parse_target
from ebpm.testing.registry import RegistryServer, registry_server
from tests.artifacts import artifact, client_for, is_whole, repository_of, two_platforms
from tests.conftest import ROOT, Ebpm

TAGS = ("1.0", "1.2.9", "1.2.10", "2.0", "latest")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RegistryServer]:
    with registry_server() as running:
        for tag in TAGS:
            publish(running, tmp_path, tag, tag.encode())
        running.log.clear()
        yield running


def publish(server: RegistryServer, folder: Path, tag: str, layer: bytes) -> Descriptor:
    """Put tools/x:TAG into a registry, for two machines."""
    source, root = two_platforms(layer)
    with client_for(folder) as client:
        return copy(source, root, repository_of(client, server.host), tag)


def want(server: RegistryServer, text: str = "version = '~=1.0'", rest: str = "") -> None:
    """Write an ebpm.toml that wants tools/x."""
    Path("ebpm.toml").write_text(
        f"{rest}\n[tools]\nx = {{from = '{server.host}/tools/x', {text}}}\n"
    )


def locked() -> dict:
    return json.loads(Path("ebpm.lock").read_text())


def fits(text: str) -> dict:
    document = json.loads(text)
    schema = json.loads((ROOT / "docs/spec/commands.schema.json").read_text())
    jsonschema.validate(document, schema)
    return document


# --- lock, sync, outdated, upgrade ---------------------------------------------------------------


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("version = '~=1.0'", "1.2.10"),
        ("version = '<1.2.10'", "1.2.9"),
        ("version = '*'", "2.0"),
        ("tag = 'latest'", "latest"),
    ],
)
def test_a_lock_pins_the_newest_that_is_allowed(
    ebpm: Ebpm, server: RegistryServer, text: str, tag: str
) -> None:
    want(server, text)
    out = ebpm.run("lock").stdout
    tool = locked()["tools"]["x"]
    assert tool["tag"] == tag
    assert tool["reference"] == f"{server.host}/tools/x@{tool['digest']}"
    assert out == f"x {tag}  {tool['reference']}\n"
    assert set(tool["platforms"]) == {"linux/amd64", "linux/arm64"}
    assert ebpm.run("lock").stdout == "ebpm.lock is up to date\n"


@pytest.mark.usefixtures("work")
def test_the_same_project_makes_the_same_lock_and_what_is_pinned_stays(
    ebpm: Ebpm, server: RegistryServer, tmp_path: Path
) -> None:
    want(server)
    ebpm.run("lock")
    first = Path("ebpm.lock").read_bytes()
    publish(server, tmp_path, "1.3", b"newer")
    ebpm.run("lock")
    assert Path("ebpm.lock").read_bytes() == first
    shown = fits(ebpm.run("outdated", "--json").stdout)
    assert shown["tools"] == [
        {"name": "x", "locked": "1.2.10", "allowed": "1.3", "newest": "2.0", "moved": False}
    ]
    assert "1.2.10" in ebpm.run("outdated").stdout
    assert ebpm.run("upgrade", "x").stdout.startswith("x 1.2.10 -> 1.3  ")
    want(server, "version = '>=2'")
    assert ebpm.run("lock").stdout.startswith("x 1.3 -> 2.0  ")
    assert ebpm.run("outdated").stdout == "all tools are of the newest version\n"
    assert "has no tool y" in ebpm.run("upgrade", "y", check=3).stderr


@pytest.mark.usefixtures("work")
def test_a_tag_that_moved_is_outdated(ebpm: Ebpm, server: RegistryServer, tmp_path: Path) -> None:
    want(server, "tag = 'latest'")
    ebpm.run("lock")
    before = locked()["tools"]["x"]["digest"]
    publish(server, tmp_path, "latest", b"moved")
    assert fits(ebpm.run("outdated", "--json").stdout)["tools"][0]["moved"] is True
    ebpm.run("sync", "--frozen")
    assert locked()["tools"]["x"]["digest"] == before
    ebpm.run("upgrade")
    assert locked()["tools"]["x"]["digest"] != before


@pytest.mark.usefixtures("work")
def test_sync_brings_what_is_pinned_and_nothing_twice(ebpm: Ebpm, server: RegistryServer) -> None:
    want(server)
    assert ebpm.run("sync").stdout == "pulled x 1.2.10\n"
    store = Workspace().store()
    assert is_whole(store)
    assert store.lookup(locked()["tools"]["x"]["reference"])
    server.log.clear()
    assert ebpm.run("--offline", "sync", "--frozen").stdout == "here x 1.2.10\n"
    assert fits(ebpm.run("sync", "--json").stdout)["tools"] == [{"name": "x", "state": "here"}]
    assert server.log == []
    blob = next(Path(store.root, "blobs/sha256").iterdir())
    blob.unlink()
    assert ebpm.run("sync", "--frozen").stdout == "pulled x 1.2.10\n"
    assert is_whole(store)


@pytest.mark.usefixtures("work")
def test_a_frozen_sync_refuses_what_does_not_fit(ebpm: Ebpm, server: RegistryServer) -> None:
    want(server)
    assert "error[lock-outdated]" in ebpm.run("sync", "--frozen", check=8).stderr
    assert not Path("ebpm.lock").exists()
    ebpm.run("lock")
    before = Path("ebpm.lock").read_bytes()
    want(server, "version = '>=2'")
    assert "x" in ebpm.run("sync", "--frozen", check=8).stderr
    want(server, rest="platforms = ['linux/arm64']")
    assert "platforms" in ebpm.run("sync", "--frozen", check=8).stderr
    assert Path("ebpm.lock").read_bytes() == before


@pytest.mark.usefixtures("work")
def test_platforms_that_are_named_must_be_there(ebpm: Ebpm, server: RegistryServer) -> None:
    want(server, rest="platforms = ['linux/arm64']")
    ebpm.run("lock")
    assert set(locked()["tools"]["x"]["platforms"]) == {"linux/arm64"}
    want(server, rest="platforms = ['linux/riscv64']")
    done = ebpm.run("lock", check=3)
    assert "nothing for linux/riscv64" in done.stderr
    assert "it has linux/amd64, linux/arm64" in done.stderr


@pytest.mark.usefixtures("work")
def test_where_no_version_will_do_those_that_there_are_are_told(
    ebpm: Ebpm, server: RegistryServer
) -> None:
    want(server, "version = '>=7'")
    done = ebpm.run("lock", check=3)
    assert "nothing is " in done.stderr
    assert "there are latest, 1.0, 1.2.9, 1.2.10, 2.0" in done.stderr


@pytest.mark.usefixtures("work")
def test_a_name_is_looked_up_in_the_indexes_and_then_in_the_store(
    ebpm: Ebpm, server: RegistryServer
) -> None:
    Path(os.environ["EBPM_CONFIG"]).write_text(f"indexes: [{server.host}/tools]\n")
    source, root = artifact(b"local")
    copy(source, root, Workspace().store(), "mine:0.1")
    Path("ebpm.toml").write_text("[tools]\nx = '~=1.0'\nmine = '*'\n")
    ebpm.run("lock")
    assert locked()["tools"]["x"]["reference"].startswith(f"{server.host}/tools/x@")
    assert locked()["tools"]["mine"]["reference"] == f"mine@{root.digest}"
    assert locked()["tools"]["mine"]["platforms"] == {"any": str(root.digest)}
    ebpm.run("sync", "--frozen")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tools", "cannot read"),
        ("[tool]\n", "more than platforms"),
        ("tools = 1\n", "tools a table"),
        ("platforms = 1\n", "a list of texts"),
        ("platforms = ['!']\n", "is not a platform"),
        ("[tools]\nx = 1\n", "neither a range"),
        ("[tools]\nx = 'new'\n", "no range of versions"),
        ("[tools]\nX = '*'\n", "is not a package reference"),
        ("[tools]\nx = {from = 'a.b/c:1', tag = '1'}\n", "which is not HOST/NAME|not a package"),
        ("[tools]\nx = {from = 'a.b/c', tag = '1', version = '*'}\n", "neither a range"),
        ("[tools]\nx = {source = 'a.b/c'}\n", "neither a range"),
    ],
)
def test_what_is_wrong_with_a_project_is_said(work: Path, text: str, says: str) -> None:
    (work / "ebpm.toml").write_text(text)
    with pytest.raises(InvalidConfig, match=says):
        read_project()


@pytest.mark.usefixtures("work")
def test_without_a_project_it_says_how_one_begins(ebpm: Ebpm) -> None:
    for command in ("lock", "sync", "outdated", "upgrade"):
        done = ebpm.run(command, check=3)
        assert "there is no ebpm.toml here" in done.stderr
        assert "[tools]" in done.stderr


# --- the lock of a run ---------------------------------------------------------------------------


@pytest.mark.needs("compiler")
def test_a_run_in_the_folder_uses_what_is_pinned(
    ebpm: Ebpm, server: RegistryServer, tools: Callable[[str], Path], work: Path
) -> None:
    package = tools("sigsnoop") / "package.json"
    name = f"{server.host}/tools/sigsnoop"
    ebpm.run("push", package, f"{name}:1.0")
    (work / "ebpm.toml").write_text(f"[tools]\nsnoop = {{from = '{name}', version = '~=1.0'}}\n")
    ebpm.run("sync")
    copy(*artifact(b"no tool"), Workspace().store(), "snoop:latest")
    server.log.clear()
    assert ebpm.run("--offline", "run", "snoop", "--help").stdout.startswith("Usage: sigsnoop")
    assert server.log == []
    (work / "elsewhere").mkdir()
    assert ebpm.run("run", "snoop", "--help", cwd=work / "elsewhere", check=None).returncode
    assert ebpm.run("run", "snoop:latest", "--help", check=None).returncode
    Path(os.environ["EBPM_STORE"], "index.json").unlink()
    shutil.rmtree(os.environ["EBPM_STORE"])
    ebpm.run("run", "snoop", "--help")  # pulled again, by its digest
    assert (
        Layout(os.environ["EBPM_STORE"], journal=True).entries()[0].ref_name
        == (locked()["tools"]["snoop"]["reference"])
    )


@pytest.mark.needs("compiler")
def test_a_bundle_of_a_lock_is_all_that_a_machine_without_a_network_needs(
    ebpm: Ebpm, server: RegistryServer, tools: Callable[[str], Path], work: Path
) -> None:
    name = f"{server.host}/tools/sigsnoop"
    ebpm.run("push", tools("sigsnoop") / "package.json", f"{name}:1.0")
    (work / "ebpm.toml").write_text(f"[tools]\nsnoop = {{from = '{name}', version = '~=1.0'}}\n")
    ebpm.run("lock")
    ebpm.run("mirror", "export", "ebpm.lock", "-o", "tools.tar")
    far = {**os.environ, "EBPM_STORE": str(work / "far"), "EBPM_OFFLINE": "1"}
    ebpm.run("mirror", "import", "tools.tar", env=far)
    ebpm.run("sync", "--frozen", env=far)
    ebpm.run("run", "snoop", "--help", env=far)
    for words in (["lock"], ["sync"], ["outdated"], ["upgrade"]):
        fits(ebpm.run(*words, "--json").stdout)


def lock_of(path: Path, **fields: object) -> Path:
    digest = f"sha256:{'0' * 64}"
    tool = {
        "reference": f"a.b/x@{digest}",
        "digest": digest,
        "wanted": "a.b/x~=1.0",
        "tag": "1.0",
        "platforms": {},
        **fields,
    }
    path.write_text(json.dumps({"schemaVersion": 1, "platforms": [], "tools": {"x": tool}}))
    return path


def test_a_pin_is_found(tmp_path: Path) -> None:
    path = str(lock_of(tmp_path / "ebpm.lock"))
    assert lockfile.pinned("x", (os.geteuid(),), path) == f"a.b/x@sha256:{'0' * 64}"
    assert lockfile.pinned("y", (os.geteuid(),), path) is None
    assert lockfile.pinned("x", (0,), str(tmp_path / "none")) is None


@pytest.mark.needs("root")
def test_a_lock_that_somebody_else_may_have_written_does_not_decide(tmp_path: Path) -> None:
    path = lock_of(tmp_path / "ebpm.lock")
    os.chown(path, 4242, 4242)
    with pytest.raises(InvalidLock, match="belongs to user 4242"):
        lockfile.pinned("x", (0, 1000), str(path))
    assert lockfile.pinned("x", (0, 4242), str(path))
    path.chmod(0o666)
    with pytest.raises(InvalidLock, match="others can write"):
        lockfile.pinned("x", (0, 4242), str(path))
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(InvalidLock, match="cannot read"):
        lockfile.pinned("x", (0,), str(link))


@pytest.mark.parametrize(
    "fields",
    [
        {"reference": "a.b/x:1"},
        {"digest": "x"},
        {"reference": None},
        {"tag": 1},
        {"platforms": []},
    ],
)
def test_a_damaged_lock_is_refused(tmp_path: Path, fields: dict[str, object]) -> None:
    with pytest.raises(InvalidLock, match="is damaged"):
        lockfile.read(str(lock_of(tmp_path / "ebpm.lock", **fields)))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schemaVersion":1}'])
def test_what_is_no_lock_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "ebpm.lock").write_text(text)
    with pytest.raises(InvalidLock):
        lockfile.read(str(tmp_path / "ebpm.lock"))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode), st.booleans())
def test_any_bytes_are_a_lock_and_a_project_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, table: bool
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "ebpm.lock").write_bytes(data)
    (folder / "ebpm.toml").write_bytes((b"[tools]\n" if table else b"") + data)
    for read, name in ((lockfile.read, "ebpm.lock"), (read_project, "ebpm.toml")):
        try:
            read(str(folder / name))
        except EbpmError:
            pass


# --- ranges on the command line ------------------------------------------------------------------


def test_a_range_is_resolved_on_the_tags_of_the_registry(server: RegistryServer) -> None:
    workspace = Workspace()
    name = f"{server.host}/tools/x"
    assert workspace.settle(parse_target(f"{name}~=1.0")).text == f"{name}:1.2.10"
    assert workspace.pull(parse_target(f"{name}>=1.0,<1.2.10"))[0] == f"{name}:1.2.9"
    with pytest.raises(TargetNotFound, match="nothing is") as caught:
        workspace.settle(parse_target(f"{name}>3"))
    assert caught.value.hint == "there are latest, 1.0, 1.2.9, 1.2.10, 2.0"
    workspace.config.indexes = [f"{server.host}/tools"]
    assert workspace.settle(parse_target("x==1.*")).text == f"{name}:1.2.10"
    assert workspace.locate(parse_target("x==1.*"))[1]


def test_offline_a_range_is_resolved_on_what_the_stores_have(server: RegistryServer) -> None:
    workspace = Workspace()
    name = f"{server.host}/tools/x"
    workspace.pull(parse_target(f"{name}:1.0"))
    server.log.clear()
    workspace.config.offline = True
    assert workspace.settle(parse_target(f"{name}~=1.0")).text == f"{name}:1.0"
    assert server.log == []
    with pytest.raises(TargetNotFound, match="nobody has"):
        workspace.settle(parse_target(f"{server.host}/tools/y~=1.0"))
    offline = Workspace()
    offline.config.offline = True
    with pytest.raises(Offline):
        offline.locate(parse_target(f"{name}:2.0"))


def test_the_commands_take_ranges(ebpm: Ebpm, server: RegistryServer) -> None:
    name = f"{server.host}/tools/x"
    assert ebpm.run("pull", f"{name}~=1.0").stdout.startswith(f"pulled {name}:1.2.10@sha256:")
    Path(os.environ["EBPM_CONFIG"]).write_text(f"indexes: [{server.host}/tools]\n")
    assert ebpm.run("pull", "x<2").stdout.startswith(f"pulled {name}:1.2.10@sha256:")
    assert "is not a package reference" in ebpm.run("pull", f"{name}=1.0", check=2).stderr
