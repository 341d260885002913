"""Packages, and what it takes to run them."""

from __future__ import annotations

import os

from ebpm import kept
from ebpm.api.access import host_platform
from ebpm.api.transfer import Transfers
from ebpm.errors import IntegrityError
from ebpm.target import LAYOUT, NAME, REMOTE, Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ebpm.config import Config
    from ebpm.package.model import Package
    from ebpm.plainjson import Json
    from ebpm.runtime.plan import Plan
    from ebpm.runtime.session import Session


class Workspace(Transfers):
    """The store, the registries and the settings of one run of ebpm.

    Args:
        config: settings; those of the environment if None.
        progress: told of copies that take their time.
        log: told of each HTTP request, in a line without secrets.
        warn: told what registries warn of, and of what went wrong and was put right.
    """

    def fetch(self, target: Target, *, refresh: bool = False) -> Package:
        """Get a package with its object for this machine."""
        target = kept.locked(self.config, target)
        if target.kind in (LAYOUT, REMOTE, NAME):
            from ebpm.package.artifact import unpack

            source, root = self.locate(target, refresh=refresh)
            return unpack(source, root, [host_platform()])
        return self.read(target)

    def open(self, package: Package, values: Mapping[str, Json] | None = None) -> Session:
        """Load a package into the kernel and attach it; see :func:`ebpm.open`."""
        from ebpm.runtime.planner import make_plan
        from ebpm.runtime.session import Session

        one = package.object_for(host_platform())
        btf = _types(self.config, None) or _other_types(self.config, package, one.data)
        return Session(
            make_plan(package, one), one.data, values, libbpf=self.config.libbpf, btf=btf
        )

    def prepare(
        self, target: Target, *, refresh: bool = False, btf: str | None = None
    ) -> tuple[Plan, bytes, str | None]:
        """Get what to run; from the store, nothing is parsed a second time.

        What is damaged in the store is fetched again, where it came out of a registry.

        Args:
            target: what was asked for.
            refresh: ask the registry even if the store knows the reference.
            btf: a file with the kernel's types, instead of those that the kernel has.

        Returns:
            the plan, the object, and the path of types to relocate against if not the kernel's.
        """
        btf = _types(self.config, btf)
        target = self.settle(kept.locked(self.config, target))
        try:
            return self._prepare(target, refresh, btf)
        except IntegrityError as error:
            if target.kind != REMOTE or self.config.offline:
                raise
            if not self.refetch(target.full_name):
                raise
            if self.warn:
                self.warn(f"{error.message}; it was fetched again")
            return self._prepare(target, refresh, btf)

    def _prepare(
        self, target: Target, refresh: bool, btf: str | None
    ) -> tuple[Plan, bytes, str | None]:
        if target.kind == NAME and self.config.indexes and not self._is_here(target):
            target = self.indexed(target) or target
        if not refresh:
            ready = kept.find_plan(self.config, target, types_given=btf is not None)
            if ready:
                return *ready, btf
        from ebpm.runtime.planner import make_plan

        digest = None
        if target.kind in (LAYOUT, REMOTE, NAME):
            from ebpm.package.artifact import unpack

            source, root = self.locate(target, refresh=refresh)
            package, digest = unpack(source, root, [host_platform()]), str(root.digest)
        else:
            package = self.read(target)
        one = package.object_for(host_platform())
        plan = make_plan(package, one)
        if digest:
            kept.keep_plan(self.config, digest, plan)
        return plan, one.data, btf or _other_types(self.config, package, one.data)


def _types(config: Config, path: str | None) -> str | None:
    """Find the types of the kernel that the user gives: by an option, or BTF_FILE_PATH."""
    path = path or config.btf
    if path is None:
        return None
    from ebpm.runtime import kernelbtf

    return kernelbtf.given_types(path, kernelbtf.running_kernel())


def _other_types(config: Config, package: Package, data: bytes) -> str | None:
    """Find types for a kernel that has none; None for one that has them."""
    if os.access(config.kernel_btf, os.R_OK):
        return None
    from ebpm.runtime import kernelbtf

    names = kernelbtf.running_kernel()
    return kernelbtf.other_types(package.btfs, data, config.kernel_btf, names)
