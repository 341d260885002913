"""Preprocessed C, cut into top-level declarations with their doc comments.

Works on the output of ``clang -E -CC``: macros are expanded, dead ``#if`` branches are gone,
comments are kept, and line markers tell which file and line each token comes from. No parser of C
is needed, because the names that matter are known from the object.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

_TOKEN = re.compile(
    r"""
      (?P<comment> /\*.*?\*/ | //(?:\\\r?\n|[^\n])* )
    | (?P<string>  "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' )
    | (?P<marker>  ^[ \t]*\#[ \t]*(?:line[ \t]+)?(?P<line>\d+)[ \t]+
                   "(?P<file>(?:\\.|[^"\\])*)"[^\n]* )
    | (?P<directive> ^[ \t]*\#(?:\\\r?\n|[^\n])* )
    | (?P<name>    [A-Za-z_]\w* )
    | (?P<number>  \d[\w.]* )
    | (?P<newline> \n )
    | (?P<space>   [ \t\r\f\v]+ )
    | (?P<mark>    . )
    """,
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)
_MARKER = re.compile(r'^# \d+ "((?:\\.|[^"\\])*)"[^\n]*\n', re.MULTILINE)
_NO_MARKERS = re.compile(  # what may hold the likeness of a marker; group 1: a comment without end
    r"""/\*.*?(?:\*/|(\Z)) | //[^\n]* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' """,
    re.DOTALL | re.VERBOSE,
)
_DOC = re.compile(r"(///(?!/)|//!|/\*\*(?![*/])|/\*!)(<?)")
_TAGS = frozenset(("struct", "union", "enum"))
_ATTRIBUTES = frozenset(  # words whose brackets are no parameters, and which name nothing
    (
        *("__attribute__", "__attribute", "__declspec", "_Alignas", "alignas", "__extension__"),
        *("typeof", "__typeof__", "__typeof", "_Static_assert", "__asm__", "asm"),
    )
)


class Kind(Enum):
    """What a token is."""

    COMMENT = auto()
    STRING = auto()
    NAME = auto()
    NUMBER = auto()
    MARK = auto()


_KINDS = {
    "comment": Kind.COMMENT,
    "string": Kind.STRING,
    "name": Kind.NAME,
    "number": Kind.NUMBER,
    "mark": Kind.MARK,
}


@dataclass(frozen=True, slots=True)
class Token:
    """A token and where it stands; spaces and directives are not tokens."""

    kind: Kind
    text: str
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Doc:
    """One doc comment: its text without the marks, by line."""

    file: str
    line: int
    lines: tuple[str, ...]
    trailing: bool  # written as ///< or /**<
    block: bool  # written as /** */ rather than ///

    @property
    def end(self) -> int:
        """The last line that the comment stands on."""
        return self.line + len(self.lines) - 1


@dataclass(slots=True)
class Member:
    """A member of a struct: its identifiers (the name is the last) and its doc comments."""

    names: list[str] = field(default_factory=list)
    docs: list[Doc] = field(default_factory=list)
    line: int = 0


@dataclass(slots=True)
class Declaration:
    """A declaration or definition at file scope."""

    file: str
    line: int
    end: int = 0
    names: list[str] = field(default_factory=list)  # those outside brackets and initialisers
    declared: list[str] = field(default_factory=list)  # the same without tags of structs
    tag: tuple[str, str] | None = None  # ("struct", "event") where it defines one, or a nameless
    before: list[Doc] = field(default_factory=list)
    after: list[Doc] = field(default_factory=list)
    members: list[Member] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)  # all of it, comments excepted

    @property
    def alias(self) -> str | None:
        """The type that a typedef makes, unless it is a pointer or an array or a function."""
        if not self.names or self.names[0] != "typedef":
            return None
        name, depth, before = None, 0, ""
        for token in self.tokens:
            if token.kind is Kind.MARK:
                brackets = "*[(" if before not in _ATTRIBUTES else "*["
                if not depth and token.text in brackets:
                    return None
                if not depth and token.text == ",":
                    break
                depth += (token.text in "([{") - (token.text in ")]}")
            elif token.kind is Kind.NAME and not depth and token.text not in _ATTRIBUTES | _TAGS:
                name = token.text
            before = token.text
        return name if name != "typedef" else None

    @property
    def type_name(self) -> str | None:
        """What C calls the struct that is defined here: ``struct event``, or its typedef's name."""
        if self.tag is None or self.tag[0] != "struct" or not self.members:
            return None
        return f"struct {self.tag[1]}" if self.tag[1] else self.alias


def declarations(text: str, wanted: Callable[[str], bool]) -> list[Declaration]:
    """Cut preprocessed text into the declarations of the files that ``wanted`` accepts."""
    splitter = _Splitter()
    for token in tokens(_only(text, wanted)):
        splitter.feed(token)
    return splitter.found


def files(text: str) -> list[str]:
    """List the files that preprocessed text was made from, in the order of their first line."""
    names = (_unescape(match[1]) for match in _markers(text))
    return [name for name in dict.fromkeys(names) if not name.startswith("<")]


def _markers(text: str) -> Iterator[re.Match[str]]:
    """Find the line markers; not those that only a comment speaks of."""
    begin = 0
    for match in _MARKER.finditer(text):
        before = text[begin : match.start()]
        if before.rfind("/*") > before.rfind("*/") and any(
            piece[1] is not None for piece in _NO_MARKERS.finditer(before)
        ):
            continue
        begin = match.end()
        yield match


def tokens(text: str) -> Iterator[Token]:
    """Cut text into tokens."""
    file, line = "", 1
    for match in _TOKEN.finditer(text):
        group = match.lastgroup
        if match["marker"] is not None:
            file, line = _unescape(match["file"]), int(match["line"]) - 1
            continue
        if group in _KINDS:
            yield Token(_KINDS[group], match[0], file, line)
        line += match[0].count("\n")


def _unescape(name: str) -> str:
    """Read a file name: quotes are escaped, and all bytes that are not printable ASCII."""
    data = re.sub(
        rb"\\([0-7]{3}|.)",
        lambda match: bytes((int(match[1], 8) & 255,)) if len(match[1]) == 3 else match[1],
        name.encode("utf-8", "surrogateescape"),
        flags=re.DOTALL,
    )
    return data.decode("utf-8", "surrogateescape")


def _only(text: str, wanted: Callable[[str], bool]) -> str:
    """Keep the wanted files' text, so that the kernel's million tokens are never looked at."""
    marks = list(_markers(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    known: dict[str, bool] = {}
    parts = []
    for mark, end in zip(marks, ends, strict=True):
        if mark[1] not in known:
            known[mark[1]] = wanted(_unescape(mark[1]))
        if known[mark[1]]:
            parts.append(text[mark.start() : end])
    return "".join(parts)


def _doc(token: Token) -> Doc | None:
    match = _DOC.match(token.text)
    if not match:
        return None
    body = token.text[match.end() :]
    block = token.text.startswith("/*")
    if block:
        first, *rest = body[:-2].split("\n")
        lines = [first, *(re.sub(r"^[ \t]*\*(?!/) ?", "", line) for line in rest)]
    else:
        lines = re.sub(r"\\\r?\n", "\n", body).split("\n")
    stripped = tuple(line.rstrip() for line in lines)
    return Doc(token.file, token.line, stripped, match[2] == "<", block)


class _Splitter:
    """Follows brackets, and hands each comment to the declaration or member that it belongs to."""

    def __init__(self) -> None:
        self.found: list[Declaration] = []
        self._current: Declaration | None = None
        self._member: Member | None = None
        self._braces = self._parens = 0
        self._in_type = self._in_function = False
        self._has_parameters = False  # brackets that make it a function, if a body follows
        self._named = False  # what follows is a value or a width, no name
        self._after_tag = False  # what follows is the tag of a struct
        self._pending: list[Doc] = []  # comments that wait for what follows them
        self._member_pending: list[Doc] = []
        self._last = ""  # the token before

    def feed(self, token: Token) -> None:
        if token.kind is Kind.COMMENT:
            if doc := _doc(token):
                self._comment(doc)
            return
        if self._current is None:
            if token.text == ";":
                return
            self._begin(token)
        current = self._current
        assert current is not None
        current.tokens.append(token)
        if token.kind is Kind.NAME:
            self._name(token)
        elif token.kind is Kind.MARK:
            self._mark(token)
        self._last = token.text

    def _begin(self, token: Token) -> None:
        self._current = Declaration(token.file, token.line, before=self._pending)
        self._pending, self._member_pending = [], []
        self._member = None
        self._in_type = self._in_function = self._has_parameters = False
        self._named = self._after_tag = False

    def _comment(self, doc: Doc) -> None:
        if self._current is None:
            last = self.found[-1] if self.found else None
            if last and last.file == doc.file and (last.end == doc.line or doc.trailing):
                last.after.append(doc)
            else:
                self._pending.append(doc)
        elif self._in_type and self._braces == 1:
            members = self._current.members
            if self._member is not None and doc.trailing:
                self._member.docs.append(doc)
            elif (
                self._member is None and members and (doc.trailing or members[-1].line == doc.line)
            ):
                members[-1].docs.append(doc)
            else:
                self._member_pending.append(doc)
        elif not self._braces and not self._parens:
            (self._current.after if doc.trailing else self._current.before).append(doc)

    def _name(self, token: Token) -> None:
        assert self._current is not None
        member = self._in_type and self._braces == 1
        if token.text in _ATTRIBUTES or self._named:
            return
        if self._parens:
            if member and self._member and self._parens == 1 and self._last == "*":
                self._member.names.append(token.text)  # a pointer to a function or an array
                self._named = True
            return
        if not self._braces:
            self._current.names.append(token.text)
            if not self._after_tag:
                self._current.declared.append(token.text)
            self._after_tag = token.text in _TAGS
        elif member:
            if self._member is None:
                self._member = Member(docs=self._member_pending)
                self._member_pending = []
            self._member.names.append(token.text)
            self._member.line = token.line

    def _mark(self, token: Token) -> None:
        assert self._current is not None
        text = token.text
        if text in "([":
            if not self._parens and not self._braces and text == "(":
                self._has_parameters |= self._last not in _ATTRIBUTES
            self._parens += 1
        elif text in ")]":
            self._parens -= 1
        elif text == "{":
            if not self._braces and not self._parens:
                self._open(self._current)
            self._braces += 1
        elif text == "}":
            self._braces -= 1
            if not self._braces and self._in_function:
                self._finish(token)
        elif not self._parens:
            self._separate(token)

    def _separate(self, token: Token) -> None:
        """Follow what stands between names: ``= : , ;``."""
        assert self._current is not None
        text, members = token.text, self._in_type and self._braces == 1
        if not self._braces and text == ";":
            self._finish(token)
        elif text in "=:" and (not self._braces or members):
            self._named = True
        elif text in ",;" and (not self._braces or members):
            self._named = False
            if members and self._member is not None:
                self._member.line = token.line
                self._current.members.append(self._member)
                self._member = None

    def _open(self, current: Declaration) -> None:
        self._after_tag = False
        if self._named:
            return  # an initialiser
        tags = [at for at, name in enumerate(current.names) if name in _TAGS]
        self._in_type = bool(tags) and not self._has_parameters
        self._in_function = not self._in_type
        if self._in_type:
            word, *name = current.names[tags[-1] :]
            current.tag = (word, name[0] if name else "")

    def _finish(self, token: Token) -> None:
        assert self._current is not None
        self._current.end = token.line
        self.found.append(self._current)
        self._current = None
        self._braces = self._parens = 0
