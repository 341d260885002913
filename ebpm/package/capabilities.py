"""What a package can do to a machine, read off its object and never off what anybody says of it.

Program types and hooks, helpers and functions of the kernel that it calls, its maps and their
memory, what it reads and writes, and since which kernel all that is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ebpm.btf import types as t
from ebpm.btf.core import FIELDS, essential, relocations
from ebpm.package import kernels
from ebpm.package.code import Code
from ebpm.package.describe import MapFact, ObjectFacts, ProgramFact, describe
from ebpm.package.flow import ANYTHING, Behaviour, behaviour
from ebpm.package.kernels import HELPERS, MAP_TYPES, Version
from ebpm.package.sections import SLEEPABLE, XDP_FRAGS, find_section

_PAGE = 4096
_WORD = 8

# What helpers read and write beside the program's own maps and stack; names without bpf_.
_READS: dict[str, str] = {
    "probe_read": "kernel memory",
    "probe_read_str": "kernel memory",
    "probe_read_kernel": "kernel memory",
    "probe_read_kernel_str": "kernel memory",
    "probe_read_user": "user memory",
    "probe_read_user_str": "user memory",
    "copy_from_user": "user memory",
    "copy_from_user_task": "user memory",
    "get_stack": "stacks",
    "get_stackid": "stacks",
    "get_task_stack": "stacks",
    "skb_load_bytes": "packets",
    "skb_load_bytes_relative": "packets",
    "xdp_load_bytes": "packets",
    "perf_event_read": "performance counters",
    "perf_event_read_value": "performance counters",
}
_WRITES: dict[str, tuple[str, ...]] = {
    "user memory": ("probe_write_user", "copy_to_user_str"),
    "return values": ("override_return", "set_retval"),
    "signals": ("send_signal", "send_signal_thread", "send_signal_task"),
    "packets": (
        *("skb_store_bytes", "l3_csum_replace", "l4_csum_replace", "skb_vlan_push", "skb_vlan_pop"),
        *("skb_change_proto", "skb_change_type", "skb_change_tail", "skb_change_head"),
        *("skb_adjust_room", "skb_set_tunnel_key", "skb_set_tunnel_opt", "skb_ecn_set_ce"),
        *("skb_set_tstamp", "xdp_adjust_head", "xdp_adjust_tail", "xdp_store_bytes"),
        *("msg_push_data", "msg_pop_data", "lwt_push_encap", "lwt_seg6_store_bytes"),
        *("lwt_seg6_adjust_srh", "lwt_seg6_action", "store_hdr_opt", "clone_redirect"),
    ),
    "socket options": ("setsockopt", "bind", "sock_ops_cb_flags_set", "sk_assign"),
    "settings": ("sysctl_set_new_value",),
    "other programs": ("sys_bpf",),
    "connections": (
        *("sock_destroy", "ct_insert_entry", "ct_set_nat_info", "ct_set_timeout"),
        *("ct_change_timeout", "ct_set_status", "ct_change_status", "sock_addr_set_sun_path"),
    ),
    "attributes of files": ("set_dentry_xattr", "remove_dentry_xattr"),
    "input devices": ("hw_request", "hw_output_report", "input_report"),
    "processes": ("bprm_opts_set",),
}
_PACKET_POINTERS = {"dynptr_from_skb", "dynptr_from_xdp"}
_REDIRECTS = {
    *("redirect", "redirect_map", "redirect_neigh", "redirect_peer", "clone_redirect"),
    *("sk_redirect_map", "sk_redirect_hash", "msg_redirect_map", "msg_redirect_hash"),
}
# What a program may answer without changing anything, by enum bpf_prog_type, and what it decides.
_VERDICTS: dict[int, tuple[frozenset[int], str]] = {
    3: (frozenset({-1, 0, 3}), "packets"),  # TC_ACT_UNSPEC, OK, PIPE
    4: (frozenset({-1, 0, 3}), "packets"),
    6: (frozenset({2}), "packets"),  # XDP_PASS
    8: (frozenset({1}), "packets"),
    9: (frozenset({1}), "sockets"),
    10: (frozenset({0}), "packets"),
    11: (frozenset({0}), "packets"),
    12: (frozenset({0}), "packets"),
    14: (frozenset({1}), "packets"),
    15: (frozenset({1}), "accesses to devices"),
    16: (frozenset({1}), "packets"),
    18: (frozenset({1}), "connections"),
    21: (frozenset({1}), "connections"),
    23: (frozenset({1}), "accesses to settings"),
    25: (frozenset({1}), "socket options"),
    29: (frozenset({0}), "what processes may do"),  # LSM: 0 allows
    30: (frozenset({1}), "connections"),
    32: (frozenset({1}), "packets"),  # NF_ACCEPT
}
_FMOD_RET, _STRUCT_OPS, _EXTENSION = "fmod_ret", 27, 28
_RECORDS = ("trace_event_raw_", "bpf_", "pt_regs", "__sk_buff", "xdp_md", "user_pt_regs")
_PER_CPU = ("percpu_hash", "lru_percpu_hash", "percpu_array", "percpu_cgroup_storage")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramCapability:
    """A program: where it attaches, and what it calls."""

    name: str
    section: str
    kind: str  # the section's word: "tracepoint"; "" where libbpf knows none such
    target: str  # "syscalls/sys_enter_kill"; "" where the hook is chosen at the start
    helpers: tuple[str, ...]  # with bpf_ before them
    kernel_functions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MapCapability:
    """A map and its memory in bytes when it is full; ``per_cpu`` comes once for each CPU."""

    name: str
    type: str
    max_entries: int
    memory: int
    per_cpu: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Something that came with a kernel."""

    since: Version
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """All that a package can do; :mod:`ebpm.package.summary` says it in words."""

    programs: tuple[ProgramCapability, ...]
    maps: tuple[MapCapability, ...]
    structs: tuple[str, ...]  # of the kernel, whose members are read
    reads: tuple[str, ...]  # "user memory", "packets", …
    writes: tuple[str, ...]  # "user memory", "packets", "return values", "signals", …
    decides: tuple[str, ...]  # what it may stop or send elsewhere: "packets", …
    needs: tuple[Need, ...]  # newest first
    complete: bool  # False: a program is too long to be followed, so it may write as well

    @property
    def helpers(self) -> tuple[str, ...]:
        """All helpers that are called."""
        return tuple(sorted({name for one in self.programs for name in one.helpers}))

    @property
    def kernel_functions(self) -> tuple[str, ...]:
        """All functions of the kernel that are called by name."""
        return tuple(sorted({name for one in self.programs for name in one.kernel_functions}))

    @property
    def since(self) -> Version | None:
        """The first kernel that has everything; None where nothing is needed that is known."""
        return self.needs[0].since if self.needs else None

    def memory(self, cpus: int) -> int:
        """Tell how many bytes the maps take on a machine with that many CPUs."""
        return sum(one.memory + one.per_cpu * cpus for one in self.maps)


def capabilities_of(data: bytes) -> Capabilities:
    """Read an object's capabilities.

    Raises:
        InvalidObject, InvalidBtf: it is no BPF object, or is damaged.
    """
    facts = describe(data)
    code = Code(facts.elf)
    found: list[tuple[ProgramFact, int, Behaviour]] = []
    indexes = {section.name: section.index for section in facts.elf.sections}
    for one in facts.programs:
        kind = find_section(one.section)
        number = kind.type if kind else 0
        function = code.functions.get((indexes[one.section], one.offset // 8))
        found.append((one, number, behaviour(code, function, number) if function else Behaviour()))
    maps = tuple(_maps(facts))
    structs = tuple(_structs(data))
    return Capabilities(
        programs=tuple(_program(fact, done) for fact, _, done in found),
        maps=maps,
        structs=structs,
        reads=tuple(sorted(set(_reads(found)))),
        writes=tuple(sorted(set(_writes(found)))),
        decides=tuple(sorted(set(_decides(found)))),
        needs=_needs(facts, found, has_core=bool(structs)),
        complete=all(done.complete for _, _, done in found),
    )


_Found = Iterable[tuple[ProgramFact, int, Behaviour]]


def _helper(number: int) -> str:
    return HELPERS[number][0] if number in HELPERS else f"helper_{number}"


def _program(fact: ProgramFact, done: Behaviour) -> ProgramCapability:
    kind = find_section(fact.section)
    return ProgramCapability(
        name=fact.name,
        section=fact.section,
        kind=kind.word if kind else "",
        target=kind.target if kind else "",
        helpers=tuple(sorted(f"bpf_{_helper(number)}" for number in done.helpers)),
        kernel_functions=tuple(sorted(done.kernel)),
    )


def _called(done: Behaviour) -> set[str]:
    return {_helper(one) for one in done.helpers} | {
        one.removeprefix("bpf_") for one in done.kernel
    }


def _reads(found: _Found) -> Iterator[str]:
    for _, number, done in found:
        for name in _called(done):
            if name in _READS:
                yield _READS[name]
        if done.reads_packet or number == 1:
            yield "packets"


def _writes(found: _Found) -> Iterator[str]:
    for fact, number, done in found:
        called = _called(done)
        for what, names in _WRITES.items():
            if called.intersection(names):
                yield what
        if done.writes_packet or ("dynptr_write" in called and called & _PACKET_POINTERS):
            yield "packets"
        if done.writes_context:
            yield "packets' marks" if number in (3, 4, 8) else "its context"
        kind = find_section(fact.section)
        if kind and kind.word.partition(".")[0] == _FMOD_RET and _answers(done, frozenset({0})):
            yield "return values"
        if number in (_STRUCT_OPS, _EXTENSION):
            yield "the kernel's or another program's functions, which it replaces"


def _decides(found: _Found) -> Iterator[str]:
    for _, number, done in found:
        harmless, what = _VERDICTS.get(number, (frozenset(), ""))
        redirects = bool(_called(done) & _REDIRECTS)
        if what and (redirects or _answers(done, harmless)):
            yield what


def _answers(done: Behaviour, harmless: frozenset[int]) -> bool:
    """Whether a program may return something else than these."""
    return ANYTHING in done.returns or not done.returns <= harmless


def _structs(data: bytes) -> list[str]:
    """List the kernel's structs whose members an object asks for (CO-RE)."""
    btf, asked = relocations(data)
    if btf is None:
        return []
    names = set()
    for one in asked:
        if one.kind in FIELDS and one.type_id < len(btf):
            found = btf[btf.strip(one.type_id)]
            if isinstance(found, t.Struct) and found.name:
                names.add(essential(found.name))
    return sorted(name for name in names if not name.startswith(_RECORDS))


# --- memory --------------------------------------------------------------------------------------


def _maps(facts: ObjectFacts) -> Iterator[MapCapability]:
    for one in facts.maps:
        name = MAP_TYPES[one.type][0] if one.type in MAP_TYPES else f"type {one.type}"
        memory, per_cpu = _memory(one, name)
        yield MapCapability(
            name=one.name, type=name, max_entries=one.max_entries, memory=memory, per_cpu=per_cpu
        )
    sizes = {section.name: section.size for section in facts.elf.sections}
    for section in facts.data_sections:
        pages = -(-sizes[section] // _PAGE) * _PAGE  # they can be mapped
        yield MapCapability(name=section, type="array", max_entries=1, memory=pages)


def _memory(one: MapFact, kind: str) -> tuple[int, int]:
    """Estimate a map's memory when it is full: for all CPUs together, and for each.

    Source: ``map_mem_usage`` of the map types in kernel/bpf (6.4 and later).
    """
    entries = one.max_entries
    key, value = _whole(one.key_size), _whole(one.value_size)
    if kind in ("hash", "lru_hash", "hash_of_maps"):
        return entries * (48 + key + value) + _buckets(entries), 0
    if kind in _PER_CPU and "hash" in kind:
        return entries * (48 + key + _WORD) + _buckets(entries), entries * value
    if kind == "percpu_array":
        return entries * _WORD, entries * value
    if kind in ("array", "cgroup_storage"):
        return entries * value, 0
    if kind in ("ringbuf", "user_ringbuf"):
        return entries + 3 * _PAGE, 0
    if kind == "stack_trace":
        return _buckets(entries) // 2 + entries * (24 + one.value_size), 0
    if kind in ("queue", "stack"):
        return (entries + 1) * one.value_size, 0
    if kind == "lpm_trie":
        return entries * (40 + _whole(one.key_size + one.value_size)), 0
    if kind == "arena":
        return entries * _PAGE, 0
    return entries * _WORD, 0


def _whole(size: int) -> int:
    return -(-size // _WORD) * _WORD


def _buckets(entries: int) -> int:
    return 16 * (1 << max(0, entries - 1).bit_length()) if entries else 0


# --- kernels -------------------------------------------------------------------------------------

_FEATURES: dict[str, Need] = {
    "loops": Need(since=kernels.BOUNDED_LOOPS, what="loops"),
    "atomics": Need(since=kernels.ATOMIC_FETCH, what="atomic operations that give a value"),
    "jump32": Need(since=kernels.JUMP32, what="jumps that compare 32 bits"),
    "calls": Need(since=kernels.SUBPROGRAMS, what="calls of its own functions"),
    "callbacks": Need(since=kernels.CALLBACKS, what="callbacks"),
}


def _needs(facts: ObjectFacts, found: _Found, *, has_core: bool) -> tuple[Need, ...]:
    """List what the programs that are loaded unasked need of a kernel, newest first."""
    needs: dict[str, Version] = {}

    def need(since: Version, what: str) -> None:
        needs[what] = max(since, needs.get(what, since))

    for fact, _, done in found:
        if fact.section.startswith("?"):
            continue  # loaded only where somebody asks for it
        kind = find_section(fact.section)
        plain = kind.word.removesuffix(".s").replace(".frags", "") if kind else ""
        if kind and plain in kernels.SECTIONS:
            need(kernels.SECTIONS[plain], f"programs of the kind {plain}")
        if kind and kind.flags & SLEEPABLE and plain not in ("syscall", "iter"):
            late = plain.startswith(("uprobe", "uretprobe"))
            need(kernels.SLEEPABLE_UPROBE if late else kernels.SLEEPABLE, "programs that sleep")
        if kind and kind.flags & XDP_FRAGS:
            need(kernels.XDP_FRAGS, "XDP programs for frames in pieces")
        for number in done.helpers & HELPERS.keys():
            need(HELPERS[number][1], f"bpf_{HELPERS[number][0]}()")
        for name in done.kernel:
            need(kernels.KFUNCS, f"{name}()")
        for feature in done.features:
            need(_FEATURES[feature].since, _FEATURES[feature].what)
    for one in facts.maps:
        if one.type in MAP_TYPES:
            need(MAP_TYPES[one.type][1], f"maps of the type {MAP_TYPES[one.type][0]}")
    if facts.data_sections:
        need(kernels.GLOBAL_DATA, "global variables")
    if has_core:
        need(kernels.BTF_VMLINUX, "the kernel's BTF")
    listed = [Need(since=since, what=what) for what, since in needs.items()]
    return tuple(sorted(listed, key=lambda one: ((-one.since[0], -one.since[1]), one.what)))
