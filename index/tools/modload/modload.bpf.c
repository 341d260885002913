// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Kernel modules as they are loaded and unloaded.
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "modload.h"

/// @lost
__u64 lost_events = 0;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 * 1024);
} events SEC(".maps");

static int report(struct module *module, bool load)
{
	struct event *event;

	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__atomic_fetch_add(&lost_events, 1, __ATOMIC_RELAXED);
		return 0;
	}
	event->pid = bpf_get_current_pid_tgid() >> 32;
	event->what = load ? LOADED : UNLOADED;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	BPF_CORE_READ_STR_INTO(&event->module, module, name);
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("raw_tp/module_load")
int loaded(struct bpf_raw_tracepoint_args *ctx)
{
	return report((struct module *)ctx->args[0], true);
}

SEC("raw_tp/module_free")
int unloaded(struct bpf_raw_tracepoint_args *ctx)
{
	return report((struct module *)ctx->args[0], false);
}

/// @brief Trace kernel modules as they are loaded and unloaded.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
