"""What registries say of their errors (distribution-spec v1.1, "Error codes")."""

from __future__ import annotations

import json
from typing import Any

from ebpm.errors import RegistryUnreachable
from ebpm.registry.answer import Answer

_LIMIT = 16384  # bytes of an error's document
_LONGEST = 300  # characters of it that are shown


def said(answer: Answer) -> str:
    """Read the registry's own words, as the end of a message of ours; empty where it has none."""
    try:
        data: Any = json.loads(answer.read(_LIMIT) or b"{}")
        errors = data.get("errors") or [data]  # token servers give one error, unlisted
        first = errors[0]
        parts = [first.get(key) for key in ("code", "error", "message", "error_description")]
        detail = first.get("detail")
    except (RegistryUnreachable, ValueError, RecursionError):
        return ""
    except (KeyError, TypeError, IndexError, AttributeError):
        return ""
    words = [part for part in (*parts, detail) if isinstance(part, str) and part]
    text = " ".join(" ".join(dict.fromkeys(words)).split())  # one line, whatever it holds
    return f": {text[:_LONGEST]}" if text else ""
