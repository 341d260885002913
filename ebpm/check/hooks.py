"""Which of an object's hooks a kernel has: this one, or one that only its types are known of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ebpm.btf import types as t
from ebpm.check.core import Kernel
from ebpm.runtime.hooks import candidates

PRESENT, ABSENT, UNKNOWN = "present", "absent", "unknown"
_SYSCALLS = ("__x64_sys_", "__arm64_sys_", "__riscv_sys_", "__s390x_sys_", "__se_sys_", "sys_")
_TRACING = ("fentry", "fexit", "fmod_ret", "kprobe", "kretprobe")
_TRACEPOINTS = ("raw_tp", "raw_tracepoint", "raw_tp.w", "raw_tracepoint.w", "tp_btf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A program's hook and whether it is there."""

    program: str
    section: str
    state: str  # PRESENT, ABSENT, or UNKNOWN: nothing here can tell


def here(program: str, section: str, options: Mapping[str, object]) -> Hook:
    """Look for a hook in the running kernel, or in the binary that it names."""
    name, known = candidates(section, options)
    state = UNKNOWN
    if known and name and "*" not in name:
        state = PRESENT if name in known else ABSENT
    return Hook(program=program, section=section, state=state)


def by_types(program: str, section: str, kernel: Kernel) -> Hook:
    """Look for a hook among a kernel's types.

    Functions have types where a compiler kept them; tracepoints have a typedef ``btf_trace_NAME``,
    but for those of system calls, which stand for a function each.
    """
    kind, _, target = section.removeprefix("?").partition("/")
    kind = kind.removesuffix(".s")
    name = target.partition("+")[0]
    state = UNKNOWN
    if kind in _TRACING and name and "*" not in name:
        # A kprobe may be at a function that has no type.
        absent = UNKNOWN if kind.startswith("k") else ABSENT
        state = PRESENT if kernel.has(t.KIND_FUNC, name) else absent
    elif kind in _TRACEPOINTS and name:
        state = PRESENT if kernel.has(t.KIND_TYPEDEF, f"btf_trace_{name}") else ABSENT
    elif kind in ("tp", "tracepoint") and "/" in target:
        state = _tracepoint(target, kernel)
    elif kind in ("ksyscall", "kretsyscall") and name:
        state = _function(name, kernel)
    elif kind in ("lsm", "lsm_cgroup", "iter") and name:
        word = "bpf_iter_" if kind == "iter" else "bpf_lsm_"
        state = PRESENT if kernel.has(t.KIND_FUNC, word + name) else ABSENT
    return Hook(program=program, section=section, state=state)


def _tracepoint(target: str, kernel: Kernel) -> str:
    category, _, name = target.partition("/")
    if category == "syscalls":
        for word in ("sys_enter_", "sys_exit_"):
            if name.startswith(word):
                return _function(name.removeprefix(word), kernel)
    return PRESENT if kernel.has(t.KIND_TYPEDEF, f"btf_trace_{name}") else ABSENT


def _function(call: str, kernel: Kernel) -> str:
    found = any(kernel.has(t.KIND_FUNC, word + call) for word in _SYSCALLS)
    # Names that differ from the function's (newstat, …) are too many to know them all.
    return PRESENT if found else UNKNOWN
