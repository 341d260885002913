"""JSON and YAML text as plain values."""

from __future__ import annotations

import json
import math
from typing import Any

from ebpm.errors import InvalidPackage

_NODE_LIMIT = 1_000_000  # a few aliases of YAML can stand for more than memory holds


def read_json_or_yaml(data: bytes, place: str) -> Any:  # noqa: ANN401  # JSON
    """Read a document as JSON values; it is JSON if it begins like it, else YAML.

    Raises:
        InvalidPackage: it is neither; the message says where.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidPackage(f"{place} is neither text nor an object") from None
    try:
        value = _read(text, place)
    except RecursionError:
        raise InvalidPackage(f"{place} is nested too deeply") from None
    _check(value, place)
    return value


def _read(text: str, place: str) -> Any:  # noqa: ANN401
    if text.lstrip()[:1] not in ("{", "["):
        return _read_yaml(text, place)
    try:
        return json.loads(text)
    except ValueError as error:
        try:  # YAML's flow form begins the same way
            return _read_yaml(text, place)
        except InvalidPackage:
            raise InvalidPackage(f"{place} is not JSON: {error}") from None


def _read_yaml(text: str, place: str) -> Any:  # noqa: ANN401
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    dates = "tag:yaml.org,2002:timestamp"
    resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag != dates]
        for first, known in base.yaml_implicit_resolvers.items()
    }
    loader = type("Loader", (base,), {"yaml_implicit_resolvers": resolvers})
    try:
        return yaml.load(text, loader)  # noqa: S506  # the safe loader, without dates
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or error
        raise InvalidPackage(f"{place}{where} is not YAML: {problem}") from None


def _check(value: Any, place: str) -> None:  # noqa: ANN401
    """Refuse what JSON cannot hold, and what is larger than it looks."""
    waiting, count = [value], 0
    while waiting:
        one = waiting.pop()
        count += 1
        if count > _NODE_LIMIT:
            raise InvalidPackage(f"{place} holds more values than any package")
        if isinstance(one, dict):
            for key in one:
                if not isinstance(key, str):
                    raise InvalidPackage(f"{place} has a key that is not text: {key!r}")
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, float) and not math.isfinite(one):
            raise InvalidPackage(f"{place} holds a number that JSON does not have: {one}")
        elif one is not None and not isinstance(one, str | int | float):
            raise InvalidPackage(f"{place} holds a {type(one).__name__}, which JSON does not have")


def write_yaml(data: Any) -> bytes:  # noqa: ANN401  # JSON
    """Write YAML; long texts stay on one line, as other readers expect."""
    import yaml

    text: str = yaml.safe_dump(
        data, sort_keys=True, allow_unicode=True, width=1 << 30, default_flow_style=False
    )
    return text.encode()
