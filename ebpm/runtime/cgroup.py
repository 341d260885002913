"""Control groups by their paths: options that name one (``struct ebpm_cgroup``), hooks on one."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ebpm.plainjson import Json
    from ebpm.runtime.libbpf.binding import BpfObject
    from ebpm.runtime.plan import Plan

ARRAY = "ebpm_cgroups"  # of <ebpm/cgroup.h>: entry 0 is the group of the tool's option


def cgroup_root() -> str:
    """Find where cgroup2 is mounted."""
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="replace") as file:
            found = [line.split() for line in file]
    except OSError:
        found = []
    return next((words[1] for words in found if words[2] == "cgroup2"), "/sys/fs/cgroup")


def open_cgroup(path: str) -> int:
    """Open a group's folder; a relative path begins where cgroup2 is mounted.

    So does one that is nowhere else, for that is how /proc/PID/cgroup writes it.

    Returns:
        a descriptor, which the caller closes.

    Raises:
        ValueError: there is no such folder, or it is none of cgroup2.
    """
    root = cgroup_root()
    below = os.path.join(root, path.lstrip("/"))
    path = below if not os.path.exists(path) and os.path.exists(below) else os.path.join(root, path)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:  # ValueError: a NUL in it
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"there is no cgroup {path}: {reason}") from None
    try:
        names = os.listdir(fd)
    except OSError:  # it was removed just now
        names = []
    if "cgroup.controllers" not in names:  # which every group of cgroup2 has
        os.close(fd)
        older = ": it is one of cgroup v1" if "cgroup.procs" in names else ""
        raise ValueError(f"{path} is no folder of cgroup2{older}")
    return fd


def cgroup_id(path: str) -> int:
    """Tell a group's ID, as bpf_get_current_cgroup_id() does.

    It is the inode of the group's folder since Linux 5.5, on machines of 64 bits.

    Raises:
        ValueError: as :func:`open_cgroup`.
    """
    fd = open_cgroup(path)
    try:
        return os.fstat(fd).st_ino
    finally:
        os.close(fd)


def stored(value: Json) -> Json:
    """Turn the value of an option, a path or "", into what its variable holds: the ID, or 0.

    Raises:
        ValueError: as :func:`open_cgroup`.
    """
    return (cgroup_id(value) if value else 0) if isinstance(value, str) else value


def fill_array(bpf: BpfObject, plan: Plan, values: Mapping[str, Json]) -> None:
    """Put the group that an option names into the array of <ebpm/cgroup.h>, after the load.

    Raises:
        InvalidParameter: the group is gone by now.
    """
    from ebpm.btf import layout as kinds
    from ebpm.errors import InvalidParameter

    array = bpf.map(ARRAY)
    for variable in plan.variables:
        value = values.get(variable.name, variable.default)
        if array is None or variable.layout.kind != kinds.CGROUP or not value:
            continue
        try:
            fd = open_cgroup(str(value))
        except ValueError as error:
            raise InvalidParameter(f"{variable.name}: {error}") from None
        try:
            array.update(bytes(4), fd.to_bytes(4, sys.byteorder))
        finally:
            os.close(fd)
