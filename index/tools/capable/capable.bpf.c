// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Capabilities that the kernel asks processes for, and whether they have them. By the tracepoint
// of Linux 6.14, and by a probe of the function on older kernels.
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <ebpm/cgroup.h>
#include <ebpm/hist.h>
#include <ebpm/number.h>
#include "capable.h"

#define MAX_DEPTH 127

/// @description Process ID to trace; 0 traces all
/// @cmdarg {"short": "p", "long": "pid"}
const volatile int wanted_pid = 0;
/// @description Cgroup to trace, with those below it; an empty one traces all
/// @cmdarg {"short": "c", "long": "cgroup"}
const volatile struct ebpm_cgroup wanted_cgroup = {};
/// @description Report a capability once for each pid, or for each cgroup
/// @cmdarg {"short": "u"}
const volatile enum unique unique = off;
/// @description Report only capabilities that a process lacks
/// @cmdarg {"short": "l"}
const volatile bool lacking = false;
/// @description Count the stacks in the kernel with which it is asked, too
/// @cmdarg {"short": "K"}
const volatile bool kernel_stack = false;
/// @description Count the stacks in user space with which it is asked, too
/// @cmdarg {"short": "U"}
const volatile bool user_stack = false;

/// @lost
__u64 lost_events = 0;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 * 1024);
} events SEC(".maps");

struct asking {
	__u64 who;
	__u64 capability;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 10240);
	__type(key, struct asking);
	__type(value, bool);
} known SEC(".maps");

/* Whether a process, or a cgroup, has been asked for a capability before. */
static bool asked_before(__u32 process, int capability)
{
	struct asking key = {.who = process, .capability = capability};
	bool yes = true;

	if (unique == cgroup)
		key.who = bpf_get_current_cgroup_id();
	return bpf_map_update_elem(&known, &key, &yes, BPF_NOEXIST) != 0;
}

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 1024);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, MAX_DEPTH * sizeof(__u64));
} stacks SEC(".maps");

/// @sample {"interval": 1000, "clear_map": true}
/// @when kernel_stack user_stack
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct place);
	__type(value, struct asked);
} places SEC(".maps");

static void count_stack(void *ctx, __u32 process, int capability)
{
	struct place key = {.pid = process, .kern_stack_id = -1, .user_stack_id = -1, .cap = capability};
	struct asked zero = {.cap = capability}, *asked;

	bpf_get_current_comm(key.comm, sizeof(key.comm));
	if (kernel_stack)
		key.kern_stack_id = bpf_get_stackid(ctx, &stacks, 0);
	if (user_stack)
		key.user_stack_id = bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK);
	asked = lookup_or_init(&places, &key, &zero);
	if (asked)
		__atomic_fetch_add(&asked->count, 1, __ATOMIC_RELAXED);
}

static int report(void *ctx, int capability, int ret)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 process = id >> 32;
	struct event *event;

	if ((wanted_pid && process != wanted_pid) || (lacking && !ret) || !in_cgroup(&wanted_cgroup))
		return 0;
	if (unique != off && asked_before(process, capability))
		return 0;
	if (kernel_stack || user_stack)
		count_stack(ctx, process, capability);
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__atomic_fetch_add(&lost_events, 1, __ATOMIC_RELAXED);
		return 0;
	}
	event->pid = process;
	event->tid = id;
	event->uid = bpf_get_current_uid_gid();
	event->cap = capability;
	event->ret = ret;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/* (const struct cred *, target namespace, capable namespace, int cap, int ret) */
/// @alternative capable 1
SEC("raw_tp/cap_capable")
int capability_asked(struct bpf_raw_tracepoint_args *ctx)
{
	return report(ctx, ctx->args[3], ctx->args[4]);
}

/// @alternative capable 2
SEC("fexit/cap_capable")
int BPF_PROG(cap_capable_exit, const void *cred, void *ns, int cap, unsigned int opts, int ret)
{
	return report(ctx, cap, ret);
}

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u32);
	__type(value, int);
} asked SEC(".maps");

/// @alternative capable 3
SEC("kprobe/cap_capable")
int BPF_KPROBE(cap_capable_entry, const void *cred, void *ns, int cap)
{
	__u32 tid = bpf_get_current_pid_tgid();

	bpf_map_update_elem(&asked, &tid, &cap, BPF_ANY);
	return 0;
}

/// @alternative capable 3
SEC("kretprobe/cap_capable")
int BPF_KRETPROBE(cap_capable_return, int ret)
{
	__u32 tid = bpf_get_current_pid_tgid();
	int *cap = bpf_map_lookup_elem(&asked, &tid), which;

	if (!cap)
		return 0;
	which = *cap;
	bpf_map_delete_elem(&asked, &tid);
	return report(ctx, which, ret);
}

/// @brief Trace the capabilities that the kernel asks processes for.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
