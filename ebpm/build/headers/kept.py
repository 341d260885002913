"""The committed kernel types unpacked, outlined and precompiled, in a folder that outlives a build.

A vmlinux.h is 3.5 MB, and reading it is nine tenths of a compilation. Precompiled it takes a
tenth of the time, and the object is the same to the bit. Nothing here changes what a build makes:
without the folder, or with a file in it that the compiler refuses, vmlinux.h is read as it is.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from ebpm.build.toolchain import Compiler

_LONGEST_UNUSED = 30 * 86400  # seconds, after which types go when others come
_REFUSED = 86400  # seconds, for which nothing is precompiled anew when that went wrong
_MOST_PRECOMPILED = 3  # files of 24 MB beside one vmlinux.h: for each compiler and its flags one
_HEADER, _OUTLINE = "vmlinux.h", "outline/vmlinux.h"
_SEED = "types.h"  # includes it, so that it counts as a header of the system when precompiled
_DIGESTS = "digests.json"


@dataclass(frozen=True, slots=True)
class KeptTypes:
    """One architecture's types, in a folder that only the running user can write.

    Besides vmlinux.h there is ``outline/vmlinux.h``, which has its directives alone: to preprocess
    a source it serves as well, since the types themselves are not looked at then.
    """

    folder: Path
    digest: str  # SHA-256 of vmlinux.h, in hexadecimal
    fresh: bool  # put there just now: it does not yet show that it is used again

    @property
    def outline(self) -> Path:
        """The folder of the vmlinux.h without its types."""
        return (self.folder / _OUTLINE).parent

    def precompiled(self, compiler: Compiler, flags: Sequence[str]) -> Path | None:
        """Give the file that stands for an ``#include`` of vmlinux.h, made if it is worth it.

        Making it takes more than two compilations' time, so the first build does not.

        Args:
            compiler: who is to read it.
            flags: what else decides what can be read: the compiler's defaults and its target.
        """
        if compiler.identity is None:
            return None
        key = sha256("\0".join((compiler.identity, *flags)).encode()).hexdigest()[:16]
        path = self.folder / f"{key}.pch"
        with suppress(FileNotFoundError):
            status = path.stat()
            if status.st_size:
                os.utime(path)
                return path
            if time.time() - status.st_mtime < _REFUSED:
                return None
        return None if self.fresh else self._precompile(path, compiler, flags)

    def refuse(self, path: Path) -> None:
        """Remember for a day that a file was of no use, or could not be made."""
        with suppress(OSError):
            path.unlink(missing_ok=True)
            path.touch(0o600)

    def _precompile(self, path: Path, compiler: Compiler, flags: Sequence[str]) -> Path | None:
        _remove(self.folder.glob(".*"), _REFUSED)
        try:
            with TemporaryDirectory(dir=self.folder, prefix=".") as name:
                made = Path(name) / path.name
                # The time of vmlinux.h is left out: its bytes are known by their digest.
                arguments = [*flags, "-isystem", str(self.folder), "-Xclang", "-fno-pch-timestamp"]
                arguments += ["-x", "c-header", str(self.folder / _SEED), "-o", str(made)]
                if not compiler.run(arguments).ok:
                    self.refuse(path)
                    return None
                made.chmod(0o400)
                made.replace(path)
            others = sorted(self.folder.glob("*.pch"), key=_time, reverse=True)
            for other in others[_MOST_PRECOMPILED:]:
                other.unlink(missing_ok=True)
        except OSError:
            return None
        return path


def keep(
    root: Path, architecture: str, packed: bytes, unpack: Callable[[bytes], bytes]
) -> KeptTypes | None:
    """Find an architecture's types in a folder, or put them there.

    Args:
        root: only the running user can write it.
        architecture: as OCI names it.
        packed: the committed file, by whose digest they are found.
        unpack: gives the vmlinux.h in it.

    Returns:
        None where they cannot be kept, which is nobody's error.
    """
    folder = root / f"{architecture}-{sha256(packed).hexdigest()[:16]}"
    if found := _find(folder):
        return found
    unpacked = unpack(packed)
    try:
        _remove(root.iterdir(), _LONGEST_UNUSED)
        with TemporaryDirectory(dir=root, prefix=".") as name:
            made = Path(name) / folder.name
            (made / _OUTLINE).parent.mkdir(0o700, parents=True)
            files = {_HEADER: unpacked, _OUTLINE: _directives(unpacked)}
            files[_SEED] = b'#include "vmlinux.h"\n'
            digests = {name: sha256(data).hexdigest() for name, data in files.items()}
            for place, data in (files | {_DIGESTS: json.dumps(digests).encode()}).items():
                (made / place).write_bytes(data)
                (made / place).chmod(0o400)
            made.rename(folder)
    except OSError:
        return _find(folder)  # another build may have been first
    return KeptTypes(folder, digests[_HEADER], fresh=True)


def _directives(header: bytes) -> bytes:
    """Keep a header's directives; those of the committed ones have a line each, and begin it."""
    parts = (b"\n" + header).split(b"\n#")[1:]
    return b"".join(b"#" + part.partition(b"\n")[0] + b"\n" for part in parts)


def _find(folder: Path) -> KeptTypes | None:
    """Open types that are there; what is damaged is removed."""
    try:
        digests = json.loads((folder / _DIGESTS).read_bytes())
        found = {name: sha256((folder / name).read_bytes()).hexdigest() for name in digests}
        if found == digests:
            os.utime(folder)
            return KeptTypes(folder, digests[_HEADER], fresh=False)
    except (OSError, ValueError, TypeError):
        if not folder.exists():
            return None
    shutil.rmtree(folder, ignore_errors=True)
    return None


def _remove(paths: Iterable[Path], age: float) -> None:
    """Remove what nobody has used for so many seconds: what is superseded or was interrupted."""
    oldest = time.time() - age
    for path in paths:
        if _time(path) < oldest:
            shutil.rmtree(path, ignore_errors=True)


def _time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
