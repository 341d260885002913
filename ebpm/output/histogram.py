"""Histograms counted in the kernel, drawn in user space.

The plain form is that of ``print_log2_hist`` and ``print_linear_hist`` in bcc's trace_helpers, byte
for byte, which eunomia-bpf and libbpf-tools print as well.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_NARROW = 32  # last slot up to which values have ten digits
_STARS, _FEW_STARS = 40, 20
_GREEN, _PLAIN = "\x1b[32m", "\x1b[0m"


def log2_histogram(
    slots: Sequence[int], unit: str, *, width: int = 0, colour: bool = False
) -> list[str]:
    """Draw a histogram whose slot i counts values in [2**i, 2**(i+1)); slot 0 counts 0 as well.

    Args:
        slots: counts; what is after the last that is not zero is left out.
        unit: heading of the values' column.
        width: characters of the longest bar; 0 for bcc's 40, or 20 where values are long.
        colour: whether bars are coloured.

    Returns:
        lines; none where nothing was counted.
    """
    last = max((at for at, count in enumerate(slots) if count), default=-1)
    if last < 0:
        return []
    narrow = last <= _NARROW
    value_width, stars = (10, _STARS) if narrow else (20, _FEW_STARS)
    most = max(slots)
    left, heading = (5, 19) if narrow else (15, 29)
    lines = [f"{'':{left}}{unit:<{heading}} : count    distribution"]
    for at, count in enumerate(slots[: last + 1]):
        low, high = (1 << (at + 1)) >> 1, (1 << (at + 1)) - 1
        if low == high:
            low -= 1
        values = f"{low:>{value_width}} -> {high:<{value_width}}"
        lines.append(f"{values} : {count:<8} |{_bar(count, most, width or stars, colour)}|")
    return lines


def linear_histogram(
    slots: Sequence[int],
    unit: str,
    base: int = 0,
    step: int = 1,
    *,
    width: int = 0,
    colour: bool = False,
) -> list[str]:
    """Draw a histogram whose slot i counts values in [base + i*step, base + (i+1)*step).

    Args:
        slots: counts; those that are zero are left out.
        unit: heading of the values' column.
        base: value of slot 0.
        step: values in a slot.
        width: characters of the longest bar; 0 for bcc's 40.
        colour: whether bars are coloured.
    """
    used = [at for at, count in enumerate(slots) if count]
    most = max(slots, default=0)
    lines = [f"     {unit:<13} : count     distribution"] if used else []
    for at in used:
        bar = _bar(slots[at], most, width or _STARS, colour)
        lines.append(f"        {base + at * step:<10} : {slots[at]:<8} |{bar}|")
    return lines


def _bar(count: int, most: int, width: int, colour: bool) -> str:
    filled = max(count, 0) * width // most if most > 0 else 0
    stars = "*" * filled
    return (f"{_GREEN}{stars}{_PLAIN}" if colour and stars else stars) + " " * (width - filled)
