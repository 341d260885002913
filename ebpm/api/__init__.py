"""The verbs: they introduce the rooms to one another, and own no logic of their own.

Behind them is one front door, :class:`Workspace`, built in layers of which each knows only those
before it: ``access`` is what is at hand (stores, indexes, registries, the compiler), ``names`` what
a target means, ``transfer`` how artifacts are found and moved, ``workspace`` packages and how they
are run. What a run needs whose plan is kept is not here, but in ``ebpm.kept``.
"""

from __future__ import annotations

from ebpm.api.access import host_platform
from ebpm.api.workspace import Workspace
from ebpm.target import parse_target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ebpm.config import Config
    from ebpm.index.entry import IndexEntry
    from ebpm.oci.descriptor import Descriptor
    from ebpm.package.model import Package
    from ebpm.plainjson import Json
    from ebpm.runtime.session import Session

__all__ = ["Workspace", "build", "fetch", "host_platform", "open", "push", "search"]


def fetch(target: str, *, config: Config | None = None) -> Package:
    """Get a package with its object for this machine: from a file, the store, or a registry.

    Args:
        target: a path, URL, reference or name, as on the command line.
        config: settings; those of the environment if None.

    Raises:
        EbpmError: it is not there, or not a package.
    """
    return Workspace(config).fetch(parse_target(target))


def open(  # noqa: A001  # ebpm.open, as it is called
    package: Package,
    values: Mapping[str, Json] | None = None,
    *,
    config: Config | None = None,
) -> Session:
    """Load a package into the kernel and attach it.

    Args:
        package: from :func:`fetch` or :func:`build`.
        values: of the tool's variables, by name.
        config: settings; those of the environment if None.

    Returns:
        a context manager that yields events; leaving it detaches everything.
    """
    return Workspace(config).open(package, values)


def build(source: str | Path, *, config: Config | None = None) -> Package:
    """Compile a .bpf.c file, or the one in a folder, to a package."""
    return Workspace(config).build(source).package


def search(words: str, *, config: Config | None = None) -> list[IndexEntry]:
    """Find tools by names, keywords, groups and hooks, best first; typing errors are forgiven.

    Args:
        words: all of them must be found; "" finds everything.
        config: settings; those of the environment if None.
    """
    from ebpm.index.resolve import search as find

    return [one.entry() for one in find(Workspace(config).indexes(), words.split())]


def push(package: Package, reference: str, *, config: Config | None = None) -> Descriptor:
    """Send a package to a registry; give the descriptor of its index there."""
    return Workspace(config).push_package(package, parse_target(reference))
