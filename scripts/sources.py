"""The sources of the native bundle: pinned, fetched from Debian's archive, verified, unpacked.

A newer source is taken by a commit that changes versions and checksums here, and no other way.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from debian import Suite

SUITE = "trixie"


@dataclass(frozen=True, slots=True)
class Source:
    """A source package of Debian: upstream's archive, and Debian's patches to it."""

    name: str
    version: str  # Debian's
    license: str  # of what is compiled, as SPDX writes it
    upstream: tuple[str, str]  # file name, SHA-256
    debian: tuple[str, str]
    parts: tuple[str, ...]  # how the names of the files begin that are compiled
    texts: tuple[str, ...]  # the licence texts among upstream's files

    @property
    def files(self) -> dict[str, str]:
        """The SHA-256 of every file."""
        return dict((self.upstream, self.debian))


LIBBPF = Source(
    "libbpf",
    "1.5.0-3",
    "LGPL-2.1-only OR BSD-2-Clause",
    (
        "libbpf_1.5.0.orig.tar.gz",
        "53492aff6dd47e4da04ef5e672d753b9743848bdb38e9d90eafbe190b7983c44",
    ),
    (
        "libbpf_1.5.0-3.debian.tar.xz",
        "b526c99fc75f632540306a958576fe3923890cba95d4999efc458784802da460",
    ),
    ("src/", "include/"),
    ("LICENSE", "LICENSE.BSD-2-Clause", "LICENSE.LGPL-2.1"),
)
ELFUTILS = Source(
    "elfutils",
    "0.192-4",
    "LGPL-3.0-or-later OR GPL-2.0-or-later",
    (
        "elfutils_0.192.orig.tar.bz2",
        "616099beae24aba11f9b63d86ca6cc8d566d968b802391334c91df54eab416b4",
    ),
    (
        "elfutils_0.192-4.debian.tar.xz",
        "a18efee3ae99ea25e10a0b8c4b731a28dee685361ae89ea8136e9065c86c8942",
    ),
    ("lib/", "libelf/"),
    ("COPYING", "COPYING-GPLV2", "COPYING-LGPLV3"),
)
ZLIB = Source(
    "zlib",
    "1:1.3.dfsg+really1.3.1-1",
    "Zlib",
    (
        "zlib_1.3.dfsg+really1.3.1.orig.tar.gz",
        "60dd315c07f616887caa029408308a018ace66e3d142726a97db164b3b8f69fb",
    ),
    (
        "zlib_1.3.dfsg+really1.3.1-1.debian.tar.xz",
        "9ed525955ce9fb0c1b39be8ff98f73450dbfc6305a9a27e6149c8972d38a0a9e",
    ),
    (*"acdgituz", "LICENSE"),  # its sources lie at the top
    ("LICENSE",),
)
SOURCES = (LIBBPF, ELFUTILS, ZLIB)


class SourceError(Exception):
    """Sources cannot be had, or are not those that are recorded here."""


# --- from the archive to a folder ----------------------------------------------------------------


def fetch(folder: Path) -> None:
    """Put every file of every source into a folder, where it is absent; verify all of them."""
    absent = [
        source for source in SOURCES if not all((folder / file).exists() for file in source.files)
    ]
    if absent:
        folder.mkdir(parents=True, exist_ok=True)
        names = ", ".join(source.name for source in absent)
        print(f"== fetching the sources of {names}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(dir=folder) as name:
            temporary = Path(name)
            _download(absent, temporary)
            for file in (file for source in absent for file in source.files):
                if not (temporary / file).exists():
                    raise SourceError(f"Debian's {SUITE} does not have {file} any more")
                (temporary / file).replace(folder / file)
    for source in SOURCES:
        for file, digest in source.files.items():
            if hashlib.sha256((folder / file).read_bytes()).hexdigest() != digest:
                raise SourceError(f"{folder / file} is not the file that scripts/sources.py names")


def _download(sources: list[Source], folder: Path) -> None:
    try:
        suite = Suite(folder / "apt", SUITE, kinds=("deb-src",))
        for source in sources:
            suite.source(source.name, source.version, folder)
    except (SystemExit, OSError, subprocess.CalledProcessError) as error:
        raise SourceError(f"the sources cannot be fetched: {error}") from None


def unpack(archives: Path, tree: Path) -> None:
    """Unpack what is compiled of each source below ``tree``, with Debian's patches applied."""
    for source in SOURCES:
        folder = tree / source.name
        for name, data in _members(archives / source.upstream[0]):
            if name.startswith(source.parts) or name in source.texts:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(data)
        debian = dict(_members(archives / source.debian[0]))
        (folder / "debian-copyright").write_bytes(debian["copyright"])
        for line in debian.get("patches/series", b"").decode().splitlines():
            if name := line.partition("#")[0].strip():
                apply_patch(folder, name, debian[f"patches/{name}"].decode())


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """List the files of an archive, without the folder that holds them all."""
    with tarfile.open(archive) as files:
        for member in files:
            name = member.name.removeprefix("./").partition("/")[2]
            data = files.extractfile(member) if member.isreg() else None
            if data and name and ".." not in name.split("/"):
                yield name, data.read()


# --- patches -------------------------------------------------------------------------------------

_FILE = re.compile(r"--- \S+.*\n\+\+\+ [^/\s]+/(\S+).*\n")
_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+\d+(?:,(\d+))? @@.*\n")


def apply_patch(folder: Path, name: str, text: str) -> None:
    """Apply a unified diff to the files of it that are there.

    Raises:
        SourceError: the lines that it changes are not there, exactly as it says.
    """
    lines = text.splitlines(keepends=True)
    at, path = 0, None
    while at < len(lines):
        if match := _FILE.fullmatch("".join(lines[at : at + 2])):
            path, at = folder / match[1], at + 2
        elif path and (match := _HUNK.fullmatch(lines[at])):
            before, after, at = _hunk(lines, at + 1, int(match[2] or 1), int(match[3] or 1))
            if path.exists():
                _replace(path, before, after, int(match[1]) - 1, name)
        else:
            at += 1


def _hunk(lines: list[str], at: int, old: int, new: int) -> tuple[list[str], list[str], int]:
    """Split the lines of a hunk into those before and those after the change."""
    before: list[str] = []
    after: list[str] = []
    while len(before) < old or len(after) < new:
        kind, line = lines[at][0], lines[at][1:]
        if kind in " -\n":  # an empty line of context may have lost its blank
            before.append(line or "\n")
        if kind in " +\n":
            after.append(line or "\n")
        at += 1
    return before, after, at


def _replace(path: Path, before: list[str], after: list[str], hint: int, name: str) -> None:
    """Replace lines by others, at the place that is nearest to where the patch has them."""
    lines = path.read_text().splitlines(keepends=True)
    size = len(before)
    found = [at for at in range(len(lines) - size + 1) if lines[at : at + size] == before]
    if not found:
        raise SourceError(f"{name} does not apply to {path}")
    at = min(found, key=lambda place: abs(place - hint))
    path.write_text("".join([*lines[:at], *after, *lines[at + size :]]))
