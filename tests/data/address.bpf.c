// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// An event with addresses, and headers of ours.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <ebpm/hist.h>
#include <ebpm/net.h>

/// Address to report as well
const volatile struct ebpm_ip other;

struct event {
	struct ebpm_ip from, to;
	__u32 slot;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_getpgid")
int report(struct trace_event_raw_sys_enter *ctx)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	__u8 loopback[] = {127, 0, 0, 1};

	if (!event)
		return 0;
	ip_from_v4(&event->from, loopback);
	event->to = other;
	event->slot = hist_slot(ctx->args[0]);
	bpf_ringbuf_submit(event, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
