"""What a failed load or attachment means, in words, and what to do about it.

Imported only when something has failed.
"""

from __future__ import annotations

import errno
import os

from ebpm.errors import (
    AttachFailed,
    BtfMissing,
    EbpmError,
    FeatureMissing,
    HookNotFound,
    InvalidParameter,
    LoadFailed,
    PermissionMissing,
    ProgramRejected,
    TracefsMissing,
)
from ebpm.runtime.features import (
    STRUCT_OPS_LINK,
    TASK_ITERATOR_OPTIONS,
    Feature,
    feature_of,
    lacking,
)
from ebpm.runtime.hooks import tracefs
from ebpm.runtime.privileges import missing_capabilities

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ebpm.runtime.libbpf.binding import BpfObject, Libbpf, LibbpfError
    from ebpm.runtime.log import Log
    from ebpm.runtime.plan import Plan, ProgramPlan

_KERNEL_BTF = "/sys/kernel/btf/vmlinux"
_STRUCT_OPS, _LINKED = 26, 1 << 13  # BPF_MAP_TYPE_STRUCT_OPS, BPF_F_LINK
_ENOTSUPP = 524  # of the kernel, and of no C library
_TARGETED = {  # sections that name a target, which older packages left to their loaders
    **dict.fromkeys(("kprobe", "kretprobe"), "FUNCTION"),
    **dict.fromkeys(("fentry", "fexit", "fmod_ret", "fentry.s", "fexit.s"), "FUNCTION"),
    **dict.fromkeys(("ksyscall", "kretsyscall"), "SYSCALL"),
    **dict.fromkeys(("kprobe.multi", "kretprobe.multi"), "PATTERN"),
    **dict.fromkeys(("tp", "tracepoint"), "CATEGORY/NAME"),
    **dict.fromkeys(("raw_tp", "raw_tracepoint", "raw_tp.w", "raw_tracepoint.w", "tp_btf"), "NAME"),
    **dict.fromkeys(("lsm", "lsm.s"), "HOOK"),
}
_TRACED = ("tp", "tracepoint", "kprobe", "kretprobe", "uprobe", "uretprobe", "usdt")


def permission_error(plan: Plan, what: str) -> PermissionMissing | None:
    """Name the capabilities that the process lacks for a plan, if it lacks any."""
    missing = missing_capabilities([program.section for program in plan.programs])
    if not missing:
        return None
    names = " and ".join(missing)
    return PermissionMissing(
        f"{what} needs {names}",
        hint=f"run it as root, or with {names}: sudo ebpm run …",
    )


def hook_not_found(
    section: str, tool: str, options: Mapping[str, object] | None = None
) -> HookNotFound:
    """Say which hook is absent, and which are most like it."""
    from ebpm.runtime.hooks import nearest, target_of

    target = target_of(section, options or {})
    near = nearest(section, options or {})
    hint = f"the nearest are {', '.join(near)}" if near else None
    return HookNotFound(f"{tool}: {target}", hint=hint)


def load_error(error: LibbpfError, plan: Plan, log: Log, bpf: BpfObject) -> EbpmError:
    """Say why an object could not be loaded; the program is named where the log tells it."""
    name = log.program()
    one = next((each for each in plan.programs if each.name == name), None)
    told = _load_error(error, plan, one, log, bpf)
    told.program = name
    return told


def _load_error(
    error: LibbpfError, plan: Plan, one: ProgramPlan | None, log: Log, bpf: BpfObject
) -> EbpmError:
    if error.errno in (errno.EPERM, errno.EACCES):
        denied = permission_error(plan, f"loading {plan.name}")
        if denied:
            return denied
    if log.says("target BTF"):
        return BtfMissing(
            f"the types of the kernel cannot be used for {plan.name}: {log.last()}",
            hint="--btf and BTF_FILE_PATH take a file of BTF, or an ELF file with a .BTF section",
        )
    if not os.path.exists(_KERNEL_BTF) and log.says("kernel BTF", "vmlinux BTF"):
        return BtfMissing(f"{plan.name} needs the kernel's BTF, and there is no {_KERNEL_BTF}")
    if log.says("is not on BPF FS"):
        return FeatureMissing(
            f"maps of {plan.name} are to be pinned, and no bpffs is mounted at /sys/fs/bpf",
            hint="mount it: sudo mount -t bpf none /sys/fs/bpf",
        )
    refused = log.verifier()
    told_why = refused and refused[1] and "sleepable" not in refused[1]
    if one and not told_why and (lacks := lacking_feature(one, bpf.library)):
        return _missing(plan, one, lacks)
    if refused and error.errno != errno.EPERM:
        why = refused[1] or "the verifier gave no reason"
        return ProgramRejected(f"the kernel refuses program {refused[0]!r} of {plan.name}: {why}")
    if one and one.section.removeprefix("?") in _TARGETED:
        return _without_target(plan, one)
    if lacks := _lacking_struct_ops_link(bpf):
        return FeatureMissing(f"{plan.name} needs {lacks}")
    for program in plan.programs:
        target = program.section.partition("/")[2]
        if (target and log.says(f"'{program.name}': failed to find")) or (
            error.errno == errno.ESRCH and target and log.says(f"'{target}'")
        ):
            return hook_not_found(program.section, plan.name)
    reason = log.last() or error.strerror
    if error.errno == errno.EPERM:
        which = f"program {one.name!r} at {one.section}: " if one else ""
        return FeatureMissing(
            f"this kernel does not allow what {plan.name} does: {which}{reason}",
            hint="lockdown or a hardened kernel forbids such programs; see `dmesg`",
        )
    return LoadFailed(f"{plan.name} cannot be loaded: {reason}")


def attach_error(
    error: OSError, one: ProgramPlan, plan: Plan, log: Log, library: Libbpf
) -> EbpmError:
    """Say why a program could not be attached."""
    told = _attach_error(error, one, plan, log, library)
    told.program = one.name
    return told


def _attach_error(
    error: OSError, one: ProgramPlan, plan: Plan, log: Log, library: Libbpf
) -> EbpmError:
    word = one.section.removeprefix("?").partition("/")[0]
    if error.errno in (errno.EPERM, errno.EACCES):
        denied = permission_error(plan, f"attaching {one.name}")
        if denied:
            return denied
    absent = error.errno in (errno.ENOENT, errno.ESRCH)
    if word in _TRACED and tracefs() is None and (absent or error.errno == errno.EACCES):
        return TracefsMissing(f"program {one.name!r} of {plan.name} hooks {one.section}")
    if one.section.removeprefix("?") in _TARGETED:
        return _without_target(plan, one)
    if lacks := lacking_feature(one, library):
        return _missing(plan, one, lacks)
    if absent:
        return hook_not_found(one.section, plan.name, one.options)
    unsupported = error.errno in (errno.EOPNOTSUPP, _ENOTSUPP)
    feature = feature_of(one.section)
    if unsupported and feature and feature.option:
        return FeatureMissing(
            f"{plan.name}: program {one.name!r} needs {feature.name}, and this kernel has them not",
            hint=f"a kernel built with {feature.option}=y has them",
        )
    if unsupported and one.kind == "auto":
        return FeatureMissing(
            f"{plan.name}: libbpf cannot attach program {one.name!r} to {one.section!r} by itself",
            hint="docs/spec/hooks.md lists the hooks that ebpm knows, and how to name a target",
        )
    reason = log.last() or error.strerror
    if error.errno == errno.EEXIST or error.errno == errno.EBUSY:
        reason = f"{reason}: somebody else is attached there"
    hint = None
    if word in ("tp", "tracepoint") and error.errno == errno.EACCES:
        reason = "the program reads further than the record of that tracepoint goes"
        target = one.section.partition("/")[2]
        hint = f"its fields are in {tracefs()}/events/{target}/format; another may have them all"
    return AttachFailed(f"{plan.name}: program {one.name!r} at {one.section}: {reason}", hint=hint)


def _without_target(plan: Plan, one: ProgramPlan) -> InvalidParameter:
    target = _TARGETED[one.section.removeprefix("?")]
    return InvalidParameter(
        f"{plan.name}: program {one.name!r} at {one.section} does not say where to attach",
        hint=f"--attach {one.name}={one.section}/{target}",
    )


def _missing(plan: Plan, one: ProgramPlan, lacks: str) -> FeatureMissing:
    hint = None
    if "built without" in lacks:
        hint = "run it on a kernel that is built with it"
    elif "libbpf" in lacks:
        hint = "use the bundled libbpf, or name another: EBPM_LIBBPF=/path/to/libbpf.so"
    return FeatureMissing(f"{plan.name}: program {one.name!r} needs {lacks}", hint=hint)


def lacking_feature(one: ProgramPlan, library: Libbpf) -> str | None:
    """Tell what this kernel or this libbpf lacks for a program; None if it should have it all."""
    found = [feature_of(one.section)]
    if one.kind == "iter" and one.options.get("pid"):
        found.append(TASK_ITERATOR_OPTIONS)
    for feature in found:
        if feature and (why := too_old(feature, library) or lacking(feature)):
            return why
    return None


def _lacking_struct_ops_link(bpf: BpfObject) -> str | None:
    """The same for a map of the section ``.struct_ops.link``, which is no program's."""
    linked = [one for one in bpf.maps() if one.type == _STRUCT_OPS and one.flags & _LINKED]
    return (too_old(STRUCT_OPS_LINK, bpf.library) or lacking(STRUCT_OPS_LINK)) if linked else None


def too_old(feature: Feature, library: Libbpf) -> str | None:
    """Tell that a libbpf is too old for a feature."""
    if library.version_numbers >= feature.libbpf:
        return None
    major, minor = feature.libbpf
    return (
        f"{feature.name}, for which libbpf {major}.{minor} or later is needed; "
        f"{library.path} is {library.version}"
    )
