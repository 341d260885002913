"""Programs to hooks: who attaches which kind. What is rare is imported where it is needed."""

from __future__ import annotations

from ebpm.errors import EbpmError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    from ebpm.runtime.libbpf.binding import BpfObject, Program
    from ebpm.runtime.log import Log
    from ebpm.runtime.plan import Plan, ProgramPlan

    class Attachment(Protocol):
        """A program at its hook."""

        def close(self) -> None:
            """Detach."""

    Attacher = Callable[[Program, ProgramPlan], Sequence[Attachment]]


def attach(
    bpf: BpfObject, plan: Plan, log: Log, programs: Sequence[ProgramPlan] | None = None
) -> list[Attachment]:
    """Attach programs of a loaded object, in the plan's order.

    If one fails, those before it are detached again.

    Args:
        bpf: the object.
        plan: what it was made from.
        log: libbpf's, for the reasons of failures.
        programs: those to attach; None for all of the plan.

    Raises:
        HookNotFound: the kernel or the binary has no such hook.
        AttachFailed, FeatureMissing, PermissionMissing, InterfaceNotFound, TracefsMissing
    """
    loaded = {program.name: program for program in bpf.programs()}
    done: list[Attachment] = []
    try:
        chosen = plan.programs if programs is None else programs
        for one in sorted(chosen, key=lambda one: one.kind == "syscall"):  # they run: all is ready
            try:
                if one.kind == "auto":
                    done.append(attach_plainly(loaded[one.name], one))
                else:
                    done.extend(_attacher(one.kind)(loaded[one.name], one))
            except OSError as error:
                from ebpm.runtime.failures import attach_error

                raise attach_error(error, one, plan, log, bpf.library) from None
            except EbpmError as error:
                error.program = one.name
                raise
    except BaseException:
        detach(done)
        raise
    return done


def detach(attachments: list[Attachment]) -> None:
    """Detach, last first, and forget."""
    while attachments:
        attachments.pop().close()


def attach_plainly(program: Program, one: ProgramPlan) -> Attachment:
    """Have libbpf attach a program to what its section says, or to where it moved."""
    if one.retype is not None:
        from ebpm.runtime.libbpf.moved import attach_to

        return attach_to(program, one.section)
    return program.attach()


def _attacher(kind: str) -> Attacher:
    """Find who attaches a kind of hook (the constants of ebpm.package.hook)."""
    if kind in ("uprobe", "usdt", "perf_event", "lsm", "freplace"):
        from ebpm.runtime import probes

        return probes.ATTACHERS[kind]
    if kind == "lwt":
        from ebpm.runtime import lwt

        return lwt.attach
    if kind in ("iter", "syscall", "struct_ops", "entry"):
        from ebpm.runtime import passive

        return passive.ATTACHERS[kind]
    from ebpm.runtime import network

    return network.ATTACHERS[kind]
