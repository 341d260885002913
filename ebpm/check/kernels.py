"""The kernels whose types are at hand: files in the cache folder, by name."""

from __future__ import annotations

import re
from pathlib import Path

from ebpm.btf.parse import Btf
from ebpm.check.image import take_btf
from ebpm.errors import BtfMissing, InvalidBtf, TargetNotFound
from ebpm.files import write_whole

SUFFIX = ".btf"
_LIMIT = 1 << 30  # bytes of a file that BTF is taken out of
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~_-]{0,127}")


class KernelFiles:
    """BTF of kernels, one file for each.

    Args:
        folder: made when something is first put in.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """List them, by version."""
        found = [path.name.removesuffix(SUFFIX) for path in self.folder.glob(f"*{SUFFIX}")]
        return sorted(found, key=_version)

    def put(self, name: str, btf: bytes) -> Path:
        """Keep BTF under a name.

        Raises:
            InvalidBtf: it is none, or the name would be no file's.
            OutputFailed: the folder cannot be written.
        """
        if not _NAME.fullmatch(name):
            raise InvalidBtf(f"{name!r} is no name for a kernel", hint="such as debian-6.1.0-40")
        Btf(btf)
        path = self.folder / f"{name}{SUFFIX}"
        write_whole(path, btf)
        return path

    def find(self, version: str) -> Path:
        """Find a kernel by its name, or the newest of a version.

        Raises:
            BtfMissing: there is none.
        """
        for name in reversed(self.names()):
            if name == version or _of_version(name, version):
                return self.folder / f"{name}{SUFFIX}"
        known = ", ".join(self.names())
        raise BtfMissing(
            f"there are no types of a kernel {version} here",
            hint=f"ebpm btf fetch {version}" + (f", or one of these: {known}" if known else ""),
        )


def _version(name: str) -> tuple[list[int], str]:
    numbers = re.search(r"\d+(\.\d+)+(-\d+)?", name)
    return [int(one) for one in re.findall(r"\d+", numbers[0])] if numbers else [], name


def _of_version(name: str, version: str) -> bool:
    return bool(re.search(rf"(^|-){re.escape(version)}([.+-]|$)", name))


def release_of(name: str) -> tuple[int, int] | None:
    """Tell the release in a name, as (6, 1); None where there is none."""
    numbers = re.search(r"(\d+)\.(\d+)", name)
    return (int(numbers[1]), int(numbers[2])) if numbers else None


def read_btf(path: Path) -> bytes:
    """Take BTF out of a file; see :func:`ebpm.check.image.take_btf`.

    Raises:
        TargetNotFound: there is no such file, or it cannot be read.
        InvalidBtf: it holds no BTF.
    """
    try:
        if path.stat().st_size > _LIMIT:
            raise InvalidBtf(f"{path} is larger than any kernel")
        data = path.read_bytes()
    except OSError as error:
        raise TargetNotFound(f"cannot read {path}: {error.strerror}") from None
    try:
        return take_btf(data)
    except InvalidBtf as error:
        raise InvalidBtf(f"{path}: {error.message}", hint=error.hint) from None
