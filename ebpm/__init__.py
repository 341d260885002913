"""ebpm: the package manager for eBPF. Build, publish and run kernel tools by name.

>>> import ebpm
>>> package = ebpm.fetch("opensnoop")
>>> with ebpm.open(package, {"pid_target": 1234}) as session:
...     for event in session:
...         print(event.fields["comm"], event.fields["fname"])
"""

from __future__ import annotations

import sys

__version__ = "0.1.0"
__all__ = [
    "EbpmError",
    "Event",
    "Package",
    "Session",
    "__version__",
    "build",
    "fetch",
    "open",
    "push",
    "search",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ebpm.api import build, fetch, open, push, search  # noqa: A004
    from ebpm.errors import EbpmError
    from ebpm.event import Event
    from ebpm.package.model import Package
    from ebpm.runtime.session import Session

_HOMES = {
    "EbpmError": "ebpm.errors",
    "Event": "ebpm.event",
    "Package": "ebpm.package.model",
    "Session": "ebpm.runtime.session",
    "build": "ebpm.api",
    "fetch": "ebpm.api",
    "open": "ebpm.api",
    "push": "ebpm.api",
    "search": "ebpm.api",
}


def __getattr__(name: str) -> object:
    """Import what is asked for: `ebpm run` pays for nothing that it does not use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'ebpm' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


if TYPE_CHECKING:
    from types import ModuleType
else:
    ModuleType = type(sys)


class _Room(ModuleType):
    """A folder of ours that has a verb's name: it can be called as that verb."""

    def __call__(self, *arguments: object, **options: object) -> object:
        from ebpm import api

        return getattr(api, self.__name__.rpartition(".")[2])(*arguments, **options)


class _Front(ModuleType):
    """This module. The import of ``ebpm.build`` would otherwise take the verb's place."""

    def __setattr__(self, name: str, value: object) -> None:
        if name in _HOMES and isinstance(value, ModuleType):
            value.__class__ = _Room
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Front
