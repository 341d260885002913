"""Folded stacks as a flame graph: one SVG file that needs nothing else, no script included.

A frame is as wide as the stacks through it are frequent, and lies on the frame that called it; what
it is, and how much, a browser shows where the pointer rests.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_WIDTH, _MARGIN, _ROW, _TOP = 1200, 10, 16, 40
_LETTER = 7  # pixels, about, of a letter of 12
_THINNEST = 0.1  # pixels: narrower frames are left out


class _Node:
    __slots__ = ("children", "count", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.count = 0
        self.children: dict[str, _Node] = {}


def flamegraph(totals: dict[str, int], title: str) -> str:
    """Draw folded stacks.

    Args:
        totals: counts by ``comm;frame;…``; positive.
        title: above the graph.
    """
    root = _Node("all")
    for line, count in totals.items():
        node = root
        node.count += count
        for name in line.split(";"):
            node = node.children.setdefault(name, _Node(name))
            node.count += count
    scale = (_WIDTH - 2 * _MARGIN) / root.count if root.count else 0.0
    boxes = list(_boxes(root, scale)) if root.count else []
    depth = max((row for _, _, row, _ in boxes), default=0) + 1
    height = _TOP + depth * _ROW + _MARGIN
    head = _escaped(title)
    middle = f'x="{_WIDTH // 2}" y="24" text-anchor="middle"'
    sizes = f'width="{_WIDTH}" height="{height}"'
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<svg xmlns="http://www.w3.org/2000/svg" {sizes} viewBox="0 0 {_WIDTH} {height}">',
        f"<title>{head}</title>",
        "<style>text { font: 12px monospace }</style>",
        f'<rect {sizes} fill="#fffdf5"/>',
        f"<text {middle}>{head}</text>",
    ]
    for left, width, row, node in boxes:
        top = height - _MARGIN - (row + 1) * _ROW
        share = 100 * node.count / root.count
        lines.append(
            f"<g><title>{_escaped(node.name)}: {node.count} ({share:.2f} %)</title>"
            f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{_ROW - 1}" '
            f'fill="{_colour(node.name)}" rx="1"/>{_label(node.name, left, width, top)}</g>'
        )
    return "\n".join([*lines, "</svg>", ""])


def _boxes(root: _Node, scale: float) -> Iterator[tuple[float, float, int, _Node]]:
    """Walk the frames that can be seen: left edge, width, row from below, the frame."""
    waiting: list[tuple[float, int, _Node]] = [(_MARGIN, 0, root)]
    while waiting:
        left, row, node = waiting.pop()
        width = node.count * scale
        if width < _THINNEST:
            continue
        yield left, width, row, node
        for name in sorted(node.children):
            child = node.children[name]
            waiting.append((left, row + 1, child))
            left += child.count * scale


def _label(name: str, left: float, width: float, top: int) -> str:
    room = int((width - 4) / _LETTER)
    if room < 3:
        return ""
    text = name if len(name) <= room else name[: room - 2] + ".."
    return f'<text x="{left + 2:.1f}" y="{top + 12}">{_escaped(text)}</text>'


def _colour(name: str) -> str:
    """Give a warm colour that is always the name's; kernel frames are more orange."""
    code = 0
    for character in name:
        code = (code * 31 + ord(character)) & 0xFFFFFF
    shade = code % 60
    if name.endswith("_[k]"):
        return f"rgb(250,{140 + shade},{40 + shade // 2})"
    return f"rgb({215 + shade // 2},{60 + 2 * shade},{40 + shade // 2})"


def _escaped(text: str) -> str:
    """Make text safe for XML: its own characters, and those that XML cannot hold."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = text.replace('"', "&quot;")
    return "".join(one if _allowed(ord(one)) else "\ufffd" for one in text)


def _allowed(code: int) -> bool:
    return code in (9, 10, 13) or 0x20 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or code > 0xFFFF
