"""Files that appear as a whole: whoever reads one sees the old one or the new one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ebpm.errors import OutputFailed


@contextmanager
def whole_file(path: str | Path, *, mode: int = 0o666, lasting: bool = False) -> Iterator[BinaryIO]:
    """Open a file that takes a path's place when the block ends without an error.

    Folders on the way are made. Until the end the bytes lie beside it, in a hidden file that goes
    with any error, Ctrl-C too.

    Args:
        path: a file or link that is there is replaced; a device or pipe is written to as it is.
        mode: of the file, before the umask.
        lasting: its bytes are to outlast a power cut.

    Raises:
        OutputFailed: it cannot be written.
    """
    place = Path(path)
    temporary = place.parent / f".{place.name[:80]}.{os.getpid()}.{os.urandom(4).hex()}"
    try:
        if place.exists() and not place.is_file():
            with place.open("wb") as file:
                yield file
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(fd, "wb") as file:
            yield file
            file.flush()
            if lasting:
                os.fsync(fd)
        temporary.replace(place)
    except OSError as error:
        raise OutputFailed(f"cannot write {path}: {error.strerror}") from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_whole(path: str | Path, data: bytes) -> None:
    """Write a file with some bytes; as :func:`whole_file`."""
    with whole_file(path) as file:
        file.write(data)
