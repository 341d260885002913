// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Time in software interrupts, by vector.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <ebpm/hist.h>
#include "softirqs.h"

/// @description Report nanoseconds instead of microseconds
/// @cmdarg {"short": "N"}
const volatile bool nanoseconds = false;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} entered SEC(".maps");

/// @sample {"interval": 1000, "type": "log2_hist", "clear_map": true}
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, struct softirq);
	__type(value, struct spent);
} hists SEC(".maps");

static struct spent zero;

SEC("tracepoint/irq/softirq_entry")
int softirq_entered(struct trace_event_raw_softirq *ctx)
{
	__u64 *since, now = bpf_ktime_get_ns();
	__u32 first = 0;

	since = bpf_map_lookup_elem(&entered, &first);
	if (since)
		*since = now;
	return 0;
}

SEC("tracepoint/irq/softirq_exit")
int softirq_left(struct trace_event_raw_softirq *ctx)
{
	struct softirq key = {.vector = ctx->vec};
	__u64 *since, took;
	struct spent *spent;
	__u32 first = 0;

	since = bpf_map_lookup_elem(&entered, &first);
	if (!since || !*since)
		return 0;
	took = bpf_ktime_get_ns() - *since;
	*since = 0;
	if (!nanoseconds)
		took /= 1000;
	spent = lookup_or_init(&hists, &key, &zero);
	if (!spent)
		return 0;
	__atomic_fetch_add(&spent->count, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&spent->total, took, __ATOMIC_RELAXED);
	__atomic_fetch_add(&spent->slots[hist_slot(took)], 1, __ATOMIC_RELAXED);
	return 0;
}

/// @brief Show the time in software interrupts, by vector.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
