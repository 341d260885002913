"""A tool that runs while something happens: a command, beside it, or a function in this process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_NAMESPACE = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")


@dataclass(frozen=True, slots=True)
class Done:
    """What came of it."""

    output: str  # lines of JSON
    errors: str  # what ebpm said on standard error
    status: int  # of the run: the command's own, where it was started


def run_beside(
    target: str,
    command: Sequence[str],
    *,
    options: Sequence[str] = (),
    attach: Sequence[str] = (),
    network: bool = False,
    timeout: float = 60.0,
) -> Done:
    """Run a tool until a command ends: ``ebpm run --json TARGET OPTIONS -- COMMAND``.

    Args:
        target: what ``ebpm run`` takes.
        command: started when the tool is attached.
        options: the tool's.
        attach: hooks.
        network: in a new network namespace, whose loopback interface is up.
        timeout: seconds.

    Raises:
        subprocess.TimeoutExpired: it took longer; everything is stopped.
    """
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as output:  # the command prints what it likes
        words = [word for hook in attach for word in ("--attach", hook)]
        run = [sys.executable, "-m", "ebpm", "run", "--json", "-o", output.name, *words, target]
        process = subprocess.Popen(
            [*(_NAMESPACE if network else ()), *run, *options, "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            _, errors = process.communicate(timeout=timeout)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)  # the command as well, which is ebpm's child
            process.communicate()
            raise
        return Done(output.read().decode("utf-8", "replace"), errors, process.returncode)


def run_around(target: str, act: Callable[[], object], options: Sequence[str] = ()) -> Done:
    """Run a tool in this process, call a function when it is attached, and take what came of it.

    Raises:
        EbpmError: it does not run.
    """
    from ebpm.api import Workspace
    from ebpm.output.jsonl import JsonLines
    from ebpm.output.stream import Stream
    from ebpm.runtime.params import parse_arguments
    from ebpm.runtime.session import Session
    from ebpm.target import parse_target

    workspace = Workspace()
    plan, data, btf = workspace.prepare(parse_target(target))
    values = parse_arguments(plan, list(options)).values
    plan.sources = plan.sources_for(values)
    with tempfile.TemporaryFile() as output:
        sink = JsonLines(Stream(output.fileno()), named=len(plan.sources) > 1)
        with Session(plan, data, values, libbpf=workspace.config.libbpf, btf=btf) as session:
            act()
            for batch in session.remaining():
                sink.write(batch)
        os.lseek(output.fileno(), 0, os.SEEK_SET)
        return Done(output.read().decode("utf-8", "replace"), "", 0)
