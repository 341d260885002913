// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// How many page faults processes have. Counted by a software event, which every processor has.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <ebpm/cgroup.h>
#include <ebpm/hist.h>
#include "pagefaults.h"

/// @description Process ID to trace; 0 traces all
/// @cmdarg {"short": "p"}
const volatile int pid = 0;
/// @description Cgroup to trace, with those below it; an empty one traces all
/// @cmdarg {"short": "c"}
const volatile struct ebpm_cgroup cgroup = {};

/// @sample {"interval": 1000, "clear_map": true, "sort": "count", "limit": 20,
///          "cmdarg": {"sort": {"short": "s"}, "limit": {"short": "r"}}}
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct process);
	__type(value, struct faults);
} faults SEC(".maps");

static struct faults zero;

/// @attach perf_event,type=software,config=page-faults,period=1
SEC("perf_event")
int fault(struct bpf_perf_event_data *ctx)
{
	__u32 process = bpf_get_current_pid_tgid() >> 32;
	struct process key = {.pid = process};
	struct faults *count;

	if ((pid && process != pid) || !in_cgroup(&cgroup))
		return 0;
	bpf_get_current_comm(key.comm, sizeof(key.comm));
	count = lookup_or_init(&faults, &key, &zero);
	if (count)
		__atomic_fetch_add(&count->count, 1, __ATOMIC_RELAXED);
	return 0;
}

/// @brief Count the page faults of processes.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
