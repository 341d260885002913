"""Types of kernels that have none themselves, trimmed for a package's objects."""

from __future__ import annotations

import io
import lzma
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ebpm.btf.trim import trim
from ebpm.errors import InvalidBtf, InvalidPackage, PlatformNotFound, TargetNotFound, UsageError
from ebpm.oci.platform import Platform
from ebpm.package.kernelbtf import check_path
from ebpm.package.model import KernelBtf, Package

HOST = "host"
_KERNEL = Path("/sys/kernel/btf/vmlinux")
_PLAIN, _PACKED = ".btf", ".btf.tar.xz"  # the BTFhub archive has the second
_MAGIC = (b"\x9f\xeb", b"\xeb\x9f")


@dataclass(frozen=True, slots=True)
class KernelFile:
    """A file of a kernel's types, and what that kernel is called."""

    name: str  # ID/VERSION_ID/MACHINE/RELEASE
    path: Path


def find_kernels(arguments: Iterable[str], running: str) -> list[KernelFile]:
    """Find what ``--btfgen`` names.

    Args:
        arguments: files whose paths end as in the BTFhub archive, folders of such files,
            ``NAME=FILE``, or ``host``.
        running: the name of the running kernel.

    Raises:
        UsageError: a file whose path does not tell the kernel's name.
        TargetNotFound: there is no such file, or none in the folder.
    """
    found: dict[str, KernelFile] = {}
    for argument in arguments:
        for one in _kernels(argument, running):
            found[one.name] = one
    return [found[name] for name in sorted(found)]


def _kernels(argument: str, running: str) -> Iterator[KernelFile]:
    name, equals, file = argument.partition("=")
    if argument == HOST:
        yield KernelFile(running, _KERNEL)
    elif equals and not Path(argument).exists():
        yield KernelFile(_name(name, argument), _existing(Path(file)))
    elif Path(argument).is_dir():
        paths = sorted(Path(argument).rglob(f"*{_PLAIN}")) + sorted(
            Path(argument).rglob(f"*{_PACKED}")
        )
        if not paths:
            raise TargetNotFound(f"there is no {_PLAIN} or {_PACKED} in {argument}")
        for path in paths:
            yield KernelFile(_name_of(path), path)
    else:
        path = _existing(Path(argument))
        yield KernelFile(_name_of(path), path)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise TargetNotFound(f"there is no file {path}")
    return path


def _name_of(path: Path) -> str:
    *above, last = path.absolute().parts
    return _name(
        "/".join([*above[-3:], last.removesuffix(_PACKED).removesuffix(_PLAIN)]), str(path)
    )


def _name(text: str, argument: str) -> str:
    try:
        return check_path(text, argument)
    except InvalidPackage as error:
        raise UsageError(
            error.message, hint="name the kernel: --btfgen ID/VERSION_ID/MACHINE/RELEASE=FILE"
        ) from None


def add_types(package: Package, kernels: Sequence[KernelFile]) -> tuple[Package, list[str]]:
    """Give a package the types of kernels, trimmed to what its object for each machine needs.

    Returns:
        the package, and the kernels left out since no object is for their machine.

    Raises:
        InvalidBtf: a file holds no BTF.
    """
    btfs = {one.path: one for one in package.btfs}
    left = []
    for kernel in kernels:
        platform = Platform.of_machine(kernel.name.split("/")[2])
        try:
            one = package.object_for(platform)
        except PlatformNotFound:
            left.append(kernel.name)
            continue
        try:
            btfs[kernel.name] = KernelBtf(path=kernel.name, data=trim(_read(kernel.path), one.data))
        except InvalidBtf as error:
            raise InvalidBtf(f"{kernel.path}: {error.message}") from None
    return replace(package, btfs=tuple(btfs[name] for name in sorted(btfs))), left


def _read(path: Path) -> bytes:
    data = path.read_bytes()
    if path.name.endswith(_PACKED):
        try:
            with tarfile.open(fileobj=io.BytesIO(data), mode="r:xz") as tar:
                entry = next((one for one in tar if one.isreg()), None)
                file = tar.extractfile(entry) if entry else None
                data = file.read() if file else b""
        except (tarfile.TarError, lzma.LZMAError, EOFError, OSError) as error:
            raise InvalidBtf(f"not a tar: {error}") from None
    if not data.startswith(_MAGIC):
        raise InvalidBtf("not BTF", hint="pahole and `bpftool btf dump` tell what a file holds")
    return data
