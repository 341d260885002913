// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Every annotation that means something, each once.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct event {
	int pid; /// process
};

/// Told in plain text
const volatile int plain = 0;
/** @description Told by a command */
const volatile int described = 0;
/// @cmdarg {"default": 7, "long": "limit", "short": "l", "help": "At most as many"}
const volatile int limited = 0;
const volatile int trailing = 0; ///< Told behind it

/// @lost
__u64 dropped = 0;

/// @export_config {"custom_members": [{"name": "low", "offset": 0, "btf_type_id": 1}]}
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

/// @sample {"interval": 250, "type": "log2_hist", "unit": "usec", "clear_map": true}
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32[8]);
} counts SEC(".maps");

/// @max_entries 16
/// @data [{"key": 3, "value": 4}]
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u32);
} table SEC(".maps");

struct trace {
	int pid;
	__u64 kstack[4];
	int kstack_sz;
};

/// @when plain limited
/// @intepreter {"stack_trace": {"with_symbols": false}}
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} traces SEC(".maps");

/// @attach perf_event,type=software,config=cpu-clock,frequency=99
SEC("perf_event")
int sampled(void *ctx)
{
	struct trace *trace = bpf_ringbuf_reserve(&traces, sizeof(*trace), 0);
	__u32 first = 0;

	if (trace)
		bpf_ringbuf_discard(trace, 0);
	bpf_map_update_elem(&table, &first, &first, BPF_ANY);
	return bpf_map_lookup_elem(&counts, &first) ? 1 : 0;
}

/// @alternative open 1
SEC("fentry/do_sys_openat2")
int first_way(void *ctx)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return dropped++;
	event->pid = plain + described + limited + trailing;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/// @alternative {"group": "open", "rank": 2}
SEC("kprobe/do_sys_openat2")
int second_way(void *ctx)
{
	return 0;
}

/// @tchook {"ifindex": 3, "attach_point": "BPF_TC_EGRESS"}
/// @tcopts {"handle": 4, "priority": 5}
SEC("tc")
int packet(void *ctx)
{
	return 0;
}

/// @when trailing
/// @ifindex 6
/// @flags 2
SEC("xdp")
int frame(void *ctx)
{
	return 2;
}

/// @brief Every annotation once.
/// @details Said at the end.
/// @version 1.2.3
char LICENSE[] SEC("license") = "GPL";
