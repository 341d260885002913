"""What a failed attachment means, in words, and what to do about it."""

from __future__ import annotations

import errno

from ebpm.errors import AttachFailed, EbpmError, FeatureMissing, TracefsMissing
from ebpm.runtime.features import (
    STRUCT_OPS_LINK,
    TASK_ITERATOR_OPTIONS,
    Feature,
    feature_of,
    lacking,
)
from ebpm.runtime.hooks import tracefs
from ebpm.runtime.object import hook_not_found, permission_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ebpm.runtime.libbpf.binding import Libbpf
    from ebpm.runtime.log import Log
    from ebpm.runtime.plan import Plan, ProgramPlan

_ENOTSUPP = 524  # of the kernel, and of no C library
_TRACED = ("tp", "tracepoint", "kprobe", "kretprobe", "uprobe", "uretprobe", "usdt")


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
    if feature := lacking_feature(one, library):
        return FeatureMissing(f"{plan.name}: program {one.name!r} needs {feature}")
    if absent:
        return hook_not_found(one.section, plan.name, one.options)
    if error.errno in (errno.EOPNOTSUPP, _ENOTSUPP) and one.kind == "auto":
        return FeatureMissing(
            f"{plan.name}: libbpf cannot attach program {one.name!r} to {one.section!r} by itself",
            hint="docs/spec/hooks.md lists the hooks that ebpm knows, and how to name a target",
        )
    reason = log.last() or error.strerror
    if error.errno == errno.EEXIST or error.errno == errno.EBUSY:
        reason = f"{reason}: somebody else is attached there"
    return AttachFailed(f"{plan.name}: program {one.name!r} at {one.section}: {reason}")


def lacking_feature(one: ProgramPlan, library: Libbpf) -> str | None:
    """Tell what this kernel or this libbpf lacks for a program; None if it should have it all."""
    found = [feature_of(one.section)]
    if one.kind == "iter" and one.options.get("pid"):
        found.append(TASK_ITERATOR_OPTIONS)
    for feature in found:
        if feature and (why := too_old(feature, library) or lacking(feature)):
            return why
    return None


def lacking_struct_ops_link(library: Libbpf) -> str | None:
    """The same for the section ``.struct_ops.link``, which is no program's."""
    return too_old(STRUCT_OPS_LINK, library) or lacking(STRUCT_OPS_LINK)


def too_old(feature: Feature, library: Libbpf) -> str | None:
    """Tell that a libbpf is too old for a feature."""
    if library.version_numbers >= feature.libbpf:
        return None
    major, minor = feature.libbpf
    return (
        f"{feature.name}, for which libbpf {major}.{minor} or later is needed; "
        f"{library.path} is {library.version}"
    )
