"""A catalogue from sources to `ebpm run NAME`: built, published, fetched, searched."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import jsonschema
import pytest

from ebpm import api, catalogue
from ebpm.api import Workspace
from ebpm.config import Config
from ebpm.errors import InvalidToolFile, TargetNotFound
from ebpm.target import parse_target
from tests.conftest import ROOT, Ebpm

pytestmark = pytest.mark.needs("compiler")
TOOLS = ROOT / "index" / "tools"


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A layout of two tools."""
    folder = tmp_path_factory.mktemp("tools")
    for name in ("opensnoop", "sigsnoop"):
        shutil.copytree(TOOLS / name, folder / name)
    made = str(tmp_path_factory.mktemp("made") / "layout")
    entries = catalogue.build(folder, made, Workspace(Config({"HOME": "/", "EBPM_STORE": "/x"})))
    assert [one.name for one in entries] == ["opensnoop", "sigsnoop"]
    return made


@pytest.fixture
def brought(layout: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """That layout, as what ebpm brings."""
    monkeypatch.setenv("EBPM_CATALOGUE", layout)
    return layout


def test_everything_is_found_by_name_without_a_store(brought: str, ebpm: Ebpm) -> None:
    found = json.loads(ebpm.run("search", "--json", "opne").stdout)
    assert [one["name"] for one in found["tools"]] == ["opensnoop"]
    assert found["tools"][0]["reference"] is None
    assert ebpm.run("search", "files").stdout.splitlines()[1].startswith("opensnoop  Files")
    assert "no tool has qqqqqq" in ebpm.run("search", "qqqqqq", check=3).stderr
    available = json.loads(ebpm.run("list", "--available", "--json").stdout)
    assert [one["name"] for one in available["tools"]] == ["opensnoop", "sigsnoop"]
    assert "the store is empty" in ebpm.run("list").stdout
    assert [one.name for one in api.search("kill")] == ["sigsnoop"]


def test_info_says_what_a_tool_does(brought: str, ebpm: Ebpm) -> None:
    text = ebpm.run("info", "sigsnoop").stdout
    assert text.splitlines()[:5] == [
        "sigsnoop 1.0.0: Signals that processes send, and what came of it",
        "  attaches to 6 tracepoints",
        "  reads what its hooks are given",
        "  writes nothing",
        "  1.2 MB of maps",
    ]
    found = json.loads(ebpm.run("info", "--json", "opensnoop").stdout)
    assert found["kernel"] == "5.8"
    assert found["capabilities"]["reads"] == ["user memory"]
    assert found["capabilities"]["writes"] == []
    assert ebpm.run("info", TOOLS / "sigsnoop").stdout.splitlines()[1:4] == text.splitlines()[1:4]


def test_a_tool_is_held_to_a_kernel(brought: str, ebpm: Ebpm) -> None:
    ebpm.run("info", "sigsnoop", "--kernel", "5.10")
    done = ebpm.run("info", "sigsnoop", "--kernel", "5.4", check=9)
    assert "does not run on kernel 5.4: it needs bpf_ringbuf_reserve() (5.8)" in done.stderr
    assert "no version" in ebpm.run("info", "sigsnoop", "--kernel", "new", check=2).stderr


def test_an_unknown_name_gets_the_nearest(brought: str, ebpm: Ebpm) -> None:
    done = ebpm.run("run", "opensnop", check=3)
    assert "did you mean opensnoop?" in done.stderr


@pytest.mark.needs("bpf")
def test_what_ebpm_brings_runs(brought: str, ebpm: Ebpm) -> None:
    done = ebpm.run("run", "--json", "opensnoop", "--", "cat", "/etc/hostname")
    assert "/etc/hostname" in done.stdout
    again = ebpm.run("run", "--json", "opensnoop:1.0.0", "--", "cat", "/etc/hostname")
    assert "/etc/hostname" in again.stdout


@pytest.mark.needs("docker-registry")
def test_a_catalogue_is_published_and_fetched(
    layout: str, docker_registry: str, tmp_path: Path, ebpm: Ebpm, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = f"{docker_registry}/acme/tools"
    pushed = ebpm.run("index", "push", layout, base).stdout.splitlines()
    assert [line.split("@")[0] for line in pushed] == [
        f"pushed {base}/opensnoop:1.0.0",
        f"pushed {base}/opensnoop:latest",
        f"pushed {base}/sigsnoop:1.0.0",
        f"pushed {base}/sigsnoop:latest",
        f"pushed {base}/index:latest",
    ]
    config = tmp_path / "config.yaml"
    config.write_text(f"indexes: [{base}/]\n")
    monkeypatch.setenv("EBPM_CONFIG", str(config))
    assert ebpm.run("index", "update").stdout == f"{base}/index:latest: 2 tools\n"
    assert json.loads(ebpm.run("list", "--json").stdout)["packages"] == []
    found = json.loads(ebpm.run("search", "--json", "opne").stdout)["tools"]
    digest = found[0]["digest"]
    assert found[0]["reference"] == f"{base}/opensnoop@{digest}"

    workspace = Workspace()
    _, root = workspace.locate(parse_target("opensnoop"))
    assert str(root.digest) == digest
    _, root = workspace.locate(parse_target("sigsnoop:1.0.0"))
    assert ebpm.run("pull", "sigsnoop").stdout.startswith(f"pulled {base}/sigsnoop@sha256:")
    first, data = workspace.prepare(parse_target("opensnoop"))[:2]
    monkeypatch.setenv("EBPM_OFFLINE", "1")
    again = Workspace().prepare(parse_target("opensnoop"))
    assert (again[0].dump(), again[1]) == (first.dump(), data)
    with pytest.raises(TargetNotFound, match="opensnop"):
        workspace.locate(parse_target("opensnop"))


@pytest.mark.needs("docker-registry")
def test_a_name_comes_from_the_first_index_that_has_it(
    layout: str, docker_registry: str, tmp_path: Path, ebpm: Ebpm, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = tmp_path / "private" / "opensnoop"
    shutil.copytree(TOOLS / "opensnoop", private)
    source = private / "opensnoop.bpf.c"
    source.write_text(source.read_text().replace("@version 1.0.0", "@version 9.0.0"))
    ebpm.run("index", "build", "--arch", "amd64", private.parent, "-o", tmp_path / "own")
    ebpm.run("index", "push", tmp_path / "own", f"{docker_registry}/private")
    ebpm.run("index", "push", layout, f"{docker_registry}/public")
    config = tmp_path / "config.yaml"
    config.write_text(f"indexes: [{docker_registry}/private, {docker_registry}/public]\n")
    monkeypatch.setenv("EBPM_CONFIG", str(config))
    monkeypatch.setenv("EBPM_CATALOGUE", layout)
    ebpm.run("index", "update")
    assert api.fetch("opensnoop").version == "9.0.0"
    assert api.fetch("opensnoop:1.0.0").version == "1.0.0"
    assert api.fetch("sigsnoop").version == "1.0.0"


def test_without_indexes_an_update_says_where_to_name_them(ebpm: Ebpm) -> None:
    assert "indexes: [" in ebpm.run("index", "update", check=1).stderr


def test_a_tool_may_not_promise_an_older_kernel_than_it_needs(tmp_path: Path) -> None:
    shutil.copytree(TOOLS / "sigsnoop", tmp_path / "sigsnoop")
    tool = tmp_path / "sigsnoop" / "tool.yaml"
    tool.write_text(tool.read_text().replace('"5.8"', '"4.4"'))
    with pytest.raises(InvalidToolFile, match=r"says kernel 4\.4, the object needs 5\.8"):
        catalogue.build(tmp_path, str(tmp_path / "layout"), Workspace())


def test_options_of_a_table_are_parameters_as_well(tmp_path: Path) -> None:
    shutil.copytree(TOOLS / "syscount", tmp_path / "tools" / "syscount")
    workspace = Workspace(Config({"HOME": "/", "EBPM_STORE": "/x"}))
    (entry,) = catalogue.build(tmp_path / "tools", str(tmp_path / "layout"), workspace)
    found = {one["long"]: one for one in entry.parameters}
    assert (found["top"]["short"], found["top"]["default"]) == ("T", 10)
    assert (found["sort"]["short"], found["sort"]["default"]) == ("", "count")
    assert found["top"]["help"] == "Rows of each reading to print"


@pytest.mark.parametrize("name", ["tools", "empty"])
def test_a_folder_without_tools_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty" / "x").mkdir(parents=True)
    with pytest.raises(InvalidToolFile, match="has no tools"):
        catalogue.build(tmp_path / name, str(tmp_path / "layout"), Workspace())


def test_a_name_is_found_with_the_same_few_files_among_any_number_of_tools(
    layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the start of a run costs the same in a catalogue of thousands."""
    shutil.copytree(TOOLS / "opensnoop", tmp_path / "tools" / "opensnoop")
    small = str(tmp_path / "small")
    catalogue.build(tmp_path / "tools", small, Workspace())
    counts = []
    for one in (small, layout):
        monkeypatch.setenv("EBPM_CATALOGUE", one)
        Workspace().prepare(parse_target("opensnoop"))
        done = subprocess.run(
            [sys.executable, "-c", COUNT], capture_output=True, text=True, check=True
        )
        counts.append(int(done.stdout))
    assert counts[0] == counts[1] < 12


COUNT = """
import sys
from ebpm.api import Workspace
from ebpm.target import parse_target
from ebpm.plainjson import loads
workspace, target, opened = Workspace(), parse_target("opensnoop"), []
workspace.prepare(target)
sys.addaudithook(lambda name, given: opened.append(given) if name == "open" else None)
workspace.prepare(target)
print(len(opened))
"""


@pytest.mark.timeout(600)  # what was not built yet is built
@pytest.mark.needs("native", "bpf", "netns")
def test_a_wheel_brings_the_catalogue(tmp_path: Path) -> None:
    """Unpacked elsewhere, without a network and a store, its tools run by name."""
    subprocess.run([sys.executable, ROOT / "scripts" / "catalogue"], check=True)
    made = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    environment = {name: value for name, value in os.environ.items() if name != "EBPM_CATALOGUE"}
    environment |= {"PYTHONPATH": str(tmp_path / "site"), "EBPM_STORE": str(tmp_path / "store")}

    def run(*words: str) -> str:
        done = subprocess.run(
            ["unshare", "--net", sys.executable, "-P", "-m", "ebpm", *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "opensnoop" in run("search", "open")
    assert "attaches to" in run("info", "opensnoop")
    tools = {one.name for one in TOOLS.iterdir() if one.is_dir()}
    available = json.loads(run("list", "--available", "--json"))["tools"]
    assert {one["name"] for one in available} == tools
    assert "/etc/hostname" in run("run", "--json", "opensnoop", "--", "cat", "/etc/hostname")


@pytest.mark.timeout(600)
def test_the_committed_digests_are_those_of_a_build_here() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "catalogue", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_every_tool_of_the_repository_is_in_the_digests() -> None:
    digests = json.loads((ROOT / "index" / "digests.json").read_text())
    assert set(digests) == {one.name for one in catalogue.tool_folders(TOOLS)}


@pytest.mark.needs("docker-registry")
def test_what_the_commands_print_fits_its_schema(
    brought: str, docker_registry: str, tmp_path: Path, ebpm: Ebpm, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = json.loads((ROOT / "docs/spec/commands.schema.json").read_text())
    config = tmp_path / "config.yaml"
    config.write_text(f"indexes: [{docker_registry}/tools]\n")
    monkeypatch.setenv("EBPM_CONFIG", str(config))
    shutil.copytree(TOOLS / "sigsnoop", tmp_path / "tools" / "sigsnoop")
    for words in (
        ["index", "build", tmp_path / "tools", "-o", tmp_path / "layout"],
        ["index", "push", tmp_path / "layout", f"{docker_registry}/tools"],
        ["index", "site", tmp_path / "layout", tmp_path / "site"],
        ["index", "update"],
        ["search", "signals"],
        ["list", "--available"],
        ["info", "sigsnoop"],
        ["info", TOOLS / "sigsnoop"],
        ["init", "demo", "--folder", tmp_path / "demo"],
    ):
        done = ebpm.run(*words, "--json")
        jsonschema.validate(json.loads(done.stdout), schema)
