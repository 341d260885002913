"""What earlier runs left: plans, and the types that objects need. On the path of ``ebpm run``.

All of it lies in the cache folder of the running user and can be made again.
"""

from __future__ import annotations

import os

from ebpm import __version__
from ebpm.cache import blobs, refs
from ebpm.cache.derived import Derived
from ebpm.errors import NotFound
from ebpm.runtime import kernel
from ebpm.runtime.plan import Plan
from ebpm.target import NAME, REMOTE, Target, parse_target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ebpm.config import Config


def locked(config: Config, target: Target) -> Target:
    """Take what the lock of the current folder pins a plain name to."""
    if target.kind != NAME or not {":", "@"}.isdisjoint(target.text) or target.has_range:
        return target
    from ebpm import lockfile

    found = lockfile.pinned(target.text, config.trusted_users)
    return parse_target(found) if found else target


def find_plan(
    config: Config, target: Target, *, types_given: bool = False
) -> tuple[Plan, bytes] | None:
    """Take a plan that was made before, and its object out of the store, checked.

    Args:
        config: names the stores and the cache.
        target: what is to be run, after :func:`locked`.
        types_given: there are types to relocate against even if the kernel has none.

    Returns:
        None where something of it is not here, or an index has to be asked first.

    Raises:
        IntegrityError: the store is damaged.
    """
    if target.kind not in (NAME, REMOTE) or target.has_range:
        return None
    if not (types_given or os.access(config.kernel_btf, os.R_OK)):
        return None  # the package may bring types for this kernel
    roots = [config.store, *config.lower_stores]
    if not config.indexes and not config.http_bases:  # else they are asked first
        roots.append(config.catalogue)
    for root in roots:
        descriptor = refs.read_ref(root, target.full_name)
        if descriptor is None:
            continue
        text = Derived(config.cache).read("plans", _plan_key(descriptor["digest"]))
        plan = Plan.load(text) if text else None
        if plan is None:
            return None
        try:
            data = blobs.read_blob(root, plan.object_digest, plan.object_size)
        except NotFound:
            return None
        if root == config.store:
            refs.touch(root, target.full_name)
        return plan, data
    return None


def keep_plan(config: Config, digest: str, plan: Plan) -> None:
    """Keep the plan of an artifact, for this machine; that it cannot be kept is no error."""
    Derived(config.cache).write("plans", _plan_key(digest), plan.dump().encode())


def _plan_key(digest: str) -> str:
    """Name the file that keeps a plan; the machine and our version decide what is in it."""
    return f"{digest.replace(':', '-')}.{os.uname().machine}.{__version__}.json"


def types_for(config: Config, plan: Plan, data: bytes) -> bytes | None:
    """Get the part of this kernel's BTF that an object needs; made once, then kept.

    None where that would be of no use, or could not be kept: libbpf takes the whole then.
    """
    build = kernel.build_id() if plan.trims else None
    if build is None:
        return None
    derived = Derived(config.cache)
    release = os.uname().release.replace("/", "-")
    key = f"{plan.object_digest.replace(':', '-')}.{build}.{release}.{__version__}"
    types = derived.read("types", key)
    if types is None and derived.write("types", key, b""):  # it can be kept
        types = kernel.trimmed_types(data)
        if types:
            derived.write("types", key, types)
    return types or None
