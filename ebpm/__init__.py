"""ebpm: the package manager for eBPF. Build, publish and run kernel tools by name.

>>> import ebpm
>>> package = ebpm.fetch("opensnoop")
>>> with ebpm.open(package, {"pid_target": 1234}) as session:
...     for event in session:
...         print(event.fields["comm"], event.fields["fname"])
"""

from __future__ import annotations

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
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ebpm.api import build, fetch, open, push  # noqa: A004
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
}


def __getattr__(name: str) -> object:
    """Import what is asked for: `ebpm run` pays for nothing that it does not use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'ebpm' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
