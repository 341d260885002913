"""JSON and YAML text as plain values."""

from __future__ import annotations

import json
import math
from typing import Any

from ebpm.errors import InvalidPackage

_DEPTH_LIMIT = 64  # of lists and objects in one another
_SIZE_LIMIT = 1_000_000  # values, long texts counted by the page: a few aliases of YAML can stand
_PAGE = 256  #             for more than memory holds
_LINE_ENDS = frozenset("\x85\u2028\u2029\ufeff")
_DIGITS_LIMIT = 1024  # bits of an integer


def read_json_or_yaml(data: bytes, place: str) -> Any:  # noqa: ANN401  # JSON
    """Read a document as JSON values; it is JSON if it begins like it, else YAML.

    Raises:
        InvalidPackage: it is neither; the message says where.
    """
    text = _decode(data, place)
    if text.lstrip()[:1] not in ("{", "["):
        return _checked(_read_yaml(text, place), place)
    try:
        value = _read_json(text, place)
    except InvalidPackage:
        try:  # YAML's flow form begins the same way
            value = _read_yaml(text, place)
        except InvalidPackage:
            value = None
        if value is None:
            raise
    return _checked(value, place)


def read_json(data: bytes, place: str) -> Any:  # noqa: ANN401  # JSON
    """Read a JSON document.

    Raises:
        InvalidPackage: it is none; the message says where.
    """
    return _checked(_read_json(_decode(data, place), place), place)


def read_yaml(data: bytes, place: str) -> Any:  # noqa: ANN401  # JSON
    """Read a YAML document.

    Raises:
        InvalidPackage: it is none; the message says where.
    """
    return _checked(_read_yaml(_decode(data, place), place), place)


def _read_json(text: str, place: str) -> Any:  # noqa: ANN401
    try:
        return json.loads(text)
    except RecursionError:
        raise InvalidPackage(f"{place} is nested too deeply") from None
    except ValueError as error:
        raise InvalidPackage(f"{place} is not JSON: {error}") from None


def _decode(data: bytes, place: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidPackage(f"{place} is neither text nor an object") from None


def _read_yaml(text: str, place: str) -> Any:  # noqa: ANN401
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    dates = "tag:yaml.org,2002:timestamp"
    resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag != dates]
        for first, known in base.yaml_implicit_resolvers.items()
    }
    fields = {"yaml_implicit_resolvers": resolvers, "flatten_mapping": _no_merging}
    loader = type("Loader", (base,), fields)
    try:
        depth = 0
        for event in yaml.parse(text, loader):  # libyaml's composer overflows the stack otherwise
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEPTH_LIMIT:
                raise InvalidPackage(f"{place} is nested too deeply")
        return yaml.load(text, loader)  # noqa: S506  # the safe loader, without dates
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or error
        raise InvalidPackage(f"{place}{where} is not YAML: {problem}") from None
    except (ValueError, LookupError, AttributeError, TypeError) as error:  # of "!!bool x"
        raise InvalidPackage(f"{place} holds a value that is not of its tag: {error}") from None


def _no_merging(_loader: Any, node: Any) -> None:  # noqa: ANN401  # PyYAML has no types for it
    """Refuse ``<<``: merged mappings are copied, so a few lines of them fill memory."""
    import yaml

    for key, _ in node.value:
        if key.tag == "tag:yaml.org,2002:merge":
            raise yaml.constructor.ConstructorError(
                None, None, "merge keys (<<) are not supported", key.start_mark
            )


def _checked(value: Any, place: str) -> Any:  # noqa: ANN401
    """Refuse what JSON cannot hold, and what is larger than it looks."""
    waiting, size = [(value, 0)], 0
    while waiting:
        one, depth = waiting.pop()
        size += 1
        if size > _SIZE_LIMIT:
            raise InvalidPackage(f"{place} holds more values than any package")
        if depth > _DEPTH_LIMIT:
            raise InvalidPackage(f"{place} is nested too deeply")
        if isinstance(one, dict):
            for key in one:
                if not isinstance(key, str):
                    raise InvalidPackage(f"{place} has a key that is not text: {key!r}")
                size += _check_text(key, place)
            waiting += [(item, depth + 1) for item in one.values()]
        elif isinstance(one, list):
            waiting += [(item, depth + 1) for item in one]
        elif isinstance(one, str):
            size += _check_text(one, place)
        else:
            _check_scalar(one, place)
    return value


def _check_text(text: str, place: str) -> int:
    """Refuse half of a surrogate pair, which UTF-8 cannot hold; tell the text's size in pages."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidPackage(f"{place} holds text that is not Unicode") from None
    return len(text) // _PAGE


def _check_scalar(one: Any, place: str) -> None:  # noqa: ANN401
    if isinstance(one, float) and not math.isfinite(one):
        raise InvalidPackage(f"{place} holds a number that JSON does not have: {one}")
    if isinstance(one, int) and one.bit_length() > _DIGITS_LIMIT:
        raise InvalidPackage(f"{place} holds a number of {one.bit_length()} bits")
    if one is not None and not isinstance(one, int | float):
        raise InvalidPackage(f"{place} holds a {type(one).__name__}, which JSON does not have")


def check_json(value: Any, place: str) -> None:  # noqa: ANN401  # JSON
    """Check a value that was read elsewhere.

    Raises:
        InvalidPackage: a package's files cannot hold it.
    """
    _checked(value, place)


def write_yaml(data: Any, *, sort: bool = True) -> bytes:  # noqa: ANN401  # JSON
    """Write YAML, keys sorted or as they come; long texts stay on one line, as others expect."""
    import yaml

    dumper: Any = type("Dumper", (yaml.SafeDumper,), {})
    dumper.add_representer(str, _write_text)
    text: str = yaml.dump(
        data,
        Dumper=dumper,
        sort_keys=sort,
        allow_unicode=True,
        width=1 << 30,
        default_flow_style=False,
    )
    return text.encode()


def _write_text(dumper: Any, text: str) -> Any:  # noqa: ANN401  # PyYAML has no types for it
    """Write text so that it is read again: Unicode's line ends only survive as escapes."""
    style = '"' if _LINE_ENDS.intersection(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)
