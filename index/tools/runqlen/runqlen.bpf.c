// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// How many tasks wait for each CPU, sampled 99 times a second.
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "runqlen.h"

struct cfs_rq___before_6_14 {
	unsigned int nr_running;
} __attribute__((preserve_access_index));

/// @sample {"interval": 1000, "type": "linear_hist", "unit": "tasks", "clear_map": true}
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct hist);
} hists SEC(".maps");

/// @description A histogram for each CPU
/// @cmdarg {"short": "C"}
const volatile bool cpus = false;

static struct hist zero;

/* Tasks of the fair class that are runnable, the running one among them. */
static unsigned int queued(struct cfs_rq *queue)
{
	struct cfs_rq___before_6_14 *older = (void *)queue;

	if (bpf_core_field_exists(older->nr_running))
		return BPF_CORE_READ(older, nr_running);
	return BPF_CORE_READ(queue, nr_queued);
}

/// @attach perf_event,type=software,config=cpu-clock,frequency=99
SEC("perf_event")
int sample(void *ctx)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	__u32 key = cpus ? bpf_get_smp_processor_id() : 0;
	unsigned int length = queued(BPF_CORE_READ(task, se.cfs_rq));
	struct hist *hist;

	if (length && BPF_CORE_READ(task, pid)) /* the idle task is in no queue */
		length--;
	hist = bpf_map_lookup_elem(&hists, &key);
	if (!hist) {
		bpf_map_update_elem(&hists, &key, &zero, BPF_NOEXIST);
		hist = bpf_map_lookup_elem(&hists, &key);
		if (!hist)
			return 0;
	}
	__atomic_fetch_add(&hist->samples, 1, __ATOMIC_RELAXED);
	if (length)
		__atomic_fetch_add(&hist->queued, 1, __ATOMIC_RELAXED);
	if (length >= QUEUE_SLOTS)
		length = QUEUE_SLOTS - 1;
	__atomic_fetch_add(&hist->slots[length], 1, __ATOMIC_RELAXED);
	return 0;
}

/// @brief Show how many tasks wait for each CPU, as a histogram.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
