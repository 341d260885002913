"""Where output goes: a file descriptor that may be slow, full or gone."""

from __future__ import annotations

import os

from ebpm.errors import OutputFailed


class OutputClosed(Exception):  # not a failure: the reader has seen enough
    """The reader of a pipe has gone away."""


_HELD_LIMIT = 1 << 18  # characters


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
        self._held: list[str] | None = None
        self._held_size = 0

    def hold(self) -> None:
        """Keep what is written back until :meth:`flush`, or until it is a lot: small batches."""
        self._held = []

    def flush(self) -> None:
        """Write what was held back, and hold back no more; raises what :meth:`write` does."""
        held, self._held, self._held_size = self._held, None, 0
        if held:
            self.write("".join(held))

    def write(self, text: str) -> None:
        """Write text as UTF-8, whatever the locale says.

        Raises:
            OutputClosed: nobody reads the pipe any more.
            OutputFailed: the disk is full, or the descriptor is not writable.
        """
        if self._held is not None:
            self._held.append(text)
            self._held_size += len(text)
            if self._held_size >= _HELD_LIMIT:
                self.flush()
                self.hold()
            return
        data = memoryview(text.encode("utf-8", "backslashreplace"))
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
