"""What registries say of their errors (distribution-spec v1.1, "Error codes")."""

from __future__ import annotations

import json
import re
from typing import Any

from ebpm.errors import RegistryUnreachable
from ebpm.registry.answer import Answer

RETRY_STATUSES = frozenset((408, 429, 500, 502, 503, 504))
_WAIT = re.compile(r"retry-after:\s*(\d{1,9}(?:\.\d{1,9})?)\s*(ms|m|s)?", re.IGNORECASE)
_LIMIT = 16384  # bytes of an error's document
_MOST = 3  # errors that are shown
_LONGEST = 300  # characters of it that are shown


def said(answer: Answer) -> str:
    """Read the registry's own words, as the end of a message of ours; empty where it has none."""
    try:
        data: Any = json.loads(answer.read(_LIMIT) or b"{}")
        errors = data.get("errors") or [data]  # token servers give one error, unlisted
        text = "; ".join(filter(None, (_words(one) for one in errors[:_MOST])))
    except (RegistryUnreachable, ValueError, RecursionError):
        return ""
    except (KeyError, TypeError, IndexError, AttributeError):
        return ""
    return f": {text[:_LONGEST]}" if text else ""


def _words(error: Any) -> str:  # noqa: ANN401  # JSON
    parts = [error.get(key) for key in ("code", "error", "message", "error_description", "detail")]
    words = [part for part in parts if isinstance(part, str) and part]
    return " ".join(" ".join(dict.fromkeys(words)).split())  # one line, whatever it holds


def may_pass(answer: Answer) -> bool:
    """Whether the same request may be answered otherwise if it is sent again."""
    # GitHub's secondary limit is a 403, told from a refusal by its Retry-After.
    limited = answer.status == 403 and "Retry-After" in answer.headers
    return answer.status in RETRY_STATUSES or limited


def said_wait(answer: Answer) -> float:
    """Read the seconds to wait out of an error's document, as GHCR gives them; 0 without any.

    Its words: ``retry-after: 1.88ms, allowed: 2000/minute``.
    """
    if answer.status != 429:
        return 0.0
    match = _WAIT.search(said(answer))
    return float(match[1]) * {"ms": 0.001, "m": 60.0}.get(match[2], 1.0) if match else 0.0
