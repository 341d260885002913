"""Which struct each buffer carries, read from the code that fills it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise

from ebpm.build.scanner import Declaration, Kind, Token

_CALLS = {  # helper: (argument that is the map, the data, the size); source: bpf-helpers(7)
    "bpf_ringbuf_reserve": (0, None, 1),
    "bpf_ringbuf_output": (0, 1, 2),
    "bpf_perf_event_output": (1, 3, 4),
    "bpf_skb_output": (1, 3, 4),
    "bpf_xdp_output": (1, 3, 4),
}
_OPEN, _CLOSE = "([{", ")]}"


def header_types(found: Iterable[Declaration], headers: Collection[str]) -> list[str]:
    """List the struct types that the given headers define, in their order, as C names them.

    A struct without a tag goes by its typedef: ``struct event``, or ``event_t``.
    """
    types = []
    for declaration in found:
        if declaration.file not in headers or not declaration.members:
            continue
        if declaration.tag and declaration.tag[0] == "struct":
            types.append(f"struct {declaration.tag[1]}")
        elif declaration.tag is None and declaration.names[:2] == ["typedef", "struct"]:
            types.append(declaration.names[-1])
    return types


def buffer_types(found: Iterable[Declaration], buffers: Collection[str]) -> dict[str, list[str]]:
    """Tell which struct types are written to each buffer, by the calls that reserve or submit them.

    Returns:
        C types by map name, in the order of the code; a map whose calls say nothing about a
        struct (a computed size, a call through a pointer) is absent.
    """
    found = list(found)
    aliases = _aliases(found)
    outer = _variables((token for one in found for token in _outside(one)), aliases)
    types: dict[str, list[str]] = {}
    for declaration in found:
        variables = outer | _variables(declaration.tokens, aliases)
        for buffer, struct in _calls(declaration.tokens, variables, aliases):
            if buffer in buffers and struct not in types.setdefault(buffer, []):
                types[buffer].append(struct)
    return {buffer: structs for buffer, structs in types.items() if structs}


def _aliases(found: list[Declaration]) -> dict[str, str]:
    """Map the typedefs of structs to what the struct is called."""
    aliases = {}
    for declaration in found:
        words = declaration.names
        if words[:2] == ["typedef", "struct"]:
            tag = declaration.tag[1] if declaration.tag else words[2] if len(words) > 3 else ""
            aliases[words[-1]] = f"struct {tag}" if tag else words[-1]
    return aliases


def _outside(declaration: Declaration) -> Iterator[Token]:
    """Walk a declaration's tokens outside braces."""
    depth = 0
    for token in declaration.tokens:
        depth += (token.text == "{") - (token.text == "}")
        if not depth and token.text != "}":
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
        elif state and token.kind is Kind.NAME and token.text not in ("const", "volatile"):
            named.setdefault(token.text, state)
            state = ""
        elif token.text not in ("*", "const", "volatile"):
            state = ""
    return named


def _calls(
    tokens: list[Token], variables: dict[str, str], aliases: dict[str, str]
) -> Iterator[tuple[str, str]]:
    known = aliases | variables
    for at, token in enumerate(tokens):
        if token.text not in _CALLS or at + 1 >= len(tokens) or tokens[at + 1].text != "(":
            continue
        arguments = _arguments(tokens, at + 2)
        map_at, data_at, size_at = _CALLS[token.text]
        if len(arguments) <= size_at:
            continue
        buffer = [one.text for one in arguments[map_at] if one.kind is Kind.NAME]
        struct = _struct(arguments[size_at], known, sized=True)
        if struct is None and data_at is not None:
            struct = _struct(arguments[data_at], known, sized=False)
        if buffer and struct:
            yield buffer[-1], struct


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


def _struct(argument: list[Token], known: dict[str, str], *, sized: bool) -> str | None:
    """Find the type that an argument speaks of: ``sizeof(struct T)``, ``sizeof(*x)``, ``&x``."""
    words = [token.text for token in argument if token.kind is Kind.NAME]
    if sized and "sizeof" not in words:
        return None
    names = [word for word in words if word != "sizeof"]
    if len(names) == 2 and names[0] == "struct":
        return f"struct {names[1]}"
    return known.get(names[0]) if len(names) == 1 else None
