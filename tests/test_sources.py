"""scripts/sources.py and scripts/targets.py: patches, and what machine this is."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import ROOT


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """The modules of scripts/, importable as the scripts import them."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import sources
    import targets

    yield {"sources": sources, "targets": targets}
    for name in ("sources", "targets", "debian"):
        sys.modules.pop(name, None)


PATCH = """\
Words before it, as Debian has them.
--- a/src/file.c
+++ b/src/file.c\t2022-11-13 15:20:31
@@ -2,3 +2,4 @@ int context(void)
 two
-three
+THREE
+3.5
 four
@@ -9 +10,0 @@
-nine
--- a/elsewhere.c
+++ b/elsewhere.c
@@ -1 +1 @@
-a
+b
--\x20
2.39
"""
LINES = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def patched(folder: Path, sources: ModuleType, *lines: str) -> list[str]:
    (folder / "src").mkdir(exist_ok=True)
    (folder / "src/file.c").write_text("".join(f"{line}\n" for line in lines))
    sources.apply_patch(folder, "a.patch", PATCH)
    return (folder / "src/file.c").read_text().splitlines()


def test_a_patch_changes_what_is_there_and_passes_over_other_files(
    scripts: dict[str, ModuleType], work: Path
) -> None:
    result = patched(work, scripts["sources"], *LINES)
    assert result == ["one", "two", "THREE", "3.5", *LINES[3:8], "ten"]
    assert not (work / "elsewhere.c").exists()


def test_lines_that_moved_are_found_at_the_nearest_place(
    scripts: dict[str, ModuleType], work: Path
) -> None:
    moved = ["zero", "0.5", *LINES, *LINES[1:4]]
    result = patched(work, scripts["sources"], *moved)
    assert result == ["zero", "0.5", "one", "two", "THREE", "3.5", *LINES[3:8], "ten", *LINES[1:4]]


def test_lines_that_are_not_there_are_an_error(scripts: dict[str, ModuleType], work: Path) -> None:
    sources = scripts["sources"]
    with pytest.raises(sources.SourceError, match=r"a\.patch does not apply to .*file\.c"):
        patched(work, sources, *LINES[3:])


def test_the_machine_is_a_target_or_none(
    scripts: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = scripts["targets"]

    def on(system: str, machine: str, *, glibc: bool) -> str | None:
        def libc(_name: str) -> str:
            if glibc:
                return "glibc 2.36"
            raise ValueError("unrecognized configuration name")

        monkeypatch.setattr(targets.platform, "system", lambda: system)
        monkeypatch.setattr(targets.platform, "machine", lambda: machine)
        monkeypatch.setattr(os, "confstr", libc)
        found = targets.host()
        return found.name if found else None

    assert on("Linux", "x86_64", glibc=True) == "x86_64-linux-gnu"
    assert on("Linux", "aarch64", glibc=False) == "aarch64-linux-musl"
    assert on("Linux", "riscv64", glibc=True) is None
    assert on("Darwin", "x86_64", glibc=False) is None
