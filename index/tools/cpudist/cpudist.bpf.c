// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// How long tasks stay on a CPU, or off it: from being switched in to being switched out.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <ebpm/cgroup.h>
#include <ebpm/hist.h>
#include <ebpm/task.h>
#include "cpudist.h"

/// @description Process ID to trace; 0 traces all
/// @cmdarg {"short": "p"}
const volatile int pid = 0;
/// @description Cgroup to trace, with those below it; an empty one traces all
/// @cmdarg {"short": "c"}
const volatile struct ebpm_cgroup cgroup = {};
/// @description A histogram for each process
/// @cmdarg {"short": "P"}
const volatile bool per_process = false;
/// @description A histogram for each thread
/// @cmdarg {"short": "L"}
const volatile bool per_thread = false;
/// @description Count milliseconds instead of microseconds
/// @cmdarg {"short": "m"}
const volatile bool milliseconds = false;
/// @description Measure the time off the CPU
/// @cmdarg {"short": "O"}
const volatile bool off_cpu = false;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u32);
	__type(value, __u64);
} since SEC(".maps");

/// @sample {"interval": 1000, "type": "log2_hist", "clear_map": true}
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u32);
	__type(value, struct hist);
} hists SEC(".maps");

static struct hist zero;

static void begin(struct task_struct *task, __u64 now)
{
	__u32 tid = BPF_CORE_READ(task, pid);

	if (tid && (!pid || BPF_CORE_READ(task, tgid) == pid) && task_in_cgroup(task, &cgroup))
		bpf_map_update_elem(&since, &tid, &now, BPF_ANY);
}

static void end(struct task_struct *task, __u64 now)
{
	__u32 tid = BPF_CORE_READ(task, pid), key = -1;
	__u64 *from = bpf_map_lookup_elem(&since, &tid), took;
	struct hist *hist;

	if (!from)
		return;
	took = now > *from ? now - *from : 0;
	bpf_map_delete_elem(&since, &tid);
	if (per_process)
		key = BPF_CORE_READ(task, tgid);
	else if (per_thread)
		key = tid;
	hist = lookup_or_init(&hists, &key, &zero);
	if (!hist)
		return;
	if (!hist->comm[0])
		BPF_CORE_READ_STR_INTO(&hist->comm, task, comm);
	took /= milliseconds ? 1000000 : 1000;
	__atomic_fetch_add(&hist->slots[hist_slot(took)], 1, __ATOMIC_RELAXED);
}

SEC("raw_tp/sched_switch")
int BPF_PROG(switched, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	__u64 now = bpf_ktime_get_ns();

	if (off_cpu) {
		begin(prev, now);
		end(next, now);
	} else {
		end(prev, now);
		begin(next, now);
	}
	return 0;
}

/// @brief Show how long tasks stay on a CPU, as a histogram.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
