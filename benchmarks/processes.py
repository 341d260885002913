"""Commands that are timed by a process that is small: a child begins with its parent's peak."""

from __future__ import annotations

import json
import os
import time
from typing import NamedTuple


class Taken(NamedTuple):
    """What a command took."""

    seconds: float
    peak: float  # MiB, of it or its largest child
    cpu: float  # seconds, user's and system's


class Runner:
    """Runs commands from a fork of this process; make it before anything large is imported."""

    def __init__(self) -> None:
        asked, ours = os.pipe()
        answers, theirs = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            os.close(ours)
            os.close(answers)
            _serve(asked, theirs)
        os.close(asked)
        os.close(theirs)
        self._asks, self._answers = os.fdopen(ours, "w"), os.fdopen(answers)

    def run(self, command: list[str]) -> Taken:
        """Run a command, its output dropped; it must succeed."""
        self._asks.write(json.dumps([command, dict(os.environ)]) + "\n")
        self._asks.flush()
        status, *taken = json.loads(self._answers.readline())
        if status:
            raise SystemExit(f"failed with status {status}: {' '.join(command)}")
        return Taken(*taken)

    def close(self) -> None:
        """Let it end."""
        self._asks.close()
        os.waitpid(self._pid, 0)


def _serve(asked: int, answers: int) -> None:
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    with os.fdopen(asked) as questions, os.fdopen(answers, "w") as out:
        for line in questions:
            command, environment = json.loads(line)
            os.sync()
            started = time.perf_counter()
            pid = os.posix_spawnp(command[0], command, environment, file_actions=quiet)
            _, status, usage = os.wait4(pid, 0)
            seconds = time.perf_counter() - started
            cpu = usage.ru_utime + usage.ru_stime
            out.write(json.dumps([status, seconds, usage.ru_maxrss / 1024, cpu]) + "\n")
            out.flush()
    os._exit(0)
