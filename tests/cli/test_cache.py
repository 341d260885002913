"""``ebpm cache``, ``--offline``, and stores that are only read, as a user meets them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ebpm.api import Workspace
from ebpm.cache.layout import Layout
from ebpm.errors import Offline, TargetNotFound
from ebpm.oci.copy import copy
from ebpm.oci.descriptor import Descriptor
from ebpm.target import parse_target
from ebpm.testing.registry import RegistryServer, registry_server
from tests.artifacts import artifact, client_for, files_of, is_whole, repository_of
from tests.conftest import Ebpm

LAYER = b"a layer" * 1000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RegistryServer]:
    """A registry that has tools/x:1."""
    source, root = artifact(LAYER)
    with registry_server() as running, client_for(tmp_path) as client:
        copy(source, root, repository_of(client, running.host), "1")
        yield running


@pytest.fixture
def name(server: RegistryServer, ebpm: Ebpm) -> str:
    """It, in the store."""
    text = f"{server.host}/tools/x:1"
    ebpm.run("pull", text)
    server.log.clear()
    return text


def store() -> Layout:
    return Workspace().store()


def damage(data: bytes) -> Path:
    path = Path(store().root, "blobs/sha256", Descriptor.of(data, "x").digest.hex)
    path.chmod(0o644)
    path.write_bytes(data[:-1] + b"?")
    return path


def test_path_du_and_gc(ebpm: Ebpm, name: str) -> None:
    assert ebpm.run("cache", "path").stdout == f"{os.environ['EBPM_STORE']}\n"
    out = ebpm.run("cache", "du").stdout
    assert name in out
    assert "0 B of it unused" in out
    shown = json.loads(ebpm.run("cache", "du", "--json").stdout)
    assert shown["names"][0]["reference"] == name
    assert shown["blobs"] == shown["names"][0]["size"] == shown["names"][0]["own"] > len(LAYER)
    assert ebpm.run("cache", "gc").stdout == "removed 0 files, 0 B\n"
    ebpm.run("cache", "pin", name)
    assert ebpm.run("cache", "gc", "--max-size", "0").stdout == "removed 0 files, 0 B\n"
    ebpm.run("cache", "unpin", name)
    dry = ebpm.run("cache", "gc", "--max-size", "1k", "--dry-run").stdout
    assert dry.startswith(f"would remove {name}\nwould remove 3 files")
    assert is_whole(store())
    ebpm.run("cache", "gc", "--max-size", "1k")
    assert files_of(store().root) == set()
    for words in (["--max-age", "soon"], ["--max-size", "big"]):
        assert "such as" in ebpm.run("cache", "gc", *words, check=2).stderr


def test_a_sound_store_is_said_to_be_sound(ebpm: Ebpm, name: str) -> None:
    assert ebpm.run("cache", "verify").stdout == "3 blobs checked: all sound\n"
    assert json.loads(ebpm.run("cache", "verify", "--json").stdout)["ok"] is True
    assert name


def test_damage_is_found_quarantined_and_fetched_again(
    ebpm: Ebpm, name: str, server: RegistryServer
) -> None:
    path = damage(LAYER)
    done = ebpm.run("cache", "verify", check=6)
    assert f"damaged  sha256:{path.name}" in done.stdout
    assert f"{name}: `ebpm cache verify --repair`" in done.stdout
    assert "error[integrity-error]: 1 blobs are damaged" in done.stderr
    assert f"{name}: repaired" in ebpm.run("cache", "verify", "--repair").stdout
    assert path.read_bytes() == LAYER
    assert [one.partition(".")[0] for one in files_of(store().root, ".ebpm/quarantine")] == [
        path.name
    ]
    assert ebpm.run("cache", "verify").stdout.endswith("all sound\n")
    asked = [one.path for one in server.requests("GET") if "/blobs/" in one.path]
    assert [one.rpartition(":")[2] for one in asked] == [path.name]


def test_what_nobody_else_has_stays_broken(ebpm: Ebpm, name: str) -> None:
    source, root = artifact(b"built here")
    copy(source, root, store(), "local:1")
    damage(b"built here")
    path = damage(LAYER)
    done = ebpm.run("--offline", "cache", "verify", "--repair", check=6)
    assert "local:1: nobody has it" in done.stdout
    assert f"{name}: nobody has it" in done.stdout
    assert not path.exists()
    again = ebpm.run("cache", "verify", "--repair", "--json", check=6)
    shown = json.loads(again.stdout)
    assert shown["repaired"] == {"local:1": "nobody has it", name: "repaired"}
    assert path.read_bytes() == LAYER


# --- stores that are only read -------------------------------------------------------------------


@pytest.fixture
def lower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A store of the site, as a plain layout that another tool might have written."""
    layout = Layout.create(str(tmp_path / "site"))
    monkeypatch.setenv("EBPM_LOWER_STORES", f"{tmp_path}/none:{layout.root}")
    return layout


def test_a_name_in_a_lower_store_needs_no_network(lower: Layout, server: RegistryServer) -> None:
    source, root = artifact(LAYER)
    copy(source, root, lower, f"{server.host}/tools/x:1")
    server.log.clear()
    place, found = Workspace().locate(parse_target(f"{server.host}/tools/x:1"))
    assert found == root
    copy(place, found, store(), None)
    assert server.log == []


def test_a_pull_takes_content_out_of_a_lower_store_if_it_is_sound(
    lower: Layout, server: RegistryServer
) -> None:
    source, root = artifact(LAYER)
    copy(source, root, lower, "other:1")
    before = files_of(lower.root)
    server.log.clear()
    Workspace().pull(parse_target(f"{server.host}/tools/x:1"))
    assert [one.path for one in server.log if "/blobs/" in one.path] == []
    assert is_whole(store())
    assert files_of(lower.root) == before
    store().untag(f"{server.host}/tools/x:1")
    bad = Path(lower.root, "blobs/sha256", Descriptor.of(LAYER, "x").digest.hex)
    bad.chmod(0o644)
    bad.write_bytes(LAYER[:-1] + b"?")
    Workspace().pull(parse_target(f"{server.host}/tools/x:1"))
    assert len([one.path for one in server.log if "/blobs/" in one.path]) == 1
    assert is_whole(store())


def test_a_lower_store_repairs_ours(lower: Layout, ebpm: Ebpm) -> None:
    source, root = artifact(LAYER)
    for place in (lower, store()):
        copy(source, root, place, "x:1")
    path = damage(LAYER)
    assert "x:1: repaired" in ebpm.run("--offline", "cache", "verify", "--repair").stdout
    assert path.read_bytes() == LAYER


# --- offline -------------------------------------------------------------------------------------

NO_SOCKETS = """
import sys
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        print("OPENED", event, arguments, file=sys.stderr)
sys.addaudithook(hook)
from ebpm.cli.main import main
sys.argv = ["ebpm", *sys.argv[1:]]
main()
"""


def audited(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command, and have each use of a socket told."""
    return subprocess.run(
        [sys.executable, "-c", NO_SOCKETS, *words],
        capture_output=True,
        text=True,
        input="secret",
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize(
    "words",
    [
        ["pull", "HOST/tools/x:1"],
        ["push", "local:1", "HOST/tools/y:1"],
        ["inspect", "HOST/tools/y:1"],
        ["run", "HOST/tools/y:1"],
        ["run", "http://HOST/package.json"],
        ["login", "HOST", "-u", "me", "--password-stdin"],
    ],
)
@pytest.mark.parametrize("by", ["option", "variable"])
def test_offline_every_use_of_the_network_is_an_error_that_says_so(
    server: RegistryServer, words: list[str], by: str
) -> None:
    source, root = artifact(b"local")
    copy(source, root, store(), "local:1")
    words = [one.replace("HOST", server.host) for one in words]
    server.log.clear()
    option = ["--offline"] if by == "option" else []
    done = audited(*option, *words, EBPM_OFFLINE="" if option else "1")
    assert done.returncode == 5, done.stderr
    assert f"error[offline]: {server.host} would be asked" in done.stderr
    assert "OPENED" not in done.stderr
    assert server.log == []


def test_the_same_without_it_does_use_sockets(server: RegistryServer) -> None:
    done = audited("pull", f"{server.host}/tools/x:1", EBPM_OFFLINE="0")
    assert done.returncode == 0
    assert "OPENED socket.connect" in done.stderr


def test_offline_what_is_here_is_found(name: str, server: RegistryServer) -> None:
    os.environ["EBPM_OFFLINE"] = "1"
    try:
        workspace = Workspace()
        assert workspace.locate(parse_target(name))[1]
        with pytest.raises(Offline):
            workspace.locate(parse_target(name.replace("x:1", "y:1")))
        with pytest.raises(TargetNotFound):
            workspace.locate(parse_target("nothing:1"))
    finally:
        del os.environ["EBPM_OFFLINE"]
    assert server.log == []


def test_offline_may_stand_in_the_configuration_and_after_run(
    server: RegistryServer, tmp_path: Path, ebpm: Ebpm
) -> None:
    Path(os.environ["EBPM_CONFIG"]).write_text("offline: true\n")
    name = f"{server.host}/tools/x:1"
    assert "error[offline]" in ebpm.run("pull", name, check=5).stderr
    Path(os.environ["EBPM_CONFIG"]).unlink()
    assert "error[offline]" in ebpm.run("run", "--offline", name, check=5).stderr
    Path(os.environ["EBPM_CONFIG"]).write_text("offline: maybe\n")
    assert "neither true nor false" in ebpm.run("pull", name, check=1).stderr


@pytest.mark.needs("compiler")
@pytest.mark.parametrize("kept_plan", [True, False])
def test_a_run_fetches_again_what_is_damaged_and_says_so(
    server: RegistryServer, tools: Callable[[str], Path], ebpm: Ebpm, kept_plan: bool
) -> None:
    name = f"{server.host}/tools/sigsnoop:1"
    ebpm.run("push", tools("sigsnoop") / "package.json", name)
    ebpm.run("pull", name)
    workspace = Workspace()
    plan, data, _ = workspace.prepare(parse_target(name))
    if not kept_plan:
        shutil.rmtree(os.environ["EBPM_CACHE"])
    path = damage(data)
    assert "error[digest-mismatch]" in ebpm.run("--offline", "run", name, "--help", check=6).stderr
    done = ebpm.run("run", name, "--help")
    assert "it was fetched again" in done.stderr
    assert done.stdout.startswith("Usage: sigsnoop")
    assert path.read_bytes() == data
    assert plan.object_digest == f"sha256:{path.name}"
