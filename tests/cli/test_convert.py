"""``ebpm convert``, and ``ebpm build --btfgen``: packages from one form to another."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from ebpm.api import Workspace
from ebpm.btf.trim import trim
from ebpm.build.btfgen import add_types, find_kernels
from ebpm.cli.build import write_files
from ebpm.cli.commands import main
from ebpm.package.files import parse_package, read_package, write_bundle
from ebpm.package.model import Package
from ebpm.runtime.kernelbtf import running_kernel
from ebpm.target import parse_target
from tests import generations, sources
from tests.conftest import Ebpm

pytestmark = pytest.mark.needs("compiler")
FILES = ("package.json", "package.yaml", "t.skel.json", "t.skel.yaml", "t.tar", "t.tar.gz")


@pytest.fixture
def flat(work: Path) -> Path:
    path = work / "old.json"
    path.write_text(json.dumps(generations.flat()))
    return path


def expected(path: Path) -> Package:
    return read_package(path)


def test_a_package_goes_round_through_every_form(flat: Path) -> None:
    """Each form is made of the one before, and the last is still what the first was."""
    before = str(flat)
    for name in (*FILES, "oci:layout:1.0", "kept:1.0"):
        assert main(["convert", before, name]) == 0
        before = name
    package = Workspace().fetch(parse_target("kept:1.0"))
    one, old = package.objects[0], expected(flat)
    assert (one.data, package.name) == (old.objects[0].data, old.name)
    assert (package.exports, package.maps, package.extra) == (old.exports, old.maps, old.extra)
    assert main(["convert", "kept:1.0", "again.bpf.o"]) == 0
    assert Path("again.bpf.o").read_bytes() == old.objects[0].data


@pytest.mark.parametrize(
    ("form", "head"), [("json", b"{"), ("yaml", b"bpf_object: "), ("o", b"\x7fELF")]
)
def test_standard_output_takes_a_form(flat: Path, form: str, head: bytes) -> None:
    command = [sys.executable, "-m", "ebpm", "convert", "--to", form, str(flat), "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stdout.startswith(head)
    assert parse_package(done.stdout, "pipe").objects == expected(flat).objects


def test_a_folder_takes_the_usual_names(flat: Path) -> None:
    assert main(["convert", str(flat), "new/"]) == 0
    assert main(["convert", str(flat), "new", "--format", "skel.yaml"]) == 0
    assert sorted(os.listdir("new")) == [
        "generations.bpf.o",
        "generations.skel.yaml",
        "package.json",
    ]
    assert read_package(Path("new/generations.skel.yaml")) == expected(flat)


def test_the_form_wins_over_the_suffix(flat: Path) -> None:
    assert main(["convert", str(flat), "out.txt", "--format", "yaml"]) == 0
    assert Path("out.txt").read_bytes().startswith(b"bpf_object: ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["old.json", "-"], "tells no form"),
        (["old.json", "-", "--format", "skel.json"], "two files"),
        (["old.json", "./out"], "tells no form"),
        (["old.json", "./out", "--format", "artifact"], "no name for an artifact"),
        (["gone.json", "new.yaml"], "gone.json"),
        (["old.json", "new.yaml", "--platform", "a/b/c"], "is not a platform"),
        (["old.json", "/proc/new.yaml"], "cannot write"),
    ],
)
def test_what_cannot_be_is_said(
    flat: Path, arguments: list[str], says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", *arguments])
    assert says in capfd.readouterr().err


def test_a_module_s_object_is_taken_out(ebpm: Ebpm, work: Path) -> None:
    (work / "app.wasm").write_bytes(b"\0asm\1\0\0\0" + generations.tool() + b"tail")
    done = ebpm.run("convert", "app.wasm", "tool.bpf.o")
    assert "user-space part is not" in done.stderr
    assert (work / "tool.bpf.o").read_bytes() == generations.tool()
    refused = ebpm.run("run", "app.wasm", check=1)
    assert "error[wasm-module]" in refused.stderr
    assert "ebpm convert" in refused.stderr


# --- the types of kernels ------------------------------------------------------------------------

KERNEL = Path("/sys/kernel/btf/vmlinux")


@pytest.fixture
def archive(work: Path) -> Path:
    """A folder laid out as BTFhub's archive: one file plain, one in a tar."""
    folder = work / "btfhub-archive" / "debian" / "10" / "x86_64"
    folder.mkdir(parents=True)
    (folder / "4.19.0-5-amd64.btf").write_bytes(KERNEL.read_bytes())
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:xz", preset=0) as tar:
        tar.add(folder / "4.19.0-5-amd64.btf", "4.19.0-6-amd64.btf")
    (folder / "4.19.0-6-amd64.btf.tar.xz").write_bytes(out.getvalue())
    other = work / "btfhub-archive" / "debian" / "10" / "mips64"
    other.mkdir()
    (other / "4.19.btf").write_bytes(b"never read")
    return work / "btfhub-archive"


@pytest.mark.needs("bpf")
def test_a_build_brings_the_types_of_kernels_along(ebpm: Ebpm, archive: Path) -> None:
    source = sources.write(archive.parent / "src", {"kinds.bpf.c": sources.SOURCES["kinds.bpf.c"]})
    options = ["--btfgen", archive, "--btfgen", "host", "--btfgen", f"a/1/x86_64/r={KERNEL}"]
    done = ebpm.run("build", source, "-o", "out", "-t", "kinds:1", *options)
    assert "no object for the machine of debian/10/mips64/4.19" in done.stderr
    package = read_package(Path("out/kinds.tar"))
    names = ["a/1/x86_64/r", "debian/10/x86_64/4.19.0-5-amd64", "debian/10/x86_64/4.19.0-6-amd64"]
    assert [one.path for one in package.btfs] == sorted([*names, running_kernel()[0]])
    types = trim(KERNEL.read_bytes(), package.objects[0].data)
    assert {one.data for one in package.btfs} == {types}
    for form in ("out/package.json", "out/kinds.skel.json"):
        assert read_package(Path(form)).btfs == package.btfs
    assert Workspace().fetch(parse_target("kinds:1")).btfs == package.btfs
    shown = ebpm.run("inspect", "kinds:1").stdout.partition("types of kernels:\n")[2]
    assert [line.split()[0] for line in shown.splitlines()] == sorted([*names, running_kernel()[0]])


@pytest.mark.needs("bpf")
@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("gone.btf", "there is no file gone.btf"),
        ("empty", "there is no .btf"),
        ("a/b=plain.btf", "is not ID/VERSION_ID/MACHINE/RELEASE"),
        ("a/1/x86_64/r=plain.btf", "plain.btf: not BTF"),
    ],
)
def test_what_is_no_kernel_is_said(
    work: Path, argument: str, says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    source = sources.write(work / "src", {"kinds.bpf.c": sources.MINIMAL})
    (work / "empty").mkdir()
    (work / "plain.btf").write_bytes(b"text")
    assert main(["build", str(source), "--btfgen", argument]) in (1, 2, 3)
    assert says in capfd.readouterr().err


def running(ebpm: Ebpm, *arguments: str | Path, **environment: str) -> str:
    """Run the tool for a moment; give "ran", or its standard error."""
    environment = {**os.environ, **environment}
    done = ebpm.run("run", "-d", "100ms", *arguments, env=environment, check=None)
    return done.stderr if done.returncode else "ran"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a tool without the types of any kernel, and with those of this one."""
    folder = tmp_path_factory.mktemp("btfgen")
    package = sources.built("kinds.bpf.c").package
    more, _ = add_types(package, find_kernels(["host"], running_kernel()[0]))
    for name, one in (("plain", package), ("with", more)):
        write_files(one, folder / name, "json")
    return folder


@pytest.mark.needs("bpf")
class TestKernelWithoutTypes:
    """EBPM_KERNEL_BTF says where the kernel's types would be: there are none."""

    nothing: ClassVar = {"EBPM_KERNEL_BTF": "/nowhere/vmlinux"}

    @pytest.fixture
    def tool(self, built: Path, work: Path) -> Path:
        shutil.copytree(built, work, dirs_exist_ok=True)
        return work

    @pytest.mark.parametrize("target", ["with/kinds.tar", "with/package.json", "kinds:1"])
    def test_the_package_s_own_are_taken(self, ebpm: Ebpm, tool: Path, target: str) -> None:
        Workspace().keep(read_package(tool / "with" / "kinds.tar"), "kinds:1")
        assert running(ebpm, target, **self.nothing) == "ran"

    def test_what_was_tried_is_said(self, ebpm: Ebpm, tool: Path) -> None:
        said = running(ebpm, "plain/package.json", **self.nothing)
        assert "error[btf-missing]" in said
        for tried in ("/nowhere/vmlinux", running_kernel()[0], "BTF_FILE_PATH", "the package has"):
            assert tried in said
        package = read_package(tool / "with" / "kinds.tar")
        far = replace(package, btfs=(replace(package.btfs[0], path="a/1/x86_64/r"),))
        (tool / "far.tar").write_bytes(write_bundle(far, far.objects[0]))
        said = running(ebpm, "far.tar", **self.nothing)
        assert "1 kernels that the package has types of" in said

    def test_given_ones_come_first(self, ebpm: Ebpm, tool: Path) -> None:
        target = "plain/package.json"
        assert running(ebpm, "--btf", KERNEL, target, **self.nothing) == "ran"
        given = {**self.nothing, "BTF_FILE_PATH": str(KERNEL)}
        assert running(ebpm, target, **given) == "ran"
        folder = tool / "archive" / Path(running_kernel()[0]).parent
        folder.mkdir(parents=True)
        (folder / f"{os.uname().release}.btf").symlink_to(KERNEL)
        assert running(ebpm, "--btf", tool / "archive", target, **self.nothing) == "ran"

    @pytest.mark.parametrize(
        ("path", "says"),
        [("gone.btf", "cannot be read"), (".", "without types of this kernel")],
    )
    def test_given_ones_that_are_not_there_are_an_error(
        self, ebpm: Ebpm, tool: Path, path: str, says: str
    ) -> None:
        said = running(ebpm, "--btf", path, "plain/package.json")
        assert "error[btf-missing]" in said
        assert says in said

    def test_a_file_that_holds_no_types_is_named(self, ebpm: Ebpm, tool: Path) -> None:
        (tool / "text.btf").write_text("no types")
        said = running(ebpm, "--btf", tool / "text.btf", "plain/package.json")
        assert "error[btf-missing]" in said
        assert "--btf" in said

    def test_a_tool_that_needs_none_runs_without(self, ebpm: Ebpm, work: Path) -> None:
        (work / "minimal.bpf.o").write_bytes(sources.built("minimal.bpf.c").package.objects[0].data)
        assert running(ebpm, "minimal.bpf.o", **self.nothing) == "ran"
