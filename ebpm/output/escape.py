"""Text that came from strangers, made safe for a terminal.

Escaped are the C0 and C1 controls, DEL, the line and paragraph separators, and the characters that
change the direction of text (Unicode's Bidi_Control; the "Trojan Source" ones): a file name must
not move the cursor, colour the screen, or show itself as another.
"""

from __future__ import annotations

_HOSTILE = (
    *range(0x20),
    *range(0x7F, 0xA0),
    *(0x061C, 0x200E, 0x200F, 0x2028, 0x2029, 0xFEFF),
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
)


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


_TABLE = {code: _escape(code) for code in _HOSTILE} | {9: "\\t", 10: "\\n", 13: "\\r"}
_JSON = {code: f"\\u{code:04x}" for code in _HOSTILE if code >= 0x7F}


def escape(text: str) -> str:
    r"""Write hostile characters as ``\x1b`` or ``\u202e``; half a surrogate pair as well."""
    if text.isascii() and text.isprintable():
        return text
    return text.translate(_TABLE).encode("utf-8", "backslashreplace").decode()


def escape_json(document: str) -> str:
    r"""Write the hostile characters that JSON allows as ``\u202e``: the document stays the same."""
    if document.isascii() and "\x7f" not in document:
        return document
    return document.translate(_JSON)
