"""Jobs that keep a mirror up to date: a YAML file, for cron or a pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ebpm.errors import InvalidConfig, UsageError
from ebpm.oci.platform import Platform
from ebpm.oci.reference import Reference
from ebpm.oci.versions import allowed, read_range, sort_tags

_KEYS = {
    "from": str,
    "to": str,
    "tags": list,
    "exclude": list,
    "versions": str,
    "newest": int,
    "platforms": list,
    "referrers": bool,
}


@dataclass(frozen=True, slots=True)
class Job:
    """One repository to keep a copy of."""

    source: Reference
    name: str | None = None  # of the repository in the target; as at the source if None
    tags: Sequence[str] = ()  # patterns as a shell's; all tags if there are none
    exclude: Sequence[str] = ()
    versions: str | None = None  # a range: then only tags that are versions count
    newest: int | None = None  # of those that are left, so many
    platforms: Sequence[Platform] = ()  # all if there are none
    referrers: bool = True

    def choose(self, tags: Iterable[str]) -> list[str]:
        """Choose among the tags of the repository; the newest version comes first."""
        left = [tag for tag in tags if not self.tags or _matches(tag, self.tags)]
        left = [tag for tag in left if not _matches(tag, self.exclude)]
        ordered = sort_tags(left)[::-1] if self.versions is None else allowed(left, self.versions)
        return ordered[: self.newest]


@dataclass(frozen=True, slots=True)
class Jobs:
    """A file of jobs, and where the copies go: HOST[/PATH], oci:DIR, oci:FILE.tar or store."""

    target: str
    jobs: list[Job]


def _matches(tag: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(tag, pattern) for pattern in patterns)


def read_jobs(text: str, path: str) -> Jobs:
    """Read a file of jobs.

    Raises:
        InvalidConfig: it is malformed; the message names the field.
    """
    import yaml

    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise InvalidConfig(f"{path} is not YAML: {error}") from None
    if not isinstance(data, dict) or set(data) != {"target", "sources"}:
        raise InvalidConfig(
            f"{path} has not just target and sources", hint="docs/guides/mirrors.md has an example"
        )
    target, sources = data["target"], data["sources"]
    if not isinstance(target, str) or not target or not isinstance(sources, list) or not sources:
        raise InvalidConfig(f"{path}: target is text, and sources a list with something in it")
    return Jobs(target, [_job(one, f"{path}: sources[{at}]") for at, one in enumerate(sources)])


def _job(data: Any, where: str) -> Job:  # noqa: ANN401  # YAML
    if isinstance(data, str):
        data = {"from": data}
    if not isinstance(data, dict) or "from" not in data:
        raise InvalidConfig(f"{where} has no from")
    for key, value in data.items():
        kind = _KEYS.get(key)
        if kind is None:
            raise InvalidConfig(f"{where}: unknown field {key!r}", hint=f"{', '.join(_KEYS)}")
        items = value if kind is list and isinstance(value, list) else []
        if not isinstance(value, kind) or not all(isinstance(one, str) for one in items):
            raise InvalidConfig(f"{where}: {key} is not {_words(kind)}")
    newest = data.get("newest")
    enough = newest is None or (newest > 0 and newest is not True)
    try:
        source = Reference.parse(data["from"])
        if "versions" in data:
            read_range(data["versions"])
        platforms = [Platform.parse(one) for one in data.get("platforms", [])]
        if "to" in data:
            Reference.parse(f"{data['to']}:x")
    except UsageError as error:
        raise InvalidConfig(f"{where}: {error.message}", hint=error.hint) from None
    if source.registry is None or str(source) != f"{source.name}:latest" or not enough:
        raise InvalidConfig(f"{where}: from is HOST/NAME without a tag, and newest above zero")
    return Job(
        source=source,
        name=data.get("to"),
        tags=data.get("tags", []),
        exclude=data.get("exclude", []),
        versions=data.get("versions"),
        newest=newest,
        platforms=platforms,
        referrers=data.get("referrers", True),
    )


def _words(kind: type) -> str:
    return {str: "text", int: "a number", bool: "true or false", list: "a list of texts"}[kind]
