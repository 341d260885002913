"""``tool.yaml``: what a catalogue says of a tool and the object cannot say of itself.

The schema is ``tool.schema.json`` beside this module, and ``index/schema.json`` of the repository.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ebpm.errors import InvalidToolFile

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

NAME = "tool.yaml"
_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFile:
    """A tool as its author presents it."""

    name: str
    summary: str
    groups: tuple[str, ...]
    license: str  # of the source, an SPDX expression
    keywords: tuple[str, ...] = ()
    source: str | None = None
    maintainers: tuple[str, ...] = ()
    kernel: str | None = None  # the first that it runs on: "5.8"
    options: tuple[str, ...] = ()  # CONFIG_… that the kernel must have


def schema() -> dict[str, Any]:
    """Read the schema of tool.yaml."""
    text = resources.files("ebpm.index").joinpath("tool.schema.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def read_tool_file(path: Path) -> ToolFile:
    """Read a tool.yaml.

    Raises:
        InvalidToolFile: it is not there, is no YAML, or says what the schema does not know.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_LIMIT)
    except OSError as error:
        raise InvalidToolFile(f"cannot read {path}: {error.strerror}") from None
    return parse_tool_file(text, str(path))


def parse_tool_file(text: bytes, where: str) -> ToolFile:
    """Read the text of a tool.yaml; ``where`` is what errors call it."""
    import yaml

    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InvalidToolFile(f"{where} is not YAML: {error}") from None
    except RecursionError:
        raise InvalidToolFile(f"{where} is nested too deeply") from None
    for message, hint in _troubles(data):
        raise InvalidToolFile(f"{where}: {message}", hint=hint)
    lists = ("groups", "keywords", "maintainers", "options")
    return ToolFile(**data | {key: tuple(data.get(key, ())) for key in lists})


def _troubles(data: object) -> Iterator[tuple[str, str | None]]:
    """Say what the schema does not like, with what may have been meant."""
    from jsonschema import Draft202012Validator

    rules = schema()
    errors = sorted(Draft202012Validator(rules).iter_errors(data), key=lambda one: one.json_path)
    for error in errors:
        place = error.json_path.removeprefix("$").removeprefix(".")
        subject = f"{place} " if place else ""
        yield _words(error, subject, rules)


def _words(error: ValidationError, subject: str, rules: dict[str, Any]) -> tuple[str, str | None]:
    value, rule = error.instance, error.validator
    if rule == "additionalProperties":
        known = list(rules["properties"])
        unknown = next(str(key) for key in value if key not in known)
        return f"unknown key {unknown!r}", _meant(unknown, known)
    if rule == "enum":
        known = [str(one) for one in error.validator_value]
        return f"{subject}is {value!r}", _meant(str(value), known)
    if rule == "required":
        absent = next(key for key in error.validator_value if key not in value)
        return f"{absent} is missing", f"write {absent}: {rules['properties'][absent]['type']}"
    if rule == "type":
        if isinstance(value, float) and subject.startswith("kernel"):
            return f"kernel is the number {value}", f'put it into quotes: kernel: "{value}"'
        return f"{subject or 'the file '}is no {error.validator_value}", None
    if rule == "pattern":
        told = error.schema.get("description") if isinstance(error.schema, dict) else None
        return f"{subject}is {value!r}", told or f"it must match {error.validator_value}"
    return f"{subject}{error.message}", None


def _meant(word: str, known: list[str]) -> str:
    near = get_close_matches(word, known, 1, 0.5)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
