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
from ebpm.errors import InvalidAnnotation

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
    structs: dict[str, dict[str, Any]] = field(default_factory=dict)
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
        docs = _leading(declaration, sources) + declaration.after
        _annotate_struct(declaration, docs, symbols, result)
        if not docs:
            continue
        for name in dict.fromkeys(declaration.names):
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


def _annotate_struct(
    declaration: Declaration, docs: list[Doc], symbols: Symbols, result: Annotations
) -> None:
    if declaration.tag is None or declaration.tag[1] not in symbols.structs:
        return
    name = declaration.tag[1]
    if docs:
        result.structs[name] = parse(docs)
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
            text = Path(file).read_bytes().decode("utf-8", "replace")
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
        gap = sources.between(doc.file, doc.end, following) if doc.file == declaration.file else []
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
        body = self.text[at:].lstrip()
        if name not in TEXT_COMMANDS and body[:1] in ("{", "["):
            return self._json(name, len(self.text) - len(body))
        following = self._next(at)
        end = following.start() if following else len(self.text)
        paragraph, _, rest = self._paragraph(self.text[at:end])
        value: Any = _joined(paragraph, "\n" if name in TEXT_COMMANDS else " ")
        if name not in TEXT_COMMANDS:
            decoded = _scalar(value)
            value = decoded if name != "description" or isinstance(decoded, str) else value
        if value != "":
            self._put(name, value)
        self._describe(rest)
        return end

    @staticmethod
    def _paragraph(text: str) -> tuple[str, str, str]:
        match = re.search(r"\n[ \t]*\n", text)
        return (text[: match.start()], "\n", text[match.end() :]) if match else (text, "", "")

    def _json(self, name: str, at: int) -> int:
        try:
            value, end = _DECODER.raw_decode(self.text, at)
        except (ValueError, RecursionError) as error:
            where = getattr(error, "pos", at)
            file, line = self.places[self.text.count("\n", 0, where)]
            reason = getattr(error, "msg", "nested too deeply")
            raise InvalidAnnotation(f"{file}:{line}: @{name}: not valid JSON: {reason}") from None
        self._put(name, value)
        return end

    def _put(self, name: str, value: Any) -> None:  # noqa: ANN401  # JSON
        if name not in self.values:
            self.values[name] = value
        elif isinstance(self.values[name], list):
            self.values[name] = [*self.values[name], value]
        else:
            self.values[name] = [self.values[name], value]


def _joined(text: str, joint: str) -> str:
    return joint.join(line.strip() for line in text.strip().split("\n") if line.strip())


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
