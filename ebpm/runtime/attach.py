"""Programs to hooks."""

from __future__ import annotations

import errno

from ebpm.errors import (
    AttachFailed,
    EbpmError,
    FeatureMissing,
    InterfaceNotFound,
    TracefsMissing,
)
from ebpm.runtime.hooks import tracefs
from ebpm.runtime.libbpf.binding import LibbpfError, TcAttachment
from ebpm.runtime.object import hook_not_found, permission_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from ebpm.runtime.libbpf.binding import BpfObject, Program
    from ebpm.runtime.log import Log
    from ebpm.runtime.plan import Plan, ProgramPlan

    class Attachment(Protocol):
        """A program at its hook."""

        def close(self) -> None:
            """Detach."""


_BPF_XDP = 37  # enum bpf_attach_type
_XDP_FLAGS = {"generic": 2, "native": 4, "offload": 8}
_TC_POINTS = {"ingress": 1, "egress": 2, "custom": 4}


def attach(bpf: BpfObject, plan: Plan, log: Log) -> list[Attachment]:
    """Attach all programs of a loaded object, in the plan's order.

    If one fails, those before it are detached again.

    Raises:
        HookNotFound: the kernel or the binary has no such hook.
        AttachFailed, FeatureMissing, PermissionMissing, InterfaceNotFound, TracefsMissing
    """
    programs = {program.name: program for program in bpf.programs()}
    done: list[Attachment] = []
    try:
        for one in plan.programs:
            try:
                done.append(_attach(programs[one.name], one))
            except LibbpfError as error:
                raise _attach_error(error, one, plan, log) from None
    except BaseException:
        detach(done)
        raise
    return done


def detach(attachments: list[Attachment]) -> None:
    """Detach, last first, and forget."""
    while attachments:
        one = attachments.pop()
        one.close()
        if isinstance(one, TcAttachment) and one.created:
            from ebpm.runtime.tc import has_filters

            if not has_filters(one.ifindex):
                one.remove_hook()


def _attach(program: Program, one: ProgramPlan) -> Attachment:
    if one.kind == "xdp":
        return _attach_xdp(program, one.options)
    if one.kind == "tc":
        return _attach_tc(program, one.options)
    if one.retype is not None:
        from ebpm.runtime.libbpf.moved import attach_to

        return attach_to(program, one.section)
    return program.attach()


def _attach_xdp(program: Program, options: dict[str, Any]) -> Attachment:
    ifindex = interface_index(str(options.get("dev", "1")))
    flags = int(options.get("flags", 0)) | _XDP_FLAGS.get(str(options.get("mode")), 0)
    try:
        return program.attach_link(ifindex, _BPF_XDP, flags)
    except LibbpfError as error:
        if error.errno != errno.EINVAL:
            raise
        return program.attach_xdp(ifindex, flags)  # Linux < 5.9 has no XDP links


def _attach_tc(program: Program, options: dict[str, Any]) -> Attachment:
    return program.attach_tc(
        interface_index(str(options.get("dev", "1"))),
        _TC_POINTS[str(options.get("direction", "ingress"))],
        int(options.get("handle", 1)),
        int(options.get("priority", 1)),
        int(options.get("parent", 0)),
    )


def interface_index(text: str) -> int:
    """Find a network interface by name or index.

    Raises:
        InterfaceNotFound: there is none in this network namespace.
    """
    import socket

    try:
        if text.isdecimal():
            socket.if_indextoname(int(text))
            return int(text)
        return socket.if_nametoindex(text)
    except (OSError, OverflowError):
        names = ", ".join(name for _, name in socket.if_nameindex())
        raise InterfaceNotFound(
            f"there is no network interface {text!r}", hint=f"there are {names}"
        ) from None


def _attach_error(error: LibbpfError, one: ProgramPlan, plan: Plan, log: Log) -> EbpmError:
    kind = one.section.removeprefix("?").partition("/")[0]
    traced = kind in ("tp", "tracepoint", "kprobe", "kretprobe", "uprobe", "uretprobe", "usdt")
    if error.errno in (errno.EPERM, errno.EACCES):
        denied = permission_error(plan, f"attaching {one.name}")
        if denied:
            return denied
    if traced and tracefs() is None and error.errno in (errno.ENOENT, errno.EACCES):
        return TracefsMissing(f"program {one.name!r} of {plan.name} hooks {one.section}")
    if error.errno in (errno.ENOENT, errno.ESRCH):
        return hook_not_found(one.section, plan.name)
    if error.errno == errno.EOPNOTSUPP:
        return FeatureMissing(
            f"{plan.name}: libbpf cannot attach program {one.name!r} to {one.section!r} by itself",
            hint="docs/spec/hooks.md lists the hooks that ebpm knows",
        )
    reason = log.last() or error.strerror
    return AttachFailed(f"{plan.name}: program {one.name!r} at {one.section}: {reason}")
