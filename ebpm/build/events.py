"""Which struct each buffer carries, read from the code that fills it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ebpm.build.scanner import Declaration, Kind, Token


@dataclass(frozen=True, slots=True)
class _Call:
    """Where the arguments of a call stand that fills a buffer.

    ``buffer`` is the argument that is the map, or the map's name where the call stands for it.
    """

    buffer: int | str
    size: int
    data: int | None = None  # None: what is reserved is returned


_HELPERS = {  # source: bpf-helpers(7)
    "bpf_ringbuf_reserve": _Call(0, 1),
    "bpf_ringbuf_output": _Call(0, 2, 1),
    "bpf_perf_event_output": _Call(1, 4, 3),
    "bpf_skb_output": _Call(1, 4, 3),
    "bpf_xdp_output": _Call(1, 4, 3),
}
_OPEN, _CLOSE = "([{", ")]}"
_QUALIFIERS = ("const", "volatile", "restrict", "__restrict")


def header_types(found: Iterable[Declaration], headers: Collection[Path]) -> list[str]:
    """List the struct types that the given headers define, in their order, as C names them.

    A struct without a tag goes by its typedef: ``struct event``, or ``event_t``.
    """
    given = {header.resolve() for header in headers}
    types = [
        declaration.type_name
        for declaration in found
        if declaration.type_name and Path(declaration.file).resolve() in given
    ]
    return list(dict.fromkeys(types))


def buffer_types(found: Iterable[Declaration], buffers: Collection[str]) -> dict[str, list[str]]:
    """Tell which struct types are written to each buffer, by the calls that reserve or submit them.

    Returns:
        C types by map name, in the order of the code; a map whose calls say nothing about a
        struct (a computed size, a call through a pointer) is absent.
    """
    found = list(found)
    aliases = _aliases(found)
    outer = _variables((token for one in found for token in _outside(one)), aliases)
    calls = _HELPERS | _wrappers(found)
    types: dict[str, list[str]] = {}
    for declaration in found:
        for buffer, struct in _filled(declaration.tokens, calls, outer, aliases):
            if buffer in buffers and struct not in types.setdefault(buffer, []):
                types[buffer].append(struct)
    return {buffer: structs for buffer, structs in types.items() if structs}


def _aliases(found: list[Declaration]) -> dict[str, str]:
    """Map the typedefs of structs to what the struct is called."""
    aliases: dict[str, str] = {}
    for declaration in found:
        words = [word for word in declaration.names if word not in _QUALIFIERS]
        if declaration.alias is None:
            continue
        if words[1:2] == ["struct"]:
            tag = declaration.tag[1] if declaration.tag else words[2] if len(words) > 3 else ""
            aliases[declaration.alias] = f"struct {tag}" if tag else declaration.alias
        elif len(words) == 3 and words[1] in aliases:
            aliases[declaration.alias] = aliases[words[1]]
    return aliases


def _outside(declaration: Declaration) -> Iterator[Token]:
    """Walk a declaration's tokens outside bodies and lists of parameters."""
    depth = 0
    for token in declaration.tokens:
        depth += (token.text in ("{", "(")) - (token.text in ("}", ")"))
        if not depth and token.text not in ("}", ")"):
            yield token


def _variables(tokens: Iterable[Token], aliases: dict[str, str]) -> dict[str, str]:
    """Read ``struct T *x``, ``struct T x`` and ``T_t x[]``: variable names to C types."""
    named: dict[str, str] = {}
    state = ""
    for before, token in pairwise([Token(Kind.MARK, "", "", 0), *tokens]):
        if before.text == "struct" and token.kind is Kind.NAME:
            state = f"struct {token.text}"
        elif not state and token.text in aliases and before.text != "struct":
            state = aliases[token.text]
        elif state and token.kind is Kind.NAME and token.text not in _QUALIFIERS:
            named[token.text] = state
            state = ""
        elif token.text != "*" and token.text not in _QUALIFIERS:
            state = ""
    return named


def _wrappers(found: list[Declaration]) -> dict[str, _Call]:
    """Find the functions that hand a size of their callers' on to a helper.

    As ``reserve_buf(size)`` and ``submit_buf(ctx, buf, size)`` do in bcc's compat.bpf.h.
    """
    wrappers: dict[str, _Call] = {}
    for declaration in found:
        names = [token.text for token in declaration.tokens]
        if not declaration.names or "{" not in names:
            continue
        function = declaration.names[-1]
        opening = names.index(function) + 1
        if names[opening] != "(":
            continue
        parameters = [_last_name(one) for one in _arguments(declaration.tokens, opening + 1)]
        for call, arguments, _ in _calls(declaration.tokens[opening:], _HELPERS):
            buffer = _last_name(arguments[int(call.buffer)])
            size = [token.text for token in arguments[call.size]]
            data = [token.text for token in arguments[call.data]] if call.data is not None else []
            if len(size) == 1 and size[0] in parameters and buffer:
                at = parameters.index(data[0]) if data and data[0] in parameters else None
                wrappers.setdefault(function, _Call(buffer, parameters.index(size[0]), at))
    return wrappers


def _last_name(tokens: list[Token]) -> str:
    names = [token.text for token in tokens if token.kind is Kind.NAME]
    return names[-1] if names else ""


def _calls(
    tokens: list[Token], known: dict[str, _Call]
) -> Iterator[tuple[_Call, list[list[Token]], int]]:
    """Walk the calls of known functions: their arguments, and where they stand."""
    for at, token in enumerate(tokens):
        call = known.get(token.text)
        if call is None or at + 1 >= len(tokens) or tokens[at + 1].text != "(":
            continue
        arguments = _arguments(tokens, at + 2)
        if len(arguments) > max(call.size, call.data or 0):
            yield call, arguments, at


def _filled(
    tokens: list[Token], calls: dict[str, _Call], outer: dict[str, str], aliases: dict[str, str]
) -> Iterator[tuple[str, str]]:
    """Walk the calls that fill a buffer: the buffer and the struct."""
    for call, arguments, at in _calls(tokens, calls):
        known = aliases | outer | _variables(tokens[:at], aliases)  # the last of a name counts
        place = call.buffer
        buffer = _last_name(arguments[place]) if isinstance(place, int) else place
        struct = _sized(arguments[call.size], known)
        if struct is None and call.data is not None:
            struct = _struct(arguments[call.data], known)
        elif struct is None:
            struct = _assigned(tokens, at, known)
        if buffer and struct:
            yield buffer, struct


def _arguments(tokens: list[Token], at: int) -> list[list[Token]]:
    """Cut a call's arguments apart; ``at`` is the token after the parenthesis."""
    arguments: list[list[Token]] = [[]]
    depth = 0
    for token in tokens[at:]:
        if token.text in _OPEN and token.kind is Kind.MARK:
            depth += 1
        elif token.text in _CLOSE and token.kind is Kind.MARK:
            depth -= 1
            if depth < 0:
                break
        if token.text == "," and not depth:
            arguments.append([])
        else:
            arguments[-1].append(token)
    return arguments


def _sized(argument: list[Token], known: dict[str, str]) -> str | None:
    """Find the type that a size speaks of: ``sizeof(struct T)``, ``sizeof(*x) + n``."""
    for at, token in enumerate(argument):
        if token.text == "sizeof":
            inside = at + 1 < len(argument) and argument[at + 1].text == "("
            operand = _arguments(argument, at + 2)[0] if inside else argument[at + 1 :]
            if struct := _struct(operand, known):
                return struct
    return None


def _struct(argument: list[Token], known: dict[str, str]) -> str | None:
    """Find the type of ``struct T``, ``*x``, ``&x``, ``(void *)x``."""
    names = [token.text for token in argument if token.kind is Kind.NAME]
    names = [name for name in names if name not in (*_QUALIFIERS, "void", "char")]
    if len(names) == 2 and names[0] == "struct":
        return f"struct {names[1]}"
    return known.get(names[0]) if len(names) == 1 else None


def _assigned(tokens: list[Token], at: int, known: dict[str, str]) -> str | None:
    """Find the type of what a call's value is assigned to: ``x = (cast)call(``."""
    while at > 0 and tokens[at - 1].text != "=":
        if tokens[at - 1].text in ";{}":
            return None
        at -= 1
    return known.get(tokens[at - 2].text) if at > 1 else None
