"""The native bundle of scripts/native, and the wheels that carry it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile

from ebpm.build.headers import libbpf_headers
from ebpm.output.rows import LIBRARY
from ebpm.runtime.libbpf.binding import BUNDLED, Libbpf
from ebpm.runtime.libbpf.prototypes import PROTOTYPES
from tests.conftest import ROOT
from tests.needs import musl

pytestmark = pytest.mark.needs("native")
CACHE = Path(os.environ.get("EBPM_SCRIPT_CACHE") or ROOT / ".cache").resolve()
HEADERS = {
    "bpf_core_read.h",
    "bpf_endian.h",
    "bpf_helper_defs.h",
    "bpf_helpers.h",
    "bpf_tracing.h",
    "usdt.bpf.h",
}
OLDEST_GLIBC = (2, 17)


def made(file: str) -> list[Path]:
    """A file of the bundles of all targets that were made by the recipe of this machine's."""
    folders = sorted((CACHE / "native").glob("*-linux-*"))
    recipes = {folder: (folder / "recipe").read_text() for folder in folders}
    facts = Path(BUNDLED).parent / "bundle.json"
    target = json.loads(facts.read_text())["target"] if facts.exists() else ""
    own = recipes.get(CACHE / "native" / target)
    return [folder / file for folder, recipe in recipes.items() if recipe == own]


def bundles() -> list[Path]:
    """The library of this machine, and those of other targets."""
    return [Path(BUNDLED), *made("native/libbpf.so")]


def rows_libraries() -> list[Path]:
    """The same of rows.so."""
    return [Path(LIBRARY), *made("output/rows.so")]


def name_of(library: Path) -> str:
    own = (Path(BUNDLED), Path(LIBRARY))
    return "installed" if library in own else library.parent.parent.name


def copy_sources(cache: Path) -> Path:
    """Copy the sources that scripts/native fetched to another cache."""
    kept = CACHE / "native" / "sources"
    if not kept.exists():
        pytest.skip("the bundle was made with another EBPM_SCRIPT_CACHE, which has the sources")
    return Path(shutil.copytree(kept, cache / "native" / "sources"))


def section(elf: ELFFile, name: str) -> Any:
    return elf.get_section_by_name(name)


def script(
    name: str, *arguments: str | Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / name, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=110,
    )


# --- the library ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", bundles(), ids=name_of)
def test_it_exports_libbpfs_own_symbols_and_no_other(path: Path) -> None:
    with path.open("rb") as file:
        symbols = section(ELFFile(file), ".dynsym").iter_symbols()
        names = {one.name for one in symbols if one["st_shndx"] != "SHN_UNDEF"}
    assert len(names) > 300
    assert set(PROTOTYPES) <= names
    own = re.compile(r"(bpf|btf|libbpf|ring|ring_buffer|user_ring_buffer|perf_buffer)_\w+")
    assert [name for name in names if not own.fullmatch(name)] == []


@pytest.mark.parametrize("path", bundles(), ids=name_of)
def test_it_needs_a_libc_of_2012_and_nothing_else(path: Path) -> None:
    facts = json.loads((path.parent / "bundle.json").read_text())
    with path.open("rb") as file:
        elf = ELFFile(file)
        needed = [tag.needed for tag in section(elf, ".dynamic").iter_tags("DT_NEEDED")]
        versions = section(elf, ".gnu.version_r")
        names = (
            [aux.name for _, auxes in versions.iter_versions() for aux in auxes] if versions else []
        )
        sections = [section.name for section in elf.iter_sections()]
        machine = elf.get_machine_arch()
    numbers = [tuple(map(int, name.removeprefix("GLIBC_").split("."))) for name in names]
    if facts["target"].endswith("gnu"):
        loader = re.compile(r"ld-linux-[\w-]+\.so\.\d")
        assert [name for name in needed if not loader.fullmatch(name)] == ["libc.so.6"]
        assert max(numbers) <= OLDEST_GLIBC
    else:
        assert needed == ["libc.so"]
        assert numbers == []
    assert {"x64": "x86_64", "AArch64": "aarch64"}[machine] == facts["target"].partition("-")[0]
    assert [name for name in sections if name.startswith((".debug", ".note", ".symtab"))] == []


@pytest.mark.parametrize("path", bundles(), ids=name_of)
def test_it_knows_nothing_of_the_machine_that_made_it(path: Path) -> None:
    data = path.read_bytes()
    for place in (str(ROOT), str(Path.home()), str(CACHE), sysconfig.get_path("purelib"), "/tmp"):
        assert place.encode() not in data


@pytest.mark.needs("rows")
@pytest.mark.parametrize("path", rows_libraries(), ids=name_of)
def test_the_writer_of_rows_has_one_function_and_needs_few(path: Path) -> None:
    with path.open("rb") as file:
        elf = ELFFile(file)
        symbols = list(section(elf, ".dynsym").iter_symbols())
        sections = [section.name for section in elf.iter_sections()]
    taken = {one.name for one in symbols if one["st_shndx"] == "SHN_UNDEF"} - {""}
    assert [one.name for one in symbols if one["st_shndx"] != "SHN_UNDEF"] == ["ebpm_rows_2"]
    assert taken - {"__stack_chk_fail", "__stack_chk_guard"} <= {
        *("memcpy", "memset", "memcmp", "bcmp", "strlen", "inet_ntop"),
    }
    assert [name for name in sections if name.startswith((".debug", ".note", ".symtab"))] == []
    data = path.read_bytes()
    for place in (str(ROOT), str(Path.home()), str(CACHE), sysconfig.get_path("purelib"), "/tmp"):
        assert place.encode() not in data


@pytest.mark.parametrize("path", bundles(), ids=name_of)
def test_licences_and_sources_come_with_it(path: Path) -> None:
    text = (path.parent / "SOURCES.txt").read_text()
    for name in ("libbpf_1.5.0.orig.tar.gz", "elfutils_0.192-4.debian.tar.xz", "EBPM_LIBBPF"):
        assert name in text
    licences = " ".join(one.name for one in (path.parent / "licenses").iterdir())
    for name in ("libbpf.LICENSE.LGPL-2.1", "elfutils.COPYING-LGPLV3", "zlib.LICENSE"):
        assert name in licences


def test_it_is_the_one_that_is_loaded_and_its_headers_are_compiled_with() -> None:
    library = Libbpf()
    assert library.path == BUNDLED
    assert library.version == "v1.5"
    assert {path.name for path in libbpf_headers().iterdir()} == HEADERS
    assert libbpf_headers() == ROOT / "ebpm/build/headers/bpf"


@pytest.mark.needs("compiler", "bpf", "musl")
def test_the_one_for_musl_runs_a_tool_under_musl(tools: Callable[[str], Path], work: Path) -> None:
    """A program linked against musl loads it: Debian has no Python that is."""
    import ziglang

    target = f"{os.uname().machine}-linux-musl"
    library = CACHE / "native" / target / "native" / "libbpf.so"
    if not library.exists():
        assert script("native", "--target", target).returncode == 0
    caches = {f"ZIG_{which}_CACHE_DIR": str(work / "zig") for which in ("GLOBAL", "LOCAL")}
    zig = Path(ziglang.__file__).parent / "zig"
    command: list[str | Path] = [
        zig,
        "cc",
        "-target",
        target,
        "-dynamic",
        "-O2",
        "-w",
        "-o",
        work / "runner",
    ]
    subprocess.run([*command, ROOT / "tests/data/runner.c"], env=caches, check=True)
    loader = musl()
    assert loader is not None
    done = subprocess.run(
        [loader, work / "runner", library, tools("sigsnoop") / "sigsnoop.bpf.o"],
        capture_output=True,
        text=True,
    )
    assert done.stdout.split("\n") == ["v1.5", "events", ""], done.stderr


# --- the script ----------------------------------------------------------------------------------


def test_a_second_run_has_nothing_to_do() -> None:
    before = Path(BUNDLED).stat()
    done = script("native")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert Path(BUNDLED).stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.needs("compiler")
def test_another_folder_and_an_empty_cache_give_the_same_bytes(work: Path) -> None:
    copy = work / "another place" / "of a longer name"
    (copy / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", copy)
    for name in ("native", "sources.py", "targets.py", "debian.py"):
        shutil.copy(ROOT / "scripts" / name, copy / "scripts")
    (copy / "ebpm/output").mkdir(parents=True)
    shutil.copy(ROOT / "ebpm/output/rows.c", copy / "ebpm/output")
    copy_sources(work / "cache")
    environment = {**os.environ, "EBPM_SCRIPT_CACHE": str(work / "cache")}
    subprocess.run([sys.executable, copy / "scripts/native"], env=environment, check=True)
    made = copy / "ebpm/runtime/libbpf/native"
    for path in sorted(Path(BUNDLED).parent.rglob("*")):
        if path.is_file():
            assert (made / path.relative_to(Path(BUNDLED).parent)).read_bytes() == path.read_bytes()
    made_rows = copy / "ebpm/output/native/rows.so"
    assert made_rows.read_bytes() == Path(LIBRARY).read_bytes()


def test_an_unknown_target_is_refused_with_those_that_there_are() -> None:
    done = script("native", "--target", "mips-linux-gnu")
    assert done.returncode == 1
    assert done.stderr.startswith("error: no such target: mips-linux-gnu\nhint: there are x86_64-")


def test_without_ziglang_it_says_what_to_install(work: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", ROOT / "scripts/native"],
        capture_output=True,
        text=True,
        env={"EBPM_SCRIPT_CACHE": str(work)},
    )
    assert done.returncode == 1
    assert "has no ziglang\nhint: " in done.stderr
    assert "pip install ziglang==" in done.stderr


def test_a_source_that_is_not_the_recorded_one_is_refused(work: Path) -> None:
    (changed,) = copy_sources(work).glob("zlib_*.orig.tar.gz")
    changed.write_bytes(changed.read_bytes()[:-1])
    done = script("native", EBPM_SCRIPT_CACHE=str(work))
    assert done.returncode == 1
    assert "is not the file that scripts/sources.py names" in done.stderr
    assert not list((work / "native").glob("*-linux-*"))


# --- wheels --------------------------------------------------------------------------------------


def built(kind: str, root: Path, folder: Path, **environment: str) -> Path:
    """Build a wheel or an sdist of a checkout, in a folder of its own."""
    inherited = {name: value for name, value in os.environ.items() if name != "EBPM_BUNDLE"}
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", folder],
        cwd=root,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    return built("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


def test_a_wheel_of_this_checkout_is_for_this_machine_and_every_python(wheel: Path) -> None:
    machine = os.uname().machine
    platform = f"manylinux_2_17_{machine}.manylinux2014_{machine}"
    assert wheel.name.endswith(
        (f"-py3-none-{platform}.whl", f"-py3-none-musllinux_1_2_{machine}.whl")
    )
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"ebpm/build/headers/bpf/{name}" for name in HEADERS} <= set(names)
    assert "ebpm/runtime/libbpf/native/libbpf.so" in names
    assert "ebpm/output/native/rows.so" in names
    assert "ebpm/runtime/libbpf/native/licenses/elfutils.COPYING-LGPLV3" in names
    assert "ebpm/build/headers/vmlinux/amd64.h.xz" in names
    assert len(names) == len(set(names))


@pytest.mark.parametrize("path", rows_libraries()[1:], ids=name_of)
def test_a_wheel_for_another_platform_takes_its_bundle(path: Path, work: Path) -> None:
    bundle = path.parent.parent
    made = built("wheel", ROOT, work, EBPM_BUNDLE=str(bundle))
    machine, _, libc = bundle.name.split("-")
    assert made.name.endswith(f"{machine}.whl")
    assert ("manylinux_2_17" if libc == "gnu" else "musllinux_1_2") in made.name
    with zipfile.ZipFile(made) as archive:
        assert archive.read("ebpm/output/native/rows.so") == path.read_bytes()
        library = (bundle / "native/libbpf.so").read_bytes()
        assert archive.read("ebpm/runtime/libbpf/native/libbpf.so") == library


def test_an_sdist_holds_no_binary_and_gives_a_wheel_for_every_platform(work: Path) -> None:
    sdist = built("sdist", ROOT, work / "sdist")
    with tarfile.open(sdist) as archive:
        names = archive.getnames()
        archive.extractall(work)
    assert not [name for name in names if name.endswith(".so") or "/headers/bpf/" in name]
    made = built("wheel", work / sdist.name.removesuffix(".tar.gz"), work / "wheel")
    assert made.name.endswith("-py3-none-any.whl")
    assert "ebpm/build/headers/vmlinux/amd64.h.xz" in zipfile.ZipFile(made).namelist()


def test_a_bundle_that_is_none_is_an_error(work: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", work],
        cwd=ROOT,
        env={**os.environ, "EBPM_BUNDLE": str(work)},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "is no bundle of scripts/native" in done.stderr


@pytest.mark.needs("compiler", "bpf")
def test_the_wheel_alone_builds_pushes_pulls_and_runs(wheel: Path, work: Path) -> None:
    """In an empty virtual environment, with no PATH; what ebpm requires is lent by this one."""
    venv.create(work / "venv", with_pip=False)
    python = work / "venv/bin/python"
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--no-deps",
    ]
    subprocess.run([*pip, "--no-index", "--disable-pip-version-check", wheel], check=True)
    (packages,) = (work / "venv/lib").glob("python3.*/site-packages")
    (packages / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def run(store: str, *command: str | Path) -> str:
        environment: Mapping[str, str] = {
            "EBPM_STORE": str(work / store),
            "EBPM_CACHE": str(work / "cache"),
        }
        done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = "import ebpm.runtime.libbpf.binding as b, ebpm.build.headers as h"
    where += "; print(b.Libbpf().path, h.libbpf_headers())"
    for place in run("", python, "-Ic", where).split():
        assert Path(place).is_relative_to(packages)
    ebpm = work / "venv/bin/ebpm"
    source = ROOT / "index/tools/sigsnoop"
    shutil.copytree(source, work / "sigsnoop", ignore=shutil.ignore_patterns("*.o", "*.json"))
    run("author", ebpm, "build", "sigsnoop", "-t", "sigsnoop:1.0")
    run("author", ebpm, "push", "sigsnoop:1.0", "oci:layout")
    run("user", ebpm, "pull", "oci:layout:sigsnoop:1.0")
    probe: list[str | Path] = [python, "-c", "import os; os.kill(os.getpid(), 0)"]
    out = run("user", ebpm, "run", "--json", "sigsnoop:1.0", "--", *probe)
    assert {(event["sig"], event["ret"]) for event in map(json.loads, out.splitlines())} == {(0, 0)}
