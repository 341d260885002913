// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Where CPUs spend their time: the stacks of whatever runs, sampled 49 times a second on every
// CPU, and printed at the end.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <ebpm/cgroup.h>
#include <ebpm/hist.h>
#include "profile.h"

#define MAX_DEPTH 127

/// @description Process ID to trace; 0 traces all
/// @cmdarg {"short": "p"}
const volatile int pid = 0;
/// @description Cgroup to trace, with those below it; an empty one traces all
/// @cmdarg {"short": "c"}
const volatile struct ebpm_cgroup cgroup = {};
/// @description Leave out the kernel's stacks
/// @cmdarg {"short": "U"}
const volatile bool user_only = false;
/// @description Leave out the stacks of user space
/// @cmdarg {"short": "K"}
const volatile bool kernel_only = false;
/// @description Count the idle task as well
/// @cmdarg {"short": "I"}
const volatile bool include_idle = false;

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 16384);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, MAX_DEPTH * sizeof(__u64));
} stacks SEC(".maps");

/* The reading that counts is the one at the end; what counts most stands last there. */
/// @sample {"interval": 86400000, "sort": "+count"}
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 40960);
	__type(key, struct place);
	__type(value, struct samples);
} counts SEC(".maps");

static struct samples zero;

/// @attach perf_event,type=software,config=cpu-clock,frequency=49
SEC("perf_event")
int sample(struct bpf_perf_event_data *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct place key = {.pid = id >> 32, .kern_stack_id = -1, .user_stack_id = -1};
	struct samples *samples;

	if ((pid && key.pid != pid) || (!include_idle && !(__u32)id) || !in_cgroup(&cgroup))
		return 0;
	bpf_get_current_comm(key.comm, sizeof(key.comm));
	if (!user_only)
		key.kern_stack_id = bpf_get_stackid(ctx, &stacks, 0);
	if (!kernel_only)
		key.user_stack_id = bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK);
	samples = lookup_or_init(&counts, &key, &zero);
	if (samples)
		__atomic_fetch_add(&samples->count, 1, __ATOMIC_RELAXED);
	return 0;
}

/// @brief Show where CPUs spend their time, by stack.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
