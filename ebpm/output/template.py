"""Templates of output, ``--format '{{.digest}}'``: as docker, podman and oras have them, in small.

Of Go's text/template there are fields (``.a.b``, ``.``), ``range``, ``if``, ``else``, ``end``,
``json``, text in double quotes, and ``{{-`` and ``-}}``, which take white space away. Anything else
is an error, and so is a field that the document has not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from ebpm.errors import UsageError

_ACTION = re.compile(r"\{\{(-\s)?\s*((?:\"(?:\\.|[^\"\\])*\"|[^\"{}])*?)\s*(\s-)?\}\}", re.DOTALL)
_FIELD = re.compile(r"\.(?:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)?", re.ASCII)
_DEPTH_LIMIT = 20
_HINT = "docs/spec/json.md says what a template may have"


@dataclass(frozen=True, slots=True)
class _Value:
    """A field, or the whole as JSON."""

    path: str
    as_json: bool


@dataclass(frozen=True, slots=True)
class _Block:
    """``range`` or ``if`` with what is inside."""

    word: str
    path: str
    body: list[_Node]
    otherwise: list[_Node]


_Node: TypeAlias = "str | _Value | _Block"


class Template:
    """A template, read once.

    Raises:
        UsageError: it is none.
    """

    def __init__(self, text: str) -> None:
        self._actions = _split(text)
        self._nodes, closed_by = self._parse(0)
        if closed_by:
            raise _error(closed_by, "nothing is open that it could close")

    def _parse(self, depth: int) -> tuple[list[_Node], str]:
        """Read up to an ``else`` or ``end``; tell which, or "" at the end of the text."""
        if depth > _DEPTH_LIMIT:
            raise UsageError("a template is nested too deeply", hint=_HINT)
        nodes: list[_Node] = []
        for is_action, text in self._actions:
            if not is_action:
                nodes.append(text)
            elif text in ("else", "end"):
                return nodes, text
            elif text.partition(" ")[0] in ("range", "if"):
                nodes.append(self._block(text, depth))
            else:
                nodes.append(_value(text))
        return nodes, ""

    def _block(self, text: str, depth: int) -> _Block:
        word, _, path = text.partition(" ")
        path = _field(path.strip(), text)
        otherwise: list[_Node] = []
        body, closed_by = self._parse(depth + 1)
        if closed_by == "else":
            otherwise, closed_by = self._parse(depth + 1)
        if closed_by != "end":
            raise _error(text, "it has no {{end}}")
        return _Block(word, path, body, otherwise)

    def render(self, document: Any) -> str:  # noqa: ANN401  # JSON
        """Fill it in; a line's end is added where there is none.

        Raises:
            UsageError: the document has not what is asked for.
        """
        text = "".join(_render(self._nodes, document))
        return text if text.endswith("\n") else f"{text}\n"


def _split(text: str) -> Iterator[tuple[bool, str]]:
    """Part text from actions, and take white space away where an action says so."""
    at, trim = 0, False
    for match in _ACTION.finditer(text):
        before = text[at : match.start()]
        before = before.lstrip() if trim else before
        yield False, _plain(before.rstrip() if match[1] else before)
        yield True, match[2]
        at, trim = match.end(), bool(match[3])
    yield False, _plain(text[at:].lstrip() if trim else text[at:])


def _plain(text: str) -> str:
    if "{{" in text:
        raise _error(text[text.index("{{") + 2 :][:60], "it is not closed, or not known")
    return text


def _value(text: str) -> _Node:
    if text.startswith('"'):
        try:
            return str(json.loads(text))
        except ValueError:
            raise _error(text, "it is no text in quotes") from None
    word, _, rest = text.partition(" ")
    if word == "json":
        return _Value(_field(rest.strip(), text), True)
    return _Value(_field(text, text), False)


def _field(path: str, action: str) -> str:
    if not _FIELD.fullmatch(path):
        raise _error(action, "it is no field, such as .digest")
    return path


def _render(nodes: list[_Node], value: Any) -> Iterator[str]:  # noqa: ANN401
    for node in nodes:
        if isinstance(node, str):
            yield node
        elif isinstance(node, _Value):
            yield _text(_look_up(node.path, value), node.as_json)
        else:
            found = _look_up(node.path, value)
            if node.word == "if":
                yield from _render(node.body if found else node.otherwise, value)
            elif not isinstance(found, list | dict | None):
                raise _error(f"range {node.path}", "it is no list")
            elif found:
                for one in found.values() if isinstance(found, dict) else found:
                    yield from _render(node.body, one)
            else:
                yield from _render(node.otherwise, value)


def _look_up(path: str, value: Any) -> Any:  # noqa: ANN401
    for name in path.split(".")[1:]:
        if not name:
            continue
        if not isinstance(value, dict) or name not in value:
            known = ", ".join(value) if isinstance(value, dict) else "none here"
            raise UsageError(f"--format: there is no field {path}", hint=f"fields: {known[:300]}")
        value = value[name]
    return value


def _text(value: Any, as_json: bool) -> str:  # noqa: ANN401
    if isinstance(value, str) and not as_json:
        return value
    if value is None and not as_json:
        return ""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _error(action: str, why: str) -> UsageError:
    return UsageError(f"--format: {{{{{action}}}}}: {why}", hint=_HINT)
