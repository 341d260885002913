"""``ebpm.toml``: the tools that a folder wants, by ranges of versions; and its lock.

.. code-block:: toml

    platforms = ["linux/amd64", "linux/arm64"]

    [tools]
    sigsnoop = "~=1.0"
    opensnoop = {from = "ghcr.io/acme/opensnoop", version = ">=1.2,<2"}
    nightly = {from = "ghcr.io/acme/nightly", tag = "latest"}
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ebpm import lockfile
from ebpm.api import Workspace
from ebpm.cache.verify import absent_platforms
from ebpm.errors import (
    InvalidConfig,
    LockOutdated,
    NotFound,
    PlatformNotFound,
    TargetNotFound,
    UsageError,
)
from ebpm.files import whole_file
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.manifest import Index
from ebpm.oci.platform import Platform
from ebpm.oci.reference import Reference
from ebpm.oci.store import Source, fetch_manifest
from ebpm.oci.versions import allowed, read_range, sort_tags
from ebpm.oci.walk import Walk
from ebpm.target import NAME, REMOTE, Target

FILE = "ebpm.toml"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One tool: where it comes from, and a range of versions or a tag."""

    name: str
    source: str  # HOST/NAME, or NAME: looked up in the indexes and the stores
    versions: str | None
    tag: str | None

    @property
    def text(self) -> str:
        """What is wanted, as the lock notes it."""
        return f"{self.source}:{self.tag}" if self.tag else f"{self.source}{self.versions or '*'}"

    def choose(self, tags: Iterable[str]) -> str:
        """Choose among tags.

        Raises:
            TargetNotFound: none will do; the hint lists the newest.
        """
        listed = list(tags)
        if self.tag:
            if self.tag in listed:
                return self.tag
        elif found := allowed(listed, self.versions or ""):
            return found[0]
        newest = ", ".join(sort_tags(listed)[-5:]) or "no tags"
        raise TargetNotFound(f"{self.name}: nothing is {self.text}", hint=f"there are {newest}")


@dataclass(frozen=True, slots=True)
class Project:
    """An ebpm.toml."""

    platforms: tuple[Platform, ...]  # that every tool must have; none are no demand
    tools: dict[str, Wanted]


def read_project(path: str = FILE) -> Project:
    """Read an ebpm.toml.

    Raises:
        TargetNotFound: there is none.
        InvalidConfig: it is malformed; the message names the field.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            data = tomllib.load(file)
    except FileNotFoundError:
        raise TargetNotFound(
            f"there is no {path} here", hint='write one: [tools], and NAME = "~=1.0" for each'
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidConfig(f"cannot read {path}: {error}") from None
    if not data.keys() <= {"platforms", "tools"}:
        raise InvalidConfig(f"{path} has more than platforms and [tools]: {', '.join(data)}")
    platforms, tools = data.get("platforms", []), data.get("tools", {})
    if not _is_texts(platforms) or not isinstance(tools, dict):
        raise InvalidConfig(f"{path}: platforms is a list of texts, and tools a table")
    try:
        read = tuple(Platform.parse(one) for one in platforms)
        return Project(read, {name: _wanted(name, one) for name, one in tools.items()})
    except UsageError as error:
        raise InvalidConfig(f"{path}: {error.message}", hint=error.hint) from None


def _is_texts(value: Any) -> bool:  # noqa: ANN401  # TOML
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _wanted(name: str, value: Any) -> Wanted:  # noqa: ANN401  # TOML
    fields = {"version": value} if isinstance(value, str) else value
    known = {"from", "version", "tag"}
    if (
        not isinstance(fields, dict)
        or not fields.keys() <= known
        or not all(isinstance(one, str) for one in fields.values())
        or ("version" in fields and "tag" in fields)
    ):
        raise InvalidConfig(
            f"the tool {name!r} is neither a range of versions nor a table with from, and version "
            "or tag",
            hint=f'{name} = "~=1.0", or {name} = {{from = "HOST/NAME", tag = "latest"}}',
        )
    Reference.parse(name)
    source = fields.get("from", name)
    if str(Reference.parse(f"{source}:x")) != f"{source}:x":
        raise InvalidConfig(f"the tool {name!r} comes from {source!r}, which is not HOST/NAME")
    if "version" in fields:
        read_range(fields["version"])
    return Wanted(name, source, fields.get("version"), fields.get("tag"))


# --- resolving -----------------------------------------------------------------------------------


def lock(
    workspace: Workspace,
    project: Project,
    old: dict[str, Any] | None,
    *,
    upgrade: Iterable[str] | None = (),
) -> dict[str, Any]:
    """Pin all tools of a project.

    Args:
        workspace: whose registries and stores are asked.
        project: what is wanted.
        old: the lock before, whose pins stay where the same is wanted.
        upgrade: tools that are looked up anew all the same; all if None.

    Raises:
        TargetNotFound: no version will do.
        PlatformNotFound: a tool lacks a platform that the project names.
    """
    platforms = sorted(str(one) for one in project.platforms)
    known = old["tools"] if old and old["platforms"] == platforms else {}
    anew = set(project.tools if upgrade is None else upgrade)
    if unknown := anew - project.tools.keys():
        raise TargetNotFound(
            f"{FILE} has no tool {', '.join(sorted(unknown))}",
            hint=f"it has {', '.join(project.tools)}",
        )
    tools = {}
    for name, wanted in sorted(project.tools.items()):
        kept = known.get(name)
        if kept and name not in anew and kept["wanted"] == wanted.text:
            tools[name] = kept
        else:
            tools[name] = _pin(workspace, wanted, project.platforms)
    return {"schemaVersion": lockfile.VERSION, "platforms": platforms, "tools": tools}


def _pin(workspace: Workspace, wanted: Wanted, platforms: Sequence[Platform]) -> dict[str, Any]:
    name, tags = workspace.tags(wanted.source)
    tag = wanted.choose(tags)
    kind = REMOTE if Reference.parse(name).registry else NAME
    source, root = workspace.find(Target(kind, f"{name}:{tag}"))
    found = _platforms(source, root)
    lacking = [str(one) for one in platforms if str(one) not in found and "any" not in found]
    if lacking:
        raise PlatformNotFound(
            f"{name}:{tag} has nothing for {', '.join(lacking)}",
            hint=f"it has {', '.join(found)}",
        )
    if platforms and "any" not in found:
        found = {str(one): found[str(one)] for one in platforms}
    return {
        "wanted": wanted.text,
        "tag": tag,
        "reference": f"{name}@{root.digest}",
        "digest": str(root.digest),
        "platforms": found,
    }


def _platforms(source: Source, root: Descriptor) -> dict[str, str]:
    found = fetch_manifest(source, root)
    if not isinstance(found, Index):
        return {"any": str(root.digest)}
    return {str(one.platform or "any"): str(one.digest) for one in found.manifests}


def check_fresh(project: Project, locked: dict[str, Any] | None) -> dict[str, Any]:
    """Make sure that a lock has just what a project wants; give it.

    Raises:
        LockOutdated: it has not, or there is none.
    """
    if locked is None:
        raise LockOutdated(f"there is no {lockfile.NAME}")
    wanted = {name: one.text for name, one in project.tools.items()}
    have = {name: one["wanted"] for name, one in locked["tools"].items()}
    platforms = sorted(str(one) for one in project.platforms)
    if wanted != have or platforms != locked["platforms"]:
        other = sorted(
            name for name in wanted.keys() | have.keys() if wanted.get(name) != have.get(name)
        )
        raise LockOutdated(
            f"{lockfile.NAME} is of another {FILE}: {', '.join(other) or 'platforms'}"
        )
    return locked


def write_lock(locked: dict[str, Any], path: str = lockfile.NAME) -> bool:
    """Write a lock, as a whole; False where it is that already."""
    text = json.dumps(locked, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    try:
        if Path(path).read_bytes() == text.encode():
            return False
    except OSError:
        pass  # there is none, or the next step says what is wrong
    with whole_file(path, mode=0o644) as file:  # one that others can write is not believed
        file.write(text.encode())
    return True


# --- what becomes of it --------------------------------------------------------------------------


def sync(workspace: Workspace, locked: dict[str, Any]) -> dict[str, str]:
    """Pull what a lock pins and our stores have not; tell what became of each tool."""
    states = {}
    for name, tool in locked["tools"].items():
        reference = tool["reference"]
        here = _is_whole(workspace, reference)
        if not here:
            workspace.keep_pinned(reference)
        states[name] = "here" if here else "pulled"
    return states


def _is_whole(workspace: Workspace, reference: str) -> bool:
    """Whether all of a reference is here, for the platforms that are here at all."""
    for store in workspace.stores():
        root = store.lookup(reference)
        if root is None:
            continue
        try:
            found = Walk(store, root, skip=absent_platforms(store, root))
        except NotFound:
            continue
        if all(store.has(blob) for blob in found.blobs):
            return True
    return False


@dataclass(frozen=True, slots=True)
class News:
    """A tool for which there is something newer."""

    name: str
    locked: str  # tag
    allowed: str  # the newest tag that the range allows
    newest: str  # the newest tag at all
    moved: bool  # the locked tag means something else now


def outdated(workspace: Workspace, project: Project, locked: dict[str, Any]) -> list[News]:
    """List the tools that an upgrade would change, or for which there is a newer version."""
    news = []
    for name, wanted in sorted(project.tools.items()):
        tool = locked["tools"].get(name)
        if tool is None:
            continue
        source, tags = workspace.tags(wanted.source)
        best = wanted.choose(tags)
        newest = (allowed(tags, "") or [best])[0]
        kind = REMOTE if Reference.parse(source).registry else NAME
        moved = best == tool["tag"] and (
            str(workspace.find(Target(kind, f"{source}:{best}"))[1].digest) != tool["digest"]
        )
        if moved or best != tool["tag"] or newest != best:
            news.append(News(name, tool["tag"], best, newest, moved))
    return news
