"""Whether a package fits a kernel: its relocations, its hooks, and what it needs besides."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ebpm.btf.parse import Btf
from ebpm.check import hooks
from ebpm.check.core import Kernel, Verdict, compare
from ebpm.check.kernels import release_of
from ebpm.package.capabilities import Need, capabilities_of
from ebpm.runtime.kernel import BTF
from ebpm.runtime.plan import ProgramPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The kernel to compare with."""

    name: str
    types: Kernel
    release: tuple[int, int] | None  # None where only the types are known
    here: bool  # it is the running one

    @classmethod
    def running(cls) -> Machine:
        """Take the running kernel.

        Raises:
            OSError: it has no BTF.
            InvalidBtf: its BTF is damaged.
        """
        name = os.uname().release
        types = Kernel(Btf(Path(BTF).read_bytes()))
        return cls(name=name, types=types, release=release_of(name), here=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found."""

    kernel: str
    relocations: Verdict
    hooks: tuple[hooks.Hook, ...]
    needs: tuple[Need, ...]  # newest first
    lacking: tuple[Need, ...]  # those that came after the kernel's release
    helpers: tuple[str, ...]
    map_types: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether nothing is known to stand against it."""
        absent = any(one.state == hooks.ABSENT for one in self.hooks)
        return self.relocations.fits and not absent and not self.lacking


def examine(data: bytes, programs: Sequence[ProgramPlan], machine: Machine) -> Report:
    """Compare an object with a kernel; nothing is loaded.

    Args:
        data: the object.
        programs: its programs and their hooks, out of its plan.
        machine: the kernel.

    Raises:
        InvalidObject, InvalidBtf: the object or the kernel's BTF is damaged.
    """
    capabilities = capabilities_of(data)
    found = [
        hooks.here(one.name, one.section, one.options)
        if machine.here
        else hooks.by_types(one.name, one.section, machine.types)
        for one in programs
    ]
    release = machine.release
    return Report(
        kernel=machine.name,
        relocations=compare(data, machine.types),
        hooks=tuple(found),
        needs=capabilities.needs,
        lacking=tuple(one for one in capabilities.needs if release and one.since > release),
        helpers=capabilities.helpers,
        map_types=tuple(sorted({one.type for one in capabilities.maps})),
    )


def to_json(report: Report) -> dict[str, Any]:
    """Write it as a JSON object."""
    verdict = report.relocations
    return {
        "fits": report.fits,
        "kernel": report.kernel,
        "relocations": {
            "asked": verdict.asked,
            "missing": [
                {
                    "what": one.what,
                    "section": one.section,
                    "offset": one.offset,
                    "guarded": one.guarded,
                }
                for one in verdict.misses
            ],
            "unjudged": list(verdict.unjudged),
        },
        "hooks": [
            {"program": one.program, "section": one.section, "state": one.state}
            for one in report.hooks
        ],
        "helpers": list(report.helpers),
        "mapTypes": list(report.map_types),
        "needs": [
            {"what": one.what, "since": _version(one.since), "lacking": one in report.lacking}
            for one in report.needs
        ],
    }


def _version(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
