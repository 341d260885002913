"""Probes that take options: uprobes, USDT, perf events; LSM and freplace, which take a look."""

from __future__ import annotations

import errno
import os

from ebpm.errors import FeatureMissing, InvalidParameter
from ebpm.runtime.attach import attach_plainly
from ebpm.runtime.libbpf import attachments
from ebpm.runtime.libbpf.syscalls import perf_event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ebpm.runtime.attach import Attachment
    from ebpm.runtime.libbpf.binding import Program
    from ebpm.runtime.plan import ProgramPlan

_LSM_LIST = "/sys/kernel/security/lsm"
_TYPES = {"hardware": 0, "software": 1}  # PERF_TYPE_*, include/uapi/linux/perf_event.h
_EVENTS = {  # name: type, config; perf_event_open(2)
    "cpu-cycles": (0, 0),
    "cycles": (0, 0),
    "instructions": (0, 1),
    "cache-references": (0, 2),
    "cache-misses": (0, 3),
    "branch-instructions": (0, 4),
    "branches": (0, 4),
    "branch-misses": (0, 5),
    "bus-cycles": (0, 6),
    "ref-cycles": (0, 9),
    "cpu-clock": (1, 0),
    "task-clock": (1, 1),
    "page-faults": (1, 2),
    "faults": (1, 2),
    "context-switches": (1, 3),
    "cs": (1, 3),
    "cpu-migrations": (1, 4),
    "migrations": (1, 4),
    "minor-faults": (1, 5),
    "major-faults": (1, 6),
    "alignment-faults": (1, 7),
    "emulation-faults": (1, 8),
}
_NO_SUCH_EVENT = (errno.ENOENT, errno.EOPNOTSUPP, errno.ENODEV, errno.EINVAL)


# --- uprobes and USDT ----------------------------------------------------------------------------


def attach_uprobe(program: Program, one: ProgramPlan) -> Sequence[Attachment]:
    """Attach to a function of a binary: the section's, or the options'."""
    if one.retype is None and not one.options and ":" in one.section:
        return [program.attach()]
    word, _, target = one.section.removeprefix("?").partition("/")
    binary, _, function = target.rpartition(":") if ":" in target else (target, "", "")
    binary = str(one.options.get("binary", binary))
    function = str(one.options.get("function", function))
    if not binary or not function:
        lacks = "function" if binary else "binary"
        raise InvalidParameter(
            f"program {one.name!r} at {one.section} has no {lacks} to attach to",
            hint=f"--attach {one.name}=binary=PATH,function=NAME",
        )
    pid = int(one.options.get("pid", -1))
    returns = word.startswith("uret")
    if ".multi" in word:
        link = attachments.attach_uprobes(
            program, binary=binary, pattern=function, pid=pid, returns=returns
        )
        return [link]
    name, offset = _function(function)
    link = attachments.attach_uprobe(
        program, binary=binary, function=name, offset=offset, pid=pid, returns=returns
    )
    return [link]


def _function(text: str) -> tuple[str, int]:
    """Read ``NAME``, ``NAME+OFFSET`` or an offset in the file."""
    name, plus, offset = text.partition("+")
    try:
        if plus:
            return name, int(offset, 0)
        return ("", int(text, 0)) if text[0].isdecimal() else (text, 0)
    except ValueError:
        raise InvalidParameter(f"{text!r} is no function and no offset") from None


def attach_usdt(program: Program, one: ProgramPlan) -> Sequence[Attachment]:
    """Attach to a static probe of a binary."""
    if one.retype is None and not one.options:
        return [program.attach()]
    target = one.section.removeprefix("?").partition("/")[2]
    parts = target.rsplit(":", 2) if target.count(":") >= 2 else [target, "", ""]
    words = ("binary", "provider", "name")
    values = {
        word: str(one.options.get(word, part)) for word, part in zip(words, parts, strict=True)
    }
    if not all(values.values()):
        lacks = next(word for word in words if not values[word])
        raise InvalidParameter(
            f"program {one.name!r} at {one.section} has no {lacks} to attach to",
            hint=f"--attach {one.name}=binary=PATH,provider=NAME,name=NAME",
        )
    return [attachments.attach_usdt(program, **values, pid=int(one.options.get("pid", -1)))]


# --- perf events ---------------------------------------------------------------------------------


def attach_perf_event(program: Program, one: ProgramPlan) -> Sequence[Attachment]:
    """Attach to a perf event on every CPU; the software clock where the machine has no cycles."""
    kind, config = event_of(one)
    pid = int(one.options.get("pid", -1))
    cpus = [int(one.options["cpu"])] if "cpu" in one.options else [-1] if pid > 0 else online()
    period = int(one.options.get("period", 0))
    sample = period or int(one.options.get("frequency", 1))
    done: list[Attachment] = []

    def add(cpu: int) -> None:
        fd = perf_event(kind, config, sample=sample, is_frequency=not period, pid=pid, cpu=cpu)
        try:
            done.append(attachments.attach_perf_event(program, fd))
        except BaseException:
            os.close(fd)
            raise

    try:
        for cpu in cpus:
            try:
                add(cpu)
            except OSError as error:
                if done or kind or "type" in one.options or error.errno not in _NO_SUCH_EVENT:
                    raise
                kind, config = _EVENTS["cpu-clock"]
                add(cpu)
    except BaseException:
        for link in done:
            link.close()
        raise
    return done


def event_of(one: ProgramPlan) -> tuple[int, int]:
    """Tell the type and config of a program's event; the processor's cycles where none is named."""
    config = one.options.get("config", 0)
    kind = one.options.get("type", 0)
    if isinstance(kind, str):
        if kind not in _TYPES:
            raise InvalidParameter(f"{kind!r} is no type of perf events", hint=_listed(_TYPES))
        kind = _TYPES[kind]
    if isinstance(config, int):
        return kind, config
    if config not in _EVENTS:
        raise InvalidParameter(f"{config!r} is no perf event", hint=_listed(_EVENTS))
    found, number = _EVENTS[config]
    if "type" in one.options and found != kind:
        raise InvalidParameter(f"{config!r} is no event of type {one.options['type']}")
    return found, number


def _listed(names: dict[str, object] | dict[str, int] | dict[str, tuple[int, int]]) -> str:
    return f"there are {', '.join(names)}; or give a number"


def online() -> list[int]:
    """List the CPUs that are online."""
    with open("/sys/devices/system/cpu/online", encoding="ascii") as file:
        parts = [part.partition("-") for part in file.read().strip().split(",")]
    return [cpu for first, _, last in parts for cpu in range(int(first), int(last or first) + 1)]


# --- LSM and freplace ----------------------------------------------------------------------------


def attach_lsm(program: Program, one: ProgramPlan) -> Sequence[Attachment]:
    """Attach to a security hook, if the kernel will ever call it.

    Raises:
        FeatureMissing: ``bpf`` is not among the active security modules; attaching would succeed.
    """
    try:
        with open(_LSM_LIST, encoding="ascii") as file:
            active = file.read().strip()
    except OSError:  # securityfs is not mounted: nobody knows
        active = "bpf"
    if "bpf" not in active.split(","):
        raise FeatureMissing(
            f"program {one.name!r} at {one.section} would never run: bpf is not among this "
            f"kernel's security modules ({active})",
            hint=f"boot with the kernel parameter lsm={active},bpf",
        )
    return [attach_plainly(program, one)]


def attach_freplace(program: Program, one: ProgramPlan) -> Sequence[Attachment]:
    """Attach in place of the function that it was loaded for; see runtime.prepare."""
    return [attach_plainly(program, one)]


ATTACHERS = {
    "uprobe": attach_uprobe,
    "usdt": attach_usdt,
    "perf_event": attach_perf_event,
    "lsm": attach_lsm,
    "freplace": attach_freplace,
}
