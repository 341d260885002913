"""Doc comments and ``@annotations``, tied to the symbols that the object really has.

The grammar is written down in docs/spec/annotations.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ebpm.build.scanner import Declaration, Doc
from ebpm.errors import InvalidAnnotation, InvalidPackage
from ebpm.package.text import check_json

_COMMAND = re.compile(r"(?:(?<=\s)|^)[@\\](?P<name>[A-Za-z_][\w-]*)[ \t]*", re.MULTILINE)
_DETACHES = re.compile(r"[ \t]*#[ \t]*(?!if|el|endif)")  # any directive that is not a conditional

TEXT_COMMANDS = frozenset(
    (
        *("author", "authors", "brief", "copyright", "date", "deprecated", "details", "license"),
        *("note", "param", "pre", "post", "remark", "result", "return", "returns", "sa", "see"),
        *("short", "since", "todo", "version", "warning"),
    )
)
"""Commands whose value is text, whatever it looks like; all others are JSON where they parse."""

_FORMATTING = frozenset(("a", "b", "c", "e", "em", "p", "ref", "n"))  # doxygen's, in a sentence
LICENSE_NAMES = frozenset(("LICENSE", "_license", "__license", "license"))


@dataclass(frozen=True, slots=True)
class Symbols:
    """The names that an object has, by what they are."""

    variables: Collection[str] = ()
    maps: Collection[str] = ()
    programs: Collection[str] = ()
    structs: Collection[str] = ()


@dataclass(slots=True)
class Annotations:
    """What the comments say, by symbol; each is a mapping of keys to values."""

    variables: dict[str, dict[str, Any]] = field(default_factory=dict)
    maps: dict[str, dict[str, Any]] = field(default_factory=dict)
    programs: dict[str, dict[str, Any]] = field(default_factory=dict)
    members: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    documentation: dict[str, Any] = field(default_factory=dict)


def read_annotations(found: Iterable[Declaration], symbols: Symbols) -> Annotations:
    """Tie the comments of declarations to symbols.

    Raises:
        InvalidAnnotation: a value begins like JSON and is not; with its file and line.
    """
    result = Annotations()
    sources = _Sources()
    for declaration in found:
        _annotate_members(declaration, symbols, result)
        docs = _leading(declaration, sources) + declaration.after
        if not docs or "typedef" in declaration.names:
            continue
        for name in dict.fromkeys(declaration.declared):
            if name in LICENSE_NAMES and "extern" not in declaration.names:
                result.documentation |= parse(docs)
            for known, into in (
                (symbols.variables, result.variables),
                (symbols.maps, result.maps),
                (symbols.programs, result.programs),
            ):
                if name in known:
                    into.setdefault(name, {}).update(parse(docs))
    return result


def _annotate_members(declaration: Declaration, symbols: Symbols, result: Annotations) -> None:
    name = (declaration.type_name or "").removeprefix("struct ")
    if not name or name not in symbols.structs:
        return
    members = {m.names[-1]: parse(m.docs) for m in declaration.members if m.names and m.docs}
    if members:
        result.members[name] = members


class _Sources:
    """The lines of source files, read once."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = {}

    def between(self, file: str, after: int, before: int) -> list[str]:
        """Read the lines between two line numbers, both excluded."""
        if file not in self._lines:
            try:
                text = Path(file).read_bytes().decode("utf-8", "replace")
            except (OSError, ValueError):  # #line may name anything
                text = ""
            self._lines[file] = text.split("\n")
        return self._lines[file][after : before - 1]


def _leading(declaration: Declaration, sources: _Sources) -> list[Doc]:
    """Choose the comments before a declaration that speak of it: the last unbroken run of them.

    As in clang, a directive other than a conditional in between cuts the tie, and two comments
    are one only where no line lies between them.
    """
    run: list[Doc] = []
    following = declaration.line
    for doc in reversed(declaration.before):
        if doc.file != declaration.file:
            break
        gap = sources.between(doc.file, doc.end, following)
        if any(_DETACHES.match(line) for line in gap):
            break
        if run and (run[0].line - doc.end > 1 or run[0].block != doc.block):
            break
        run.insert(0, doc)
        following = doc.line
    return run


def parse(docs: Iterable[Doc]) -> dict[str, Any]:
    """Read doc comments: text before any command is the description, each command is a key."""
    docs = list(docs)
    lines = [(doc, doc.line + at, text) for doc in docs for at, text in enumerate(doc.lines)]
    text = "\n".join(line for _, _, line in lines)
    reader = _Reader(text, [(doc.file, number) for doc, number, _ in lines])
    return reader.read()


class _Reader:
    def __init__(self, text: str, places: list[tuple[str, int]]) -> None:
        self.text = text
        self.places = places
        self.values: dict[str, Any] = {}
        self.repeated: set[str] = set()

    def read(self) -> dict[str, Any]:
        match = self._next(0)
        self._describe(self.text[: match.start() if match else None])
        while match:
            at = self._value(match["name"], match.end())
            match = self._next(at)
        return self.values

    def _next(self, at: int) -> re.Match[str] | None:
        for match in _COMMAND.finditer(self.text, at):
            if match["name"] not in _FORMATTING:
                return match
        return None

    def _describe(self, text: str) -> None:
        plain = _joined(_COMMAND.sub("", text), " ")
        if plain:
            before = self.values.get("description")
            self.values["description"] = f"{before} {plain}" if before else plain

    def _value(self, name: str, at: int) -> int:
        """Read a command's value; tell where reading goes on."""
        following = self._next(at)
        end = following.start() if following else len(self.text)
        body = self.text[at:].lstrip()
        if name not in TEXT_COMMANDS and name != "description" and body[:1] in ("{", "["):
            return self._json(name, len(self.text) - len(body))
        paragraph, _, rest = self._paragraph(self.text[at:end])
        if name == "description":
            self._describe(paragraph)
        else:
            text = _joined(paragraph, "\n" if name in TEXT_COMMANDS else " ")
            value = text if name in TEXT_COMMANDS else self._checked(name, _scalar(text), at)
            if value != "":
                self._put(name, value)
        self._describe(rest)
        return end

    @staticmethod
    def _paragraph(text: str) -> tuple[str, str, str]:
        match = re.search(r"\n[ \t]*\n", text)
        return (text[: match.start()], "\n", text[match.end() :]) if match else (text, "", "")

    def _json(self, name: str, at: int) -> int:
        """Read a JSON value, and what else stands before the next command."""
        try:
            value, end = _DECODER.raw_decode(self.text, at)
        except RecursionError:
            raise self._error(name, at, "nested too deeply") from None
        except ValueError as error:
            where = getattr(error, "pos", at)
            raise self._error(name, where, getattr(error, "msg", str(error))) from None
        self._put(name, self._checked(name, value, at))
        line_end = self.text.find("\n", end)
        line_end = len(self.text) if line_end < 0 else line_end
        following = self._next(end)
        stop = following.start() if following else len(self.text)
        if self.text[end : min(line_end, stop)].strip():
            raise self._error(name, end, "there is more on the line of its end")
        self._describe(self.text[line_end:stop])
        return stop

    def _checked(self, name: str, value: Any, at: int) -> Any:  # noqa: ANN401  # JSON
        try:
            check_json(value, "the value")
        except InvalidPackage as error:
            raise self._error(name, at, error.message) from None
        return value

    def _error(self, name: str, at: int, reason: str) -> InvalidAnnotation:
        file, line = self.places[min(self.text.count("\n", 0, at), len(self.places) - 1)]
        return InvalidAnnotation(f"{file}:{line}: @{name}: not valid JSON: {reason}")

    def _put(self, name: str, value: Any) -> None:  # noqa: ANN401  # JSON
        if name not in self.values:
            self.values[name] = value
        elif name in self.repeated:
            self.values[name].append(value)
        else:
            self.repeated.add(name)
            self.values[name] = [self.values[name], value]


def _joined(text: str, joint: str) -> str:
    """Join lines; of the spaces between words one is left where the lines are not kept."""
    words = text.split() if joint == " " else (line.strip() for line in text.split("\n"))
    return joint.join(word for word in words if word)


def _scalar(text: str) -> Any:  # noqa: ANN401  # JSON
    """Read what follows an annotation: JSON where it is, else the text; nothing means true."""
    if not text:
        return True
    try:
        value, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return text
    return value if end == len(text) else text


def _refuse(constant: str) -> Any:  # noqa: ANN401
    raise ValueError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)
