"""What this process may do: the capabilities that BPF needs, by name.

Source: capabilities(7); kernel/bpf/syscall.c, ``bpf_prog_load`` and ``map_create`` (Linux 5.8).
"""

from __future__ import annotations

_NUMBERS = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21, "CAP_PERFMON": 38, "CAP_BPF": 39}
_NETWORK = (
    *("xdp", "tc", "classifier", "action", "netkit", "netfilter", "flow_dissector"),
    *("cgroup", "sk_", "sockops", "lwt_"),
)


def missing_capabilities(sections: list[str]) -> list[str]:
    """List the capabilities that programs of these ELF sections need and we lack.

    CAP_SYS_ADMIN stands in for all of them, as it did before Linux 5.8.
    """
    effective = _effective()
    if effective >> _NUMBERS["CAP_SYS_ADMIN"] & 1:
        return []
    needed = {"CAP_BPF"}
    for section in sections:
        network = section.removeprefix("?").startswith(_NETWORK)
        needed.add("CAP_NET_ADMIN" if network else "CAP_PERFMON")
    return sorted(name for name in needed if not effective >> _NUMBERS[name] & 1)


def _effective() -> int:
    """Read the effective capabilities of this process as a bit mask."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("CapEff:"):
                return int(line.split()[1], 16)
    return 0
