"""The command after ``--``: started when the tool is attached, traced while it runs."""

from __future__ import annotations

import os

from ebpm.cli.signals import default_signals
from ebpm.errors import CommandFailed


class Child:
    """A command that waits to be started, so that its pid is known before it does anything.

    Args:
        command: the program and its arguments.
    """

    def __init__(self, command: list[str]) -> None:
        self._name = command[0]
        go_read, self._go = os.pipe()
        self._failed, failed_write = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(self._go)
            os.close(self._failed)
            self._become(command, go_read, failed_write)
        os.close(go_read)
        os.close(failed_write)
        self._status: int | None = None
        try:
            self.end: int | None = os.pidfd_open(self.pid)  # readable when it has ended; Linux 5.3
        except OSError:
            self.end = None

    @staticmethod
    def _become(command: list[str], go: int, failed: int) -> None:
        """Wait for the word, then be the command. Runs in the child and never returns."""
        try:
            if os.read(go, 1):
                default_signals()
                os.execvp(command[0], command)  # noqa: S606  # what the user asked for
        except OSError as error:
            os.write(failed, str(error.errno or 1).encode())
        finally:
            os._exit(127)

    def start(self) -> None:
        """Let it run.

        Raises:
            CommandFailed: there is no such program, or it is not executable.
        """
        os.write(self._go, b"x")
        os.close(self._go)
        self._go = -1
        number = os.read(self._failed, 16)  # empty once it has become the command
        os.close(self._failed)
        self._failed = -1
        if number:
            self.status()
            raise CommandFailed(f"cannot start {self._name!r}: {os.strerror(int(number))}")

    def poll(self) -> bool:
        """Whether it has ended."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = status
        return self._status is not None

    def status(self) -> int:
        """Wait for its end; give its exit status, 128 and the number where a signal ended it."""
        if self._status is None:
            _, self._status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(self._status)
        return code if code >= 0 else 128 - code

    def close(self) -> None:
        """Let one that was never started end. May be called twice."""
        for fd in (self._go, self._failed):
            if fd >= 0:
                os.close(fd)
        if self._go >= 0:
            self.status()
        if self.end is not None:
            os.close(self.end)
            self.end = None
        self._go = self._failed = -1
