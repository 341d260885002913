"""What this machine has of all that a tool may need, and what to do about what it lacks.

Every part is read from files: nothing is loaded, attached or mounted. A part that cannot be looked
at (a file system that is not mounted) is UNKNOWN, not absent.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from ebpm.errors import LibbpfMissing
from ebpm.runtime.hooks import tracefs
from ebpm.runtime.libbpf.binding import BUNDLED, Libbpf
from ebpm.runtime.privileges import missing_capabilities

OK, LIMITED, MISSING, UNKNOWN = "ok", "limited", "missing", "unknown"
"""LIMITED: some tools do without, others fail; MISSING: every tool fails."""

_CAPABILITIES = {  # name: an ELF section of a program that needs it
    "CAP_BPF": "socket",
    "CAP_PERFMON": "kprobe/f",
    "CAP_NET_ADMIN": "xdp",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One part of the machine."""

    part: str  # "libbpf", "BTF", …
    state: str  # OK, LIMITED, MISSING or UNKNOWN
    found: str  # what there is, in words
    remedy: str | None = None  # what to do where the state is not OK


def examine(libbpf: str | None = None, root: str = "") -> list[Finding]:
    """Look at every part, in the order in which a run needs them.

    Args:
        libbpf: the path that the user named, or None.
        root: put before /sys, /proc and /boot; for tests.
    """
    checks: tuple[Callable[[str], Finding], ...] = (
        _btf,
        _capabilities,
        _lockdown,
        _lsm,
        _tracefs,
        _probes,
        _pmu,
        _config,
        _bpffs,
        _cgroup,
    )
    return [_kernel(), _libbpf(libbpf), *(check(root) for check in checks)]


def _kernel() -> Finding:
    name = os.uname()
    return Finding(part="kernel", state=OK, found=f"{name.sysname} {name.release} {name.machine}")


def _libbpf(path: str | None) -> Finding:
    try:
        library = Libbpf(path)
    except LibbpfMissing as error:
        return Finding(part="libbpf", state=MISSING, found=error.message, remedy=error.hint)
    if path:
        which = "named by EBPM_LIBBPF"
    else:
        which = "ebpm's own" if library.path == BUNDLED else "the system's"
    return Finding(part="libbpf", state=OK, found=f"{library.version}, {which}: {library.path}")


def _btf(root: str) -> Finding:
    path = f"{root}/sys/kernel/btf/vmlinux"
    try:
        size = os.stat(path).st_size
    except OSError:
        return Finding(
            part="BTF",
            state=MISSING,
            found=f"there is no {path}",
            remedy="boot a kernel that has CONFIG_DEBUG_INFO_BTF=y; distributions' kernels "
            "have it since about 5.4 (Debian: 5.10)",
        )
    return Finding(part="BTF", state=OK, found=f"{path}, {size / 1e6:.1f} MB")


def _capabilities(root: str) -> Finding:
    lacking = [name for name, need in _CAPABILITIES.items() if name in missing_capabilities([need])]
    if not lacking:
        return Finding(part="capabilities", state=OK, found=", ".join(_CAPABILITIES))
    never = "CAP_BPF" in lacking
    setting = _text(f"{root}/proc/sys/kernel/unprivileged_bpf_disabled") or "?"
    return Finding(
        part="capabilities",
        state=MISSING if never else LIMITED,
        found=f"without {', '.join(lacking)}; kernel.unprivileged_bpf_disabled is {setting}",
        remedy="run as root, or give the capabilities: sudo ebpm run …",
    )


def _lockdown(root: str) -> Finding:
    text = _text(f"{root}/sys/kernel/security/lockdown")
    if text is None:
        return _unmounted("lockdown", root)
    mode = text.partition("[")[2].partition("]")[0] or text
    if mode == "confidentiality":
        return Finding(
            part="lockdown",
            state=MISSING,
            found=mode,
            remedy="programs may not read kernel memory: boot with lockdown=integrity, or without",
        )
    if mode == "integrity":
        return Finding(
            part="lockdown",
            state=LIMITED,
            found=mode,
            remedy="bpf_probe_write_user is refused; boot without lockdown= for tools that use it",
        )
    return Finding(part="lockdown", state=OK, found=mode)


def _lsm(root: str) -> Finding:
    text = _text(f"{root}/sys/kernel/security/lsm")
    if text is None:
        return _unmounted("lsm list", root)
    if "bpf" in text.split(","):
        return Finding(part="lsm list", state=OK, found=text)
    return Finding(
        part="lsm list",
        state=LIMITED,
        found=f"{text}, without bpf",
        remedy=f"LSM programs load and never run: boot with lsm={text},bpf",
    )


def _unmounted(part: str, root: str) -> Finding:
    return Finding(
        part=part,
        state=UNKNOWN,
        found=f"{root}/sys/kernel/security is not mounted",
        remedy="mount -t securityfs none /sys/kernel/security",
    )


def _tracefs(root: str) -> Finding:
    folder = tracefs() if not root else None
    if folder is None and os.path.exists(f"{root}/sys/kernel/tracing/events"):
        folder = f"{root}/sys/kernel/tracing"
    if folder is not None:
        return Finding(part="tracefs", state=OK, found=folder)
    return Finding(
        part="tracefs",
        state=LIMITED,
        found="not mounted, or not readable by this user",
        remedy="tracepoints are found there: mount -t tracefs none /sys/kernel/tracing, as root",
    )


def _probes(root: str) -> Finding:
    kinds = ("kprobe", "uprobe")
    devices = f"{root}/sys/bus/event_source/devices"
    have = [kind for kind in kinds if os.path.exists(f"{devices}/{kind}/type")]
    lacking = [kind for kind in kinds if kind not in have]
    if not lacking:
        return Finding(part="probes", state=OK, found=", ".join(have))
    return Finding(
        part="probes",
        state=LIMITED,
        found=f"{', '.join(have) or 'none'}; without {', '.join(lacking)}",
        remedy=f"boot a kernel with {' and '.join(f'CONFIG_{one.upper()}S=y' for one in lacking)}, "
        "or use tools on tracepoints",
    )


def _pmu(root: str) -> Finding:
    devices = f"{root}/sys/bus/event_source/devices"
    try:
        names = sorted(os.listdir(devices))
    except OSError:
        names = []
    counters = [name for name in names if name.startswith(("cpu", "armv8_pmu"))]
    if counters:
        return Finding(part="PMU", state=OK, found=", ".join(counters))
    return Finding(
        part="PMU",
        state=LIMITED,
        found="no hardware counters",
        remedy="most virtual machines have none (turn the host's vPMU on); profilers can sample "
        "on the software clock instead",
    )


def _config(root: str) -> Finding:
    release = os.uname().release
    for path in ("/proc/config.gz", f"/boot/config-{release}", f"/lib/modules/{release}/config"):
        if os.path.exists(root + path):
            return Finding(part="kernel config", state=OK, found=path)
    return Finding(
        part="kernel config",
        state=LIMITED,
        found=f"neither /proc/config.gz nor /boot/config-{release}",
        remedy="tools that read CONFIG_… (__kconfig) need it: install the kernel package's config, "
        "or modprobe configs",
    )


def _bpffs(root: str) -> Finding:
    if _mounted("bpf", root):
        return Finding(part="bpffs", state=OK, found="mounted")
    return Finding(
        part="bpffs",
        state=LIMITED,
        found="not mounted",
        remedy="pinned maps live there: mount -t bpf bpf /sys/fs/bpf, as root",
    )


def _cgroup(root: str) -> Finding:
    folder = _mounted("cgroup2", root)
    if folder:
        return Finding(part="cgroup2", state=OK, found=folder)
    return Finding(
        part="cgroup2",
        state=LIMITED,
        found="not mounted",
        remedy="cgroup programs attach there: mount -t cgroup2 none /sys/fs/cgroup",
    )


def _mounted(kind: str, root: str) -> str | None:
    """Tell where a file system of a kind is mounted first."""
    for line in (_text(f"{root}/proc/self/mounts") or "").splitlines():
        _, folder, found, *_ = line.split()
        if found == kind:
            return folder
    return None


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None
