// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Time in interrupt handlers, by the name of the interrupt.
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <ebpm/cgroup.h>
#include <ebpm/hist.h>
#include "hardirqs.h"

/// @description Report nanoseconds instead of microseconds
/// @cmdarg {"short": "N"}
const volatile bool nanoseconds = false;
/// @description Cgroup to trace, with those below it; an empty one traces all
/// @cmdarg {"short": "c"}
const volatile struct ebpm_cgroup cgroup = {};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} entered SEC(".maps");

/// @sample {"interval": 1000, "type": "log2_hist", "clear_map": true}
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct irq);
	__type(value, struct spent);
} hists SEC(".maps");

static struct spent zero;

SEC("tracepoint/irq/irq_handler_entry")
int handler_entered(void *ctx)
{
	__u64 *since, now = bpf_ktime_get_ns();
	__u32 first = 0;

	since = bpf_map_lookup_elem(&entered, &first);
	if (since && in_cgroup(&cgroup))
		*since = now;
	return 0;
}

/* The name stands in the arguments: (irq, struct irqaction *, ret) */
SEC("raw_tp/irq_handler_exit")
int handler_left(struct bpf_raw_tracepoint_args *ctx)
{
	struct irqaction *action = (struct irqaction *)ctx->args[1];
	__u64 *since, took;
	struct spent *spent;
	struct irq key = {};
	__u32 first = 0;

	since = bpf_map_lookup_elem(&entered, &first);
	if (!since || !*since)
		return 0;
	took = bpf_ktime_get_ns() - *since;
	*since = 0;
	if (!nanoseconds)
		took /= 1000;
	bpf_probe_read_kernel_str(key.name, sizeof(key.name), BPF_CORE_READ(action, name));
	spent = lookup_or_init(&hists, &key, &zero);
	if (!spent)
		return 0;
	__atomic_fetch_add(&spent->count, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&spent->total, took, __ATOMIC_RELAXED);
	__atomic_fetch_add(&spent->slots[hist_slot(took)], 1, __ATOMIC_RELAXED);
	return 0;
}

/// @brief Show the time in interrupt handlers, by interrupt.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
