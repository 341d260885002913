"""Files and folders that oras-py pulls: whole or not there, and nothing outside of its place.

Only for :mod:`ebpm.registry.oras`: packages of ours are never unpacked. Source of the rules: the
advisories GHSA-fxhp-mv3v-67qp and GHSA-m37j-52j7-pjw7 of oras-go.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path, PurePosixPath

from ebpm.errors import InvalidManifest
from ebpm.files import whole_file
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.store import verified
from ebpm.registry.repository import Repository

_TITLE = "org.opencontainers.image.title"
_LARGEST = 64 << 30  # bytes of all files together
_MOST = 100_000  # files and folders


def place_of(base: Path, layer: Descriptor) -> Path:
    """Tell where a layer's file goes: below the folder, whatever its title says."""
    title = layer.annotations.get(_TITLE) or str(layer.digest)
    place = base / title
    if (
        "\0" in title
        or ".." in PurePosixPath(title).parts
        or not place.resolve().is_relative_to(base)
    ):
        raise InvalidManifest(f"a file would be written outside of {base}: {title[:200]!r}")
    if place.resolve() == base:
        raise InvalidManifest(f"{title[:200]!r} is no name of a file")
    return place


def fetch_file(repository: Repository, descriptor: Descriptor, place: Path) -> None:
    """Write a blob to a file, which is there when it is whole and right."""
    with whole_file(place) as file, repository.open(descriptor) as chunks:
        file.writelines(verified(chunks, descriptor))


def fetch_folder(repository: Repository, descriptor: Descriptor, place: Path) -> None:
    """Unpack a blob to a folder, beside what is there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".ebpm-", dir=place.parent) as folder:
        archive, content = Path(folder, "archive"), Path(folder, "content")
        fetch_file(repository, descriptor, archive)
        unpack(archive, content)
        # oras puts the folder itself into its archive, unless its name ended in a slash.
        inner = content / place.name
        alone = [*content.iterdir()] == [inner] and inner.is_dir()
        shutil.copytree(inner if alone else content, place, dirs_exist_ok=True)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a .tar.gz of files and folders into a new folder; nothing else may be in it.

    Raises:
        InvalidManifest: it is damaged, too large, or holds links, devices, or names that lead out.
    """
    folder.mkdir()
    left, count = _LARGEST, 0
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                count, left = count + 1, left - member.size
                if left < 0 or count > _MOST:
                    raise InvalidManifest("an archive holds more than anybody would pack")
                _extract(tar, member, folder)
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise InvalidManifest(f"an archive cannot be unpacked: {error}") from None


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or "\0" in member.name:
        raise InvalidManifest(f"an archive would write outside of its folder: {member.name!r}")
    place = folder.joinpath(name)
    if member.isdir():
        place.mkdir(parents=True, exist_ok=True)
        return
    content = tar.extractfile(member) if member.isreg() else None
    if content is None:
        raise InvalidManifest(f"an archive holds {member.name!r}, which is no file and no folder")
    place.parent.mkdir(parents=True, exist_ok=True)
    # No link was made here, so none can be in the way; a name that comes twice is refused.
    fd = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
    with os.fdopen(fd, "wb") as file:
        shutil.copyfileobj(content, file)
        if member.mode & 0o100:
            os.fchmod(file.fileno(), os.fstat(file.fileno()).st_mode | 0o111)
