"""The program ``ebpm``: sends ``run`` down its short path, and everything else to click."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and exit."""
    arguments = sys.argv[1:]
    completing = "_EBPM_COMPLETE" in os.environ
    if arguments[:1] == ["--offline"]:
        os.environ["EBPM_OFFLINE"] = "1"  # for the commands that this one starts as well
        del arguments[0]
    try:
        if arguments == ["--version"]:
            status = _version()
        elif arguments[:1] == ["run"] and not completing and not _asks_help(arguments[1:]):
            import gc

            gc.disable()  # nothing of what is imported is garbage: 1 ms; cli/run turns it on again
            from ebpm.cli.run import main as run

            status = run(arguments[1:])
        else:
            import signal

            from ebpm.cli.commands import main as commands

            for number in (signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores one
                    signal.signal(number, _end)  # nothing half-done is left behind
            status = commands(arguments)
    except KeyboardInterrupt:
        status = 130
    _leave(status)


def _asks_help(arguments: list[str]) -> bool:
    """Whether ``run`` is asked for its own help: ``--help`` before any TARGET."""
    return not arguments or arguments[0] in ("--help", "-h")


def _end(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


def _version() -> int:
    from ebpm import __version__

    try:
        os.write(1, f"ebpm {__version__}\n".encode())
    except BrokenPipeError:
        pass
    return 0


def _leave(status: int) -> NoReturn:
    """Exit; a closed standard output must not become a traceback at the very end."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(status)
