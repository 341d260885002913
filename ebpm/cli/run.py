"""``ebpm run``: the path that must start like a native tool. See RUN_OPTIONS for its options."""

from __future__ import annotations

import gc
import time

from ebpm import kept
from ebpm.btf import layout as kinds
from ebpm.cli.options import RUN_OPTIONS, parse
from ebpm.cli.report import interrupted, note, refused, report, tell, warn
from ebpm.cli.signals import SignalWatch, Stalled
from ebpm.cli.sinks import Outlet, open_output
from ebpm.config import Config
from ebpm.errors import EbpmError, IntegrityError, UsageError
from ebpm.output.escape import escape
from ebpm.output.stream import OutputClosed, Stream
from ebpm.runtime.params import assigned, help_text, parse_arguments
from ebpm.runtime.session import Session
from ebpm.target import parse_target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ebpm.cli.child import Child
    from ebpm.output.sink import Sink
    from ebpm.plainjson import Json
    from ebpm.runtime.plan import Plan
    from ebpm.target import Target

DEFAULT_VERSION = "0.1.0"  # what eunomia-bpf's tools say that do not say any
_PID_VARIABLES = (
    *("tgid", "target_tgid", "tgid_target", "targ_tgid", "filter_tgid"),
    *("pid", "target_pid", "pid_target", "targ_pid", "filter_pid", "filtered_pid"),
)
_CHILD_INTERVAL = 0.1  # seconds between looks at a child, where the kernel has no pidfd
_LOST_INTERVAL = 1.0  # seconds between two reports of losses


def main(arguments: list[str]) -> int:
    """Run a tool; give the exit status."""
    debug = "--debug" in arguments
    try:
        return _run(arguments)
    except EbpmError as error:
        if debug:
            raise
        return report(error)
    except OSError as error:
        if debug:
            raise
        return refused(error)
    except KeyboardInterrupt:
        return interrupted()


def _run(arguments: list[str]) -> int:
    options, rest = parse(RUN_OPTIONS, arguments)
    if not rest:
        raise UsageError("no TARGET: which tool shall run?", hint="ebpm run TARGET [TOOL OPTIONS]")
    target, *words = rest
    command: list[str] = []
    if "--" in words:
        at = words.index("--")
        words, command = words[:at], words[at + 1 :]
        if not command:
            raise UsageError("there is no command after --")
    config = Config()
    parsed = parse_target(target)
    config.offline = config.offline or bool(options["offline"])
    if options["plain_http"] and parsed.host:
        config.plain_http.append(parsed.host)
    plan, data, btf = _ready(config, parsed, options) or _prepare(config, parsed, options)
    tool = parse_arguments(plan, words)
    if tool.help:
        return _print("".join(f"{escape(line)}\n" for line in help_text(plan).splitlines()))
    if tool.version:
        return _print(f"{escape(plan.version or DEFAULT_VERSION)}\n")
    values = {**assigned(plan, options["set"]), **tool.values}
    if options["attach"]:
        from ebpm.cli.hooks import move_hooks

        move_hooks(plan, options["attach"])
    options.update(tool.run)
    return _Run(config, options, plan, data, btf).run(
        values, command, verbose=bool(options["verbose"] or tool.verbose)
    )


def _ready(
    config: Config, target: Target, options: dict[str, Any]
) -> tuple[Plan, bytes, None] | None:
    """Take what an earlier run left; None where there is more to do than that."""
    if options["pull"] == "always" or options["btf"] or config.btf:
        return None
    try:
        found = kept.find_plan(config, kept.locked(config, target))
    except IntegrityError:
        return None  # the workspace knows what to do about it
    return (*found, None) if found else None


def _prepare(
    config: Config, target: Target, options: dict[str, Any]
) -> tuple[Plan, bytes, str | None]:
    from ebpm.api import Workspace

    workspace = Workspace(config, warn=warn)
    workspace.form, workspace.no_cache = options["type"], bool(options["no_cache"])
    return workspace.prepare(target, refresh=options["pull"] == "always", btf=options["btf"])


def _print(text: str) -> int:
    try:
        Stream(1).write(text)
    except OutputClosed:
        pass
    return 0


class _Run:
    """One run of a tool, from loading to the last event."""

    def __init__(
        self,
        config: Config,
        options: dict[str, Any],
        plan: Plan,
        data: bytes,
        btf: str | None = None,
    ) -> None:
        self.config = config
        self.options = options
        self.plan = plan
        self.data = data
        self.btf = btf  # types to relocate against, where not the kernel's
        self.duration: float | None = options["duration"]
        self.left: int | None = options["count"]
        self.stream = open_output(options["output"])
        self.signals = SignalWatch()
        self._lost, self._lost_at = 0, 0.0

    def run(self, values: dict[str, Json], command: list[str], *, verbose: bool) -> int:
        """Load, attach, print until the end; everything is detached when this returns."""
        child = None
        self.plan.sources = self.plan.sources_for(values)
        colour = self.config.colour and self.stream.is_terminal()
        pure = self.config.pure
        outlet = Outlet(self.options, self.plan, self.stream, colour=colour, pure=pure)
        sink: Sink = outlet
        sort, rows = outlet.order
        try:
            if command:
                child, sink = self._child(command, values, sink)
            show = tell if verbose else None
            given = self.btf is not None
            types = None if given else kept.types_for(self.config, self.plan, self.data)
            with Session(
                self.plan,
                self.data,
                values,
                libbpf=self.config.libbpf,
                pin=bool(self.options["pin"]),
                show_log=show,
                btf=self.btf,
                interval=self.options["interval"] or outlet.interval,
                per_cpu=bool(self.options["per_cpu"]),
                sort=sort,
                rows=rows,
                look=outlet.look,
                types=types,
            ) as session:
                gc.freeze()  # what a run begins with stays to its end: not to be looked through
                gc.enable()
                self.signals.watch(session, self.stream)
                if session.printk_trouble:
                    warn(f"{self.plan.name}: {session.printk_trouble}")
                self._loop(session, sink, child, outlet)
        finally:
            self.signals.close()
            if child:
                child.close()
        if self.signals.status:
            return self.signals.status
        return child.status() if child else 0

    def _loop(self, session: Session, sink: Sink, child: Child | None, outlet: Outlet) -> None:
        if session.waits:
            note(f"{self.plan.name} is attached; Ctrl-C ends it")
        end = None if self.duration is None else time.monotonic() + self.duration
        if self.duration is not None:
            self.signals.end_by(self.duration)
        try:
            if child:
                child.start()
                if child.end is not None:
                    session.watch(child.end)
            self._once(session)
            while session.waits and not session.stopped and not (child and child.poll()):
                wait = None if end is None else end - time.monotonic()
                if wait is not None and wait <= 0:
                    break
                if child and child.end is None:
                    wait = _CHILD_INTERVAL if wait is None else min(wait, _CHILD_INTERVAL)
                self._take(session, session.batches(wait), sink)
                self._report_lost(session)
            if self.left != 0:
                self._take(session, session.remaining(), sink)
            outlet.finish()
        except (OutputClosed, Stalled):
            pass  # nobody reads any more: that is the end, and no error
        self._report_lost(session, final=True)

    def _once(self, session: Session) -> None:
        """Print what iterators write, and tell of syscall programs that failed."""
        for name, text in session.texts():
            if self.options["json"]:
                from ebpm.plainjson import dumps

                lines = text.splitlines()
                text = "".join(f"{dumps({'program': name, 'text': line})}\n" for line in lines)  # noqa: PLW2901
            self.stream.write(text)
        for name, value in session.results():
            if value:
                warn(f"{self.plan.name}: program {name} returned {value}")

    def _take(self, session: Session, batches: Any, sink: Sink) -> None:  # noqa: ANN401
        """Write what came, in one piece where it came in many small ones."""
        self.stream.hold()
        try:
            self._write(session, batches, sink)
        finally:
            self.stream.flush()

    def _write(self, session: Session, batches: Any, sink: Sink) -> None:  # noqa: ANN401
        for batch in batches:
            if self.left is None:
                sink.write(batch)
                continue
            taken = batch.head(self.left)
            sink.write(taken)
            self.left -= taken.count
            if not self.left:
                session.stop()
                return

    def _child(self, command: list[str], values: dict[str, Json], sink: Sink) -> tuple[Child, Sink]:
        """Fork the command, and arrange that only it is seen: by a variable, else by a filter."""
        from ebpm.cli.child import Child
        from ebpm.output.filter import ProcessFilter, tells_processes

        child = Child(command)
        variable = pid_variable(self.plan)
        if variable is not None:
            values.setdefault(variable, child.pid)
            return child, sink
        told = [tells_processes(one.layout, one.form) for one in self.plan.sources]
        if self.plan.printk is False and not any(told):
            warn(f"{self.plan.name} does not tell processes apart: the events of all are shown")
        return child, ProcessFilter(sink, child.pid)

    def _report_lost(self, session: Session, *, final: bool = False) -> None:
        """Say how many events are lost, when there are more; not more often than people read."""
        now = time.monotonic()
        if not final and now - self._lost_at < _LOST_INTERVAL:
            return
        self._lost_at = now
        lost = session.lost
        if lost > self._lost:
            warn(f"{self.plan.name}: {lost - self._lost} events were lost ({lost} in all)")
            self._lost = lost
        elif final and not lost and session.overflowed:
            names = ", ".join(session.overflowed)
            warn(f"{self.plan.name}: {names} was full; the program does not count what it lost")


def pid_variable(plan: Plan) -> str | None:
    """Find the variable that limits a tool to one process, by its name or its option's."""
    numbers = [one for one in plan.variables if one.layout.kind == kinds.INT]
    for name in _PID_VARIABLES:
        for variable in numbers:
            if name in (variable.name, variable.long):
                return variable.name
    return None
