"""Lines of bpf_printk, in the layout of the kernel's trace_pipe. On the path of ``ebpm run``."""

from __future__ import annotations

from ebpm.output.escape import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ebpm.event import Batch


def trace_lines(batch: Batch) -> str:
    """Write the records of a batch as the kernel does (kernel/trace/trace_output.c)."""
    lines = []
    for event in batch.events():
        one = event.fields
        who = f"{escape(one['comm']):>16}-{one['pid']:<7} [{one['cpu']:03}] {one['flags']}"
        lines.append(f"{who} {one['seconds']}: bpf_trace_printk: {escape(one['message'])}\n")
    return "".join(lines)
