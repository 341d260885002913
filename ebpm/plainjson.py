"""JSON without the cost of importing :mod:`json`.

``import json`` pulls in :mod:`re` and takes as long as loading a trimmed BPF object (5 ms here), on
a path that promises to start like a native tool. CPython's own C scanner and encoder do the same
work and are reached directly; where they are absent or changed, :mod:`json` itself is used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    Json: TypeAlias = None | bool | int | float | str | list[Any] | dict[str, Any]


def _refuse(constant: str) -> Json:
    raise ValueError(f"{constant} is not JSON")


class _Context:
    """What ``_json.make_scanner`` reads its settings from."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = staticmethod(_refuse)


def _accelerated() -> tuple[Callable[[str, int], tuple[Json, int]], Callable[[Json], str]]:
    import _json  # type: ignore[import-not-found, unused-ignore]  # CPython's accelerator

    scan: Any = _json.make_scanner(_Context())  # type: ignore[arg-type, unused-ignore]
    settings: Any = (None, None, _json.encode_basestring, None, ":", ",", True, False, False)
    encode: Any = _json.make_encoder(*settings)
    if scan('{"a":[1.5]}', 0) != ({"a": [1.5]}, 11) or "".join(encode({"a": [None]}, 0)) != (
        '{"a":[null]}'
    ):
        raise ImportError("_json does not behave as expected")
    return scan, lambda value: "".join(encode(value, 0))


def _standard() -> tuple[Callable[[str, int], tuple[Json, int]], Callable[[Json], str]]:
    import json

    def encode(value: Json) -> str:
        return json.dumps(
            value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False
        )

    decoder: Any = json.JSONDecoder(parse_constant=_refuse)
    return decoder.scan_once, encode


try:
    _scan, _encode = _accelerated()
except (ImportError, AttributeError, TypeError):  # another interpreter, or another CPython
    _scan, _encode = _standard()

_SPACE = " \t\n\r"


def loads(text: str | bytes) -> Json:
    """Read one JSON document; raise ValueError if it is not exactly one (RFC 8259)."""
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    start = len(text) - len(text.lstrip(_SPACE))
    try:
        value, end = _scan(text, start)
    except (StopIteration, SystemError):  # 3.11's scanner finds no json.JSONDecodeError to raise
        raise ValueError("not a JSON document") from None
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
    if text[end:].strip(_SPACE):
        raise ValueError(f"text after the JSON document, at character {end}")
    return value


def dumps(value: Json) -> str:
    """Write compact JSON: keys sorted, text unescaped; ValueError on NaN and infinity."""
    try:
        return _encode(value)
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
