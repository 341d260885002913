"""Catalogues: a folder of tools built into a layout with its index; published; kept up to date."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ebpm.api import Workspace
from ebpm.cache.layout import Layout
from ebpm.errors import InvalidIndex, InvalidToolFile, ManifestNotFound
from ebpm.index import toolfile
from ebpm.index.describe import describe_tool
from ebpm.index.document import Page, ToolIndex, pack_index
from ebpm.index.entry import IndexEntry
from ebpm.index.resolve import INDEX_NAME, index_reference
from ebpm.oci.copy import copy
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.platform import Platform
from ebpm.oci.store import MemoryStore
from ebpm.package import artifact
from ebpm.package.files import write_composed
from ebpm.target import REMOTE, Target

if TYPE_CHECKING:
    from collections.abc import Sequence

_SOURCES = (".bpf.c", ".h")
_DEFAULT = Platform("linux", "amd64")  # of objects that say none: those of ebpm build all do
_AT_ONCE = 2  # compilers


@dataclass(frozen=True, slots=True)
class Made:
    """A tool that was built: its artifact, entry and page."""

    store: MemoryStore
    root: Descriptor
    entry: IndexEntry
    page: Page

    @property
    def tags(self) -> tuple[str, ...]:
        """The names under which a layout has it."""
        return tags_of(self.entry)


def tags_of(entry: IndexEntry) -> tuple[str, ...]:
    """List the names of a tool in a catalogue's layout and below its base."""
    versions = [entry.version] if entry.version else []
    return tuple(f"{entry.name}:{tag}" for tag in (*versions, "latest"))


def tool_folders(folder: Path) -> list[Path]:
    """List the folders of a catalogue that have a tool in them; a tool's own is a catalogue of one.

    Raises:
        InvalidToolFile: there is none.
    """
    if (folder / toolfile.NAME).exists():
        return [folder]
    found = [
        one
        for one in sorted(folder.iterdir() if folder.is_dir() else ())
        if one.is_dir() and ((one / toolfile.NAME).exists() or list(one.glob("*.bpf.c")))
    ]
    if not found:
        raise InvalidToolFile(
            f"{folder} has no tools", hint="each is a folder with a tool.yaml and a NAME.bpf.c"
        )
    return found


def make_tool(folder: Path, workspace: Workspace, architectures: Sequence[str] = ()) -> Made:
    """Build one tool of a catalogue.

    Raises:
        InvalidToolFile: its tool.yaml is missing or wrong.
        BuildFailed: its source does not compile.
    """
    tool = toolfile.read_tool_file(folder / toolfile.NAME)
    package = workspace.build(folder, architectures=architectures).package
    store, root = artifact.pack(package, default=_DEFAULT, created=workspace.config.source_date)
    platforms = tuple(str(one) for one in artifact.platforms(store, root))
    entry = describe_tool(package, tool, root, platforms)
    files = {
        one.name: one.read_text("utf-8", "replace")
        for one in sorted(folder.iterdir(), key=lambda one: (one.suffix != ".c", one.name))
        if one.name.endswith(_SOURCES)
    }
    readme = folder / "README.md"
    text = readme.read_text("utf-8", "replace") if readme.exists() else ""
    return Made(store, root, entry, Page(name=tool.name, readme=text, files=files))


def build(
    folder: Path, layout: str, workspace: Workspace, architectures: Sequence[str] = ()
) -> list[IndexEntry]:
    """Build all tools of a folder into a layout, with their index.

    Args:
        folder: with one folder for each tool.
        layout: made if it is not there; also names of references in files of their own, so that
            a name is found as fast in thousands as in one.
        workspace: compiler and settings.
        architectures: OCI names; amd64 and arm64 if none are given.
    """
    folders = tool_folders(folder)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        made = list(pool.map(lambda one: make_tool(one, workspace, architectures), folders))
    store, root = pack_index([one.entry for one in made], [one.page for one in made])
    target = Layout.create(layout, journal=True)
    for one in made:
        for tag in one.tags:
            copy(one.store, one.root, target, tag)
    copy(store, root, target, INDEX_NAME)
    return [one.entry for one in made]


def open_index(layout: str) -> tuple[Layout, ToolIndex]:
    """Open a catalogue's layout and its index.

    Raises:
        InvalidIndex: it has none.
    """
    place = Layout(layout, journal=True, readonly=True)
    try:
        return place, ToolIndex(place, place.resolve(INDEX_NAME))
    except ManifestNotFound:
        raise InvalidIndex(
            f"{layout} holds no index", hint="make one: ebpm index build TOOLS -o LAYOUT"
        ) from None


def push(layout: str, base: str, workspace: Workspace) -> Iterator[tuple[str, Descriptor]]:
    """Send a catalogue to a registry: each tool to BASE/NAME, then the index to BASE/index.

    The index comes last, so that it never names what is not there yet.
    """
    place, index = open_index(layout)
    for entry in index.entries():
        for tag in tags_of(entry):
            target = Target(REMOTE, f"{base.rstrip('/')}/{tag}")
            yield target.text, workspace.push(Target("layout", f"oci:{layout}:{tag}"), target)
    target = Target(REMOTE, index_reference(base))
    yield target.text, workspace.send(place, place.resolve(INDEX_NAME), target)


def update(workspace: Workspace) -> Iterator[tuple[str, ToolIndex]]:
    """Fetch all configured indexes anew into our store."""
    for base in workspace.config.indexes:
        name, root = workspace.pull(Target(REMOTE, index_reference(base)))
        yield name, ToolIndex(workspace.store(), root)


def composed(layout: str, entry: IndexEntry) -> bytes | None:
    """Write a tool of a layout as package.json; None where its object serves one platform only.

    Such a file holds one object, so a tool with several cannot be given to everybody by it.
    """
    place = Layout(layout, journal=True, readonly=True)
    root = place.resolve(f"{entry.name}@{entry.digest}")
    package = artifact.unpack(place, root, artifact.platforms(place, root))
    if len({one.digest for one in package.objects}) > 1:
        return None
    return write_composed(package, package.objects[0], "json")
