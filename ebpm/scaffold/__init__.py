"""Folders that a new tool begins with: source, header, tool.yaml, README, test, workflow.

Each template is a folder of files that end in ``.in``, with ``@TOOL@`` for the name; what they all
have in common lies in ``common``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from ebpm.errors import UsageError
from ebpm.files import write_whole

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

TEMPLATES = {
    "ringbuf": "events of a tracepoint, one a line",
    "histogram": "a distribution, counted in the kernel",
    "xdp": "packets as they come in, by XDP",
    "tc": "packets as they go out, by tc",
    "uprobe": "calls of a library's function",
}
_COMMON, _SUFFIX = "common", ".in"
_NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
_RENAMED = {"test_tool.py": "tests/test_{}.py", "gitignore": ".gitignore"}
_PLACEHOLDER = re.compile("@(?:TOOL|VERSION|SUMMARY)@")
_SUMMARY = re.compile(r"^summary: (.*)$", re.MULTILINE)


def create(folder: Path, name: str, template: str, version: str) -> list[Path]:
    """Make the folder of a new tool.

    Args:
        folder: made, or empty.
        name: of the tool; its files are called so.
        template: one of TEMPLATES.
        version: of ebpm, which the workflow installs.

    Returns:
        the files, relative to the folder.

    Raises:
        UsageError: no name of a tool, or the folder holds something.
    """
    if not _NAME.fullmatch(name) or len(name) > 64:
        raise UsageError(
            f"{name!r} is no name of a tool",
            hint="lower-case letters and digits, with - or _ between them",
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there, and not empty", hint="name another folder")
    root = resources.files("ebpm.scaffold").joinpath("templates")
    own = dict(_files(root.joinpath(template)))
    summary = _SUMMARY.search(own["tool.yaml"])
    words = {"@TOOL@": name, "@VERSION@": version, "@SUMMARY@": summary[1] if summary else name}
    made = []
    for path, text in {**dict(_files(root.joinpath(_COMMON))), **own}.items():
        filled = _PLACEHOLDER.sub(lambda found: words[found[0]], text)
        made.append(_write(folder, _place(path, name), filled))
    return sorted(made)


def _files(place: Traversable, before: str = "") -> Iterator[tuple[str, str]]:
    """Walk a template: paths without their suffix, and texts."""
    for one in place.iterdir():
        if one.is_dir():
            yield from _files(one, f"{before}{one.name}/")
        elif one.name.endswith(_SUFFIX):
            yield f"{before}{one.name.removesuffix(_SUFFIX)}", one.read_text("utf-8")


def _place(path: str, name: str) -> Path:
    if path in _RENAMED:
        return Path(_RENAMED[path].format(name.replace("-", "_")))
    if path.startswith("tool.") and path != "tool.yaml":
        return Path(name + path.removeprefix("tool"))
    return Path(path)


def _write(folder: Path, path: Path, text: str) -> Path:
    write_whole(folder / path, text.encode())
    return path
