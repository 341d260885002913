"""The JSON schema of package files: strict about what is written, a help with what is read.

The schema itself is package.schema.json beside this file; docs/spec/package.md explains it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ebpm.errors import InvalidPackage

PATH = Path(__file__).with_name("package.schema.json")
_NEAR = 0.8  # of difflib: "descripton" and "description" are at 0.95, "size" and "since" at 0.67
_WARNINGS = 20
_IN_USE = frozenset(("flag",))  # comments of existing tools have it, and mean what they say


@functools.cache
def schema() -> Any:  # noqa: ANN401  # JSON
    """Read the schema."""
    return json.loads(PATH.read_text(encoding="utf-8"))


@functools.cache
def _validator(part: str) -> Any:  # noqa: ANN401  # jsonschema has no types
    from jsonschema import Draft202012Validator

    document = schema()
    if part:
        document = {**document["$defs"][part], "$defs": document["$defs"]}
    return Draft202012Validator(document)


def check_written(content: Mapping[str, Any], part: str = "") -> None:
    """Check what is about to be written.

    Args:
        content: package.json, or a part of it.
        part: the name of the part: "meta".

    Raises:
        InvalidPackage: a program made a package that no file may hold; the message says where.
    """
    error = next(iter(_validator(part).iter_errors(content)), None)
    if error is not None:
        place = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in error.path)
        reason = str(error.message)[:200]
        raise InvalidPackage(
            f"the package cannot be written: {(place or part).removeprefix('.')}: {reason}",
            hint="docs/spec/package.md says what each key holds",
        )


def misspelt(content: Any, part: str = "") -> list[str]:  # noqa: ANN401  # JSON
    """List unknown keys that are nearly known ones: people's slips, as a rule.

    Args:
        content: package.json, or a part of it; of any form, right or wrong.
        part: the name of the part: "meta".

    Returns:
        a sentence for each.
    """
    document = schema()
    start = document["$defs"][part] if part else document
    found = []
    for line in _unknown(content, start, document["$defs"], part):
        found.append(line)
        if len(found) == _WARNINGS:
            break
    return found


def _unknown(
    value: Any,  # noqa: ANN401  # JSON
    rule: Any,  # noqa: ANN401  # a schema
    parts: Mapping[str, Any],
    place: str,
) -> Iterator[str]:
    if not isinstance(rule, dict):
        return
    if "$ref" in rule:
        rule = parts[rule["$ref"].rpartition("/")[2]]
    if isinstance(value, list) and "items" in rule:
        for at, item in enumerate(value):
            yield from _unknown(item, rule["items"], parts, f"{place}[{at}]")
    known = rule.get("properties")
    if not isinstance(value, dict) or not known:
        return
    for key, item in value.items():
        if key in known:
            yield from _unknown(item, known[key], parts, f"{place}.{key}" if place else key)
        elif key in _IN_USE:
            continue
        elif near := _near(key, [name for name in known if name not in value]):
            yield f"{place or 'the package'} has an unknown key {key!r}: did you mean {near!r}?"


def _near(key: str, known: list[str]) -> str | None:
    from difflib import get_close_matches

    near = get_close_matches(key.lower().replace("-", "_"), known, 1, _NEAR)
    return near[0] if near else None
