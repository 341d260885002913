"""Static pages from an index: a list that can be searched, and a page for each tool.

Nothing is fetched from elsewhere, nothing runs inline, and everything can be read without scripts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import Any

from ebpm.errors import SiteTemplatesMissing
from ebpm.files import write_whole
from ebpm.index.document import Page, ToolIndex
from ebpm.index.entry import IndexEntry
from ebpm.package.summary import from_json, lines, memory_text, version_text

TITLE = "eBPF tools"
_GROUPS = {"block": "block I/O", "cpu": "CPU and scheduler", "syscalls": "system calls"}
_CPUS = 8  # the machine that memory is told for
_STATIC = ("style.css", "search.js", "icon.svg")
_PARAMETER, _FIELD = ("long", "short", "type", "default", "help"), ("name", "type", "description")
_SAFE = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")
_INLINE = re.compile(r"`([^`]+)`|\[([^\]]+)\]\([^)]*\)")


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a line of text: code, or plain."""

    text: str
    code: bool = False


def write_site(
    index: ToolIndex,
    folder: Path,
    *,
    title: str = TITLE,
    base: str = "",
    package: Callable[[IndexEntry], bytes | None] = lambda _: None,
) -> int:
    """Write the site of an index; tell how many tools it has.

    Args:
        index: what there is.
        folder: made if it is not there; files of the same name are replaced.
        title: of the site.
        base: where the index lies, "ghcr.io/acme/tools", if people are to run tools from there by
            their whole names.
        package: gives a tool's package.json, to be put beside its page; None leaves it out.

    Raises:
        SiteTemplatesMissing: Jinja2 is not installed.
        OutputFailed: the folder cannot be written.
    """
    render = _renderer(title)
    entries = [one for one in index.entries() if _SAFE.fullmatch(one.name)]
    pages = index.pages()
    for name in _STATIC:
        write_whole(folder / name, _text("static", name).encode())
    page = render("index.html", root="", tools=entries, groups=_groups(entries))
    write_whole(folder / "index.html", page)
    for entry in entries:
        data = package(entry)
        if data is not None:
            write_whole(folder / entry.name / "package.json", data)
        values = _values(entry, pages.get(entry.name), base)
        page = render("tool.html", root="../", package=data is not None, **values)
        write_whole(folder / entry.name / "index.html", page)
    return len(entries)


def _renderer(title: str) -> Callable[..., bytes]:
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined
    except ImportError:
        raise SiteTemplatesMissing("the site is made with Jinja2, which is not installed") from None
    environment = Environment(
        loader=FunctionLoader(lambda name: _text("templates", name)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"title": title, "memory": memory_text}

    def render(name: str, **values: Any) -> bytes:  # noqa: ANN401
        return environment.get_template(name).render(**values).encode()

    return render


def _text(kind: str, name: str) -> str:
    return resources.files("ebpm.site").joinpath(kind).joinpath(name).read_text("utf-8")


def _groups(entries: list[IndexEntry]) -> list[tuple[str, list[IndexEntry]]]:
    groups: dict[str, list[IndexEntry]] = {}
    for one in entries:
        groups.setdefault(one.groups[0] if one.groups else "other", []).append(one)
    return [(_GROUPS.get(name, name), members) for name, members in sorted(groups.items())]


def _values(entry: IndexEntry, page: Page | None, base: str) -> Mapping[str, Any]:
    capabilities = from_json(entry.capabilities)
    return {
        "tool": entry,
        "reference": f"{base.rstrip('/')}/{entry.name}" if base else entry.name,
        "lines": lines(capabilities, _CPUS),
        "capabilities": capabilities,
        "linked": entry.source.startswith(("https://", "http://")),
        "parameters": [dict.fromkeys(_PARAMETER, "") | dict(one) for one in entry.parameters],
        "reports": [
            {
                "name": report.get("name", ""),
                "fields": [
                    dict.fromkeys(_FIELD, "") | one
                    for one in report.get("fields") or ()
                    if isinstance(one, dict)
                ],
            }
            for report in entry.reports
        ],
        "needs": [
            (version_text(since), [one.what for one in members])
            for since, members in groupby(capabilities.needs, key=lambda one: one.since)
        ],
        "examples": list(examples(page.readme)) if page else [],
        "files": page.files if page else {},
    }


def examples(readme: str) -> Iterator[tuple[str, Any]]:
    """Take what a README shows before its second heading: paragraphs and blocks of a console."""
    block: list[str] | None = None
    words: list[str] = []
    for line in (*readme.splitlines(), ""):
        if line.startswith("```"):
            if block is not None:
                yield "code", "\n".join(block)
            block = [] if block is None else None
        elif block is not None:
            block.append(line)
        elif line.startswith("## "):
            return
        elif not line.strip():
            if words:
                yield "text", list(_parts(" ".join(words)))
            words = []
        elif not line.startswith(("#", "|")):
            words.append(line.strip())


def _parts(text: str) -> Iterator[Part]:
    at = 0
    for found in _INLINE.finditer(text):
        yield Part(text[at : found.start()])
        yield Part(found[1], code=True) if found[1] else Part(found[2])
        at = found.end()
    yield Part(text[at:])
