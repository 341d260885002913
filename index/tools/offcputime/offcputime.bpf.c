// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Where tasks wait: the time that they spend off the CPU, by the stack with which they left it,
// printed at the end.
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <ebpm/cgroup.h>
#include <ebpm/hist.h>
#include <ebpm/task.h>
#include "offcputime.h"

#define MAX_DEPTH 127
#define PF_KTHREAD 0x200000

/// @description Process ID to trace; 0 traces all
/// @cmdarg {"short": "p"}
const volatile int pid = 0;
/// @description Thread ID to trace; 0 traces all
/// @cmdarg {"short": "t"}
const volatile int tid = 0;
/// @description Cgroup to trace, with those below it; an empty one traces all
/// @cmdarg {"short": "c"}
const volatile struct ebpm_cgroup cgroup = {};
/// @description Least time to count, microseconds
/// @cmdarg {"short": "m"}
const volatile unsigned long long min_us = 1;
/// @description Most time to count, microseconds
/// @cmdarg {"short": "M"}
const volatile unsigned long long max_us = -1;
/// @description Only threads of the kernel
/// @cmdarg {"short": "k"}
const volatile bool kernel_threads = false;
/// @description Only threads of processes
/// @cmdarg {"short": "u"}
const volatile bool user_threads = false;
/// @description State in which they leave: 1 interruptible, 2 not; 0 running; -1 counts any
const volatile long long state = -1;
/// @description Leave out the kernel's stacks
/// @cmdarg {"short": "U"}
const volatile bool user_only = false;
/// @description Leave out the stacks of user space
/// @cmdarg {"short": "K"}
const volatile bool kernel_only = false;

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 16384);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, MAX_DEPTH * sizeof(__u64));
} stacks SEC(".maps");

struct leaving {
	__u64 at;
	struct place place;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u32);
	__type(value, struct leaving);
} left SEC(".maps");

/* The reading that counts is the one at the end; what counts most stands last there. */
/// @sample {"interval": 86400000, "sort": "+us"}
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 40960);
	__type(key, struct place);
	__type(value, struct waits);
} times SEC(".maps");

static struct waits zero;

SEC("raw_tp/sched_switch")
int BPF_PROG(switched, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	__u32 thread = BPF_CORE_READ(prev, pid), process = BPF_CORE_READ(prev, tgid);
	__u64 now = bpf_ktime_get_ns(), took;
	struct leaving leaving = {.at = now}, *from;
	bool of_kernel = BPF_CORE_READ(prev, flags) & PF_KTHREAD;
	struct waits *waits;

	if (thread && !(of_kernel ? user_threads : kernel_threads) &&
	    (state == -1 || task_state(prev) == state) && (!pid || process == pid) && (!tid || thread == tid) &&
	    in_cgroup(&cgroup)) { /* prev is still the current task */
		leaving.place.pid = process;
		leaving.place.kern_stack_id = -1;
		leaving.place.user_stack_id = -1;
		BPF_CORE_READ_STR_INTO(&leaving.place.comm, prev, comm);
		if (!user_only)
			leaving.place.kern_stack_id = bpf_get_stackid(ctx, &stacks, 0);
		if (!kernel_only)
			leaving.place.user_stack_id =
				bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK);
		bpf_map_update_elem(&left, &thread, &leaving, BPF_ANY);
	}
	thread = BPF_CORE_READ(next, pid);
	from = bpf_map_lookup_elem(&left, &thread);
	if (!from)
		return 0;
	took = now > from->at ? (now - from->at) / 1000 : 0;
	if (took >= min_us && took <= max_us) {
		waits = lookup_or_init(&times, &from->place, &zero);
		if (waits)
			__atomic_fetch_add(&waits->us, took, __ATOMIC_RELAXED);
	}
	bpf_map_delete_elem(&left, &thread);
	return 0;
}

/// @brief Show where tasks wait, by stack.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
