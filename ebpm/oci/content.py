"""Content on its way from one place to another."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Protocol, Self

from ebpm.oci.descriptor import Descriptor
from ebpm.oci.store import Source


class Progress(Protocol):
    """Told how far a copy is, from several threads."""

    def start(self, total: int) -> None:
        """Bytes that will be copied."""

    def advance(self, count: int) -> None:
        """Bytes that were copied."""


class Content:
    """What a source holds: chunks that can be read as often as it takes, and from any byte on.

    A target that knows no more of it reads it once, as any iterable of chunks. One that does may
    begin again, read on behind what it has already, or see whether the source is its neighbour.

    Args:
        source: where it is.
        descriptor: what it is; its bytes are not checked here.
        check: called before each chunk; raises to end the copy.
        progress: told of each byte once, however often it is read.
    """

    def __init__(
        self,
        source: Source,
        descriptor: Descriptor,
        *,
        check: Callable[[], None] | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.source = source
        self.descriptor = descriptor
        self._check = check
        self._progress = progress
        self._told = 0
        self._open: Generator[bytes, None, None] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self.since(0)

    def since(self, start: int) -> Iterator[bytes]:
        """Read from a byte on, as chunks; an earlier reading ends."""
        self.close()
        self._open = self._read(start)
        return self._open

    def close(self) -> None:
        """Give up what is being read."""
        if self._open:
            self._open.close()
            self._open = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _read(self, start: int) -> Generator[bytes, None, None]:
        self._tell(start)
        place = start
        with self.source.open(self.descriptor, start) as chunks:
            for chunk in chunks:
                if self._check:
                    self._check()
                yield chunk
                place += len(chunk)
                self._tell(place)

    def _tell(self, place: int) -> None:
        if self._progress and place > self._told:
            self._progress.advance(place - self._told)
            self._told = place
