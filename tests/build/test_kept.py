"""Kernel types kept between builds: faster, and nothing else changes."""

from __future__ import annotations

import functools
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ebpm.build.compile import Workbench
from ebpm.build.headers import architectures, kept, kernel_types
from ebpm.build.pack import BuildResult
from ebpm.build.toolchain import Compiler, CompilerRun
from ebpm.errors import BuildFailed
from tests import sources

pytestmark = pytest.mark.needs("compiler")

TRACED = """\
// A comment /* of any kind */ may come first.
/* # define int no directive */

 # include <vmlinux.h> /* and this is it */
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
/// @description "who unlinked"
struct event { int pid; unsigned long where; };
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } events SEC(".maps");
struct event last;
static int never(void) { return 0; }
SEC("kprobe/do_unlinkat")
int BPF_KPROBE(on_unlink)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct event e = { BPF_CORE_READ(task, tgid), PT_REGS_IP(ctx) };
	bpf_ringbuf_output(&events, &e, sizeof(e), 0);
	return 0;
}
char LICENSE[] SEC("license") = "GPL";
"""
LOCAL = TRACED.replace("struct event last;\n", "")  # has a second compilation, for the event


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "kept"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The compiler's runs: the arguments of each."""
    found: list[list[str]] = []
    run = Compiler.run

    def spy(self: Compiler, arguments: list[str], **options: Any) -> CompilerRun:
        found.append(arguments)
        return run(self, arguments, **options)

    monkeypatch.setattr(Compiler, "run", spy)
    return found


def build(folder: Path, text: str = TRACED, **options: Any) -> BuildResult:
    """Build a source that lies in a folder."""
    folder.mkdir(exist_ok=True)
    return sources.build(folder, {"traced.bpf.c": text}, **{"kept": None, **options})


def precompiled(runs: list[list[str]]) -> int:
    """Count the compilations that were spared vmlinux.h, and forget all."""
    count = sum("-include-pch" in one for one in runs)
    runs.clear()
    return count


ONE: dict[str, Any] = {"architectures": ["amd64"]}


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has the types precompiled."""
    folder = tmp_path_factory.mktemp("warm")
    for _ in range(2):
        build(folder / "tool", kept=folder, **ONE)
    shutil.rmtree(folder / "tool")
    assert len(list(folder.glob("*/*.pch"))) == 1
    return folder


@functools.cache
def plain() -> BuildResult:
    """Build without such a folder."""
    return build(sources.folder() / "plain", **ONE)


def test_a_package_is_the_same_whatever_is_kept(
    root: Path, tmp_path: Path, runs: list[list[str]]
) -> None:
    options: dict[str, Any] = {"architectures": ["amd64", "s390x"]}  # of either byte order
    made = build(tmp_path / "one", LOCAL, **options)
    assert len(made.package.objects) == 2
    assert "never" in made.warnings
    assert precompiled(runs) == 0
    for used in (0, 2 + 2, 2 + 2):  # a first build does not know that there will be another
        assert build(tmp_path / "one", LOCAL, kept=root, **options) == made
        assert precompiled(runs) == used
        for path in root.glob("*/vmlinux.h"):
            os.utime(path, (used, used))
    moved = root.rename(tmp_path / "moved")
    assert (
        build(tmp_path / "one", LOCAL, kept=moved, **ONE).package.objects[0]
        == made.package.objects[0]
    )


def test_all_kinds_of_types_are_the_same(warm: Path, tmp_path: Path) -> None:
    made = sources.build(tmp_path, {"kinds.bpf.c": sources.KINDS}, kept=warm)
    plain = sources.build(tmp_path, {"kinds.bpf.c": sources.KINDS}, kept=None)
    assert made.package == plain.package


@pytest.mark.parametrize("architecture", architectures())
def test_without_its_types_a_header_leaves_the_same_text(
    architecture: str, root: Path, tmp_path: Path
) -> None:
    """Of each architecture, since its directives alone are taken for the whole."""
    source = sources.write(tmp_path, {"traced.bpf.c": TRACED})
    texts = []
    for folder in (None, root):
        with Workbench(source, sources.compiler(), kept=folder) as bench:
            text = bench.preprocess(architecture, architecture)
            places = [str(path) for path in bench.headers(architecture).folders()]
        text = text.replace(places[-1], "include").replace(places[0], "include")
        before, _, rest = text.partition('# 1 "include/vmlinux.h"')
        texts.append(before + rest[rest.index('traced.bpf.c" 2') :])
    assert texts[0] == texts[1]
    assert "bpf_ringbuf_output" in texts[0]
    assert kernel_types(architecture).count(b"\n#") < 20


@pytest.mark.parametrize(
    "text",
    [
        "#define BPF_NO_PRESERVE_ACCESS_INDEX\n" + TRACED,
        "// a comment that goes on \\\n" + "// here\n" + TRACED,
        "#ifndef unknown\n" + TRACED.replace("char LIC", "#endif\nchar LIC"),
        "int before;\n" + TRACED,
        '#include "first.h"\n' + TRACED,
        TRACED.replace("<vmlinux.h>", '"own.h"'),
    ],
    ids=["macro", "continued", "condition", "declaration", "header", "another"],
)
def test_what_something_could_change_is_read_as_it_is(
    text: str, warm: Path, tmp_path: Path, runs: list[list[str]]
) -> None:
    sources.write(
        tmp_path / "one", {"first.h": "#define the_first\n", "own.h": "#include <vmlinux.h>"}
    )
    made = build(tmp_path / "one", text, kept=warm, **ONE)
    assert precompiled(runs) == 0
    assert made == build(tmp_path / "one", text, **ONE)


def test_a_vmlinux_header_beside_the_source_goes_before_what_is_kept(
    warm: Path, tmp_path: Path, runs: list[list[str]]
) -> None:
    own = b"#define THE_OWN 1\n" + kernel_types("amd64")
    sources.write(tmp_path / "one", {"vmlinux.h": own})
    text = TRACED + '#ifndef THE_OWN\n#error "not mine"\n#endif\n'
    build(tmp_path / "one", text.replace("<vmlinux.h>", '"vmlinux.h"'), kept=warm, **ONE)
    assert precompiled(runs) == 0


@pytest.mark.parametrize(
    ("flag", "used"),
    [
        ("-Dd_iname=renamed", 0),
        ("-Wp,-Dd_iname=renamed", 0),
        ("-O1", 0),
        ("-Wsystem-headers", 0),
        ("-Wno-unused", 1),
        ("-Werror=return-type", 1),
        ("-Wextra", 1),
        ("-I.", 1),
    ],
)
def test_flags_that_could_change_a_header_have_it_read(
    flag: str, used: int, warm: Path, tmp_path: Path, runs: list[list[str]]
) -> None:
    made = build(tmp_path / "one", kept=warm, cflags=[flag], **ONE)
    assert bool(precompiled(runs)) == bool(used)
    assert list(warm.glob("amd64-*/*.pch"))  # it was not found wanting
    assert made.package.objects == build(tmp_path / "one", cflags=[flag], **ONE).package.objects


def test_an_error_has_the_same_words(warm: Path, tmp_path: Path) -> None:
    words = []
    for folder in (None, warm):
        with pytest.raises(BuildFailed) as caught:
            build(tmp_path / "one", TRACED + "struct task_struct { int mine; };", kept=folder)
        detail = "\n".join(line for line in caught.value.detail.splitlines() if "note:" not in line)
        words.append((caught.value.message, caught.value.hint, detail))
    assert words[0] == words[1]
    assert "redefinition of 'task_struct'" in words[0][2]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("*.pch", b"CPCH"),
        ("*.pch", None),
        ("vmlinux.h", b"#error cut\n"),
        ("digests.json", b"5"),
        ("outline/vmlinux.h", None),
    ],
)
def test_what_is_damaged_is_not_used_and_made_again(
    name: str, data: bytes | None, warm: Path, root: Path, tmp_path: Path
) -> None:
    (folder,) = warm.glob("amd64-*")
    shutil.copytree(folder, root / folder.name)
    (path,) = root.glob(f"*/{name}")
    path.chmod(0o600)
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)
    made = build(tmp_path / "one", kept=root, **ONE)
    assert (made.package.objects, made.package.build) == (
        plain().package.objects,
        plain().package.build,
    )
    assert not path.exists() or path.read_bytes() != data
    if data == b"CPCH":
        assert path.read_bytes() == b""  # not to be tried again, for a while
        os.utime(path, (0, 0))
    build(tmp_path / "one", kept=root, **ONE)
    (made_again,) = root.glob("*/*.pch")
    assert made_again.stat().st_size > 1 << 20


def test_builds_at_the_same_time_do_not_disturb_each_other(root: Path, tmp_path: Path) -> None:
    def work(number: int) -> bool:
        made = build(tmp_path / f"one{number}", kept=root, **ONE)
        return made.package.objects == plain().package.objects

    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(work, range(6)))
    (folder,) = root.iterdir()
    assert len(list(folder.glob("*.pch"))) == 1


def test_a_folder_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    for place in (tmp_path / "nowhere", Path("/proc/self")):
        made = build(tmp_path / "one", kept=place, **ONE)
        assert made.package.objects == plain().package.objects


def test_what_is_not_used_goes_when_something_new_comes(root: Path) -> None:
    old, young = time.time() - 31 * 86400, time.time() - 29 * 86400
    for name, age in (("amd64-old", old), (".interrupted", old), ("arm64-used", young)):
        (root / name / "outline").mkdir(parents=True)
        os.utime(root / name, (age, age))
    found = kept.keep(root, "amd64", b"packed", lambda _: b"int x;\n#define y\n")
    assert found is not None
    assert {path.name for path in root.iterdir()} == {"arm64-used", found.folder.name}
    assert (found.outline / "vmlinux.h").read_bytes() == b"#define y\n"


def test_few_precompiled_files_lie_beside_a_header(root: Path) -> None:
    compiler = sources.compiler()
    found = kept.keep(root, "amd64", b"packed", lambda _: b"int x;\n")
    found = kept.keep(root, "amd64", b"packed", lambda _: b"int x;\n")
    assert found is not None
    made = [found.precompiled(compiler, [f"-O{number}"]) for number in (0, 1, 2, 3)]
    for number, path in enumerate(made[1:]):
        assert path is not None
        os.utime(path, (number, number))
    again = found.precompiled(compiler, ["-O0"])
    assert again == made[0]
    assert len(list(found.folder.glob("*.pch"))) == 3


def test_what_cannot_be_precompiled_is_not_tried_again_and_again(
    root: Path, runs: list[list[str]]
) -> None:
    for _ in range(2):
        found = kept.keep(root, "amd64", b"packed", lambda _: b"no C;\n")
    assert found is not None
    interrupted, working = found.folder / ".old", found.folder / ".new"
    for place in (interrupted, working):
        place.mkdir()
    os.utime(interrupted, (0, 0))
    for _ in range(3):
        assert found.precompiled(sources.compiler(), []) is None
    assert len(runs) == 1
    assert not interrupted.exists()
    assert working.exists()


def test_a_compiler_that_may_change_unnoticed_is_given_nothing_precompiled(root: Path) -> None:
    for _ in range(2):
        found = kept.keep(root, "amd64", b"packed", lambda _: b"int x;\n")
    assert found is not None
    assert not found.fresh
    assert found.precompiled(replace(sources.compiler(), identity=None), []) is None
    assert found.precompiled(sources.compiler(), []) is not None
