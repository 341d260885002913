"""Where output goes: a file descriptor that may be slow, full or gone."""

from __future__ import annotations

import os

from ebpm.errors import OutputFailed


class OutputClosed(Exception):  # not a failure: the reader has seen enough
    """The reader of a pipe has gone away."""


_HELD_LIMIT = 1 << 18  # bytes


class Stream:
    """Bytes to a descriptor. What is written is out, or an exception; but for :meth:`hold`.

    Args:
        fd: an open descriptor; :meth:`close` leaves it open.
        name: for errors.
    """

    def __init__(self, fd: int, name: str = "standard output") -> None:
        self.fd = fd
        self.name = name
        self.writing = False  # inside a write(2) that may block; signal handlers look at it
        self._held: list[bytes] | None = None
        self._held_size = 0

    def hold(self) -> None:
        """Keep what is written back until :meth:`flush`, or until it is a lot: small batches."""
        self._held = []

    def flush(self) -> None:
        """Write what was held back, and hold back no more; raises what :meth:`write` does."""
        held, self._held, self._held_size = self._held, None, 0
        if held:
            self._write(b"".join(held))

    def write(self, text: str | memoryview) -> None:
        """Write text as UTF-8, whatever the locale says; bytes as they are.

        Raises:
            OutputClosed: nobody reads the pipe any more.
            OutputFailed: the disk is full, or the descriptor is not writable.
        """
        data = text.encode("utf-8", "backslashreplace") if isinstance(text, str) else text
        if self._held is None:
            self._write(data)
            return
        self._held_size += len(data)
        if self._held_size < _HELD_LIMIT:
            self._held.append(bytes(data))  # a copy of what is not the caller's to keep
            return
        self.flush()
        self.hold()
        self._write(data)

    def _write(self, text: bytes | memoryview) -> None:
        data = memoryview(text)
        self.writing = True
        try:
            while data:
                data = data[os.write(self.fd, data) :]
        except BrokenPipeError:
            raise OutputClosed from None
        except OSError as error:
            raise OutputFailed(f"cannot write to {self.name}: {error.strerror}") from None
        finally:
            self.writing = False

    def is_terminal(self) -> bool:
        """Whether a person reads it."""
        try:
            return os.isatty(self.fd)
        except OSError:
            return False

    def columns(self) -> int:
        """The width of the terminal, in characters; 80 where it is none."""
        try:
            return os.get_terminal_size(self.fd).columns or 80
        except OSError:
            return 80
