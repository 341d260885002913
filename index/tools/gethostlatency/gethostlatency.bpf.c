// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// How long programs wait for names of hosts to be resolved, by the C library's getaddrinfo(3) and
// gethostbyname(3).
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <ebpm/cgroup.h>
#include "gethostlatency.h"

/// @description Process ID to trace; 0 traces all
/// @cmdarg {"short": "p"}
const volatile int pid = 0;
/// @description Cgroup to trace, with those below it; an empty one traces all
/// @cmdarg {"short": "c"}
const volatile struct ebpm_cgroup cgroup = {};

/// @lost
__u64 lost_events = 0;

struct call {
	const char *host;
	__u64 started;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u32);
	__type(value, struct call);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 * 1024);
} events SEC(".maps");

static int enter(const char *host)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct call call = {.host = host, .started = bpf_ktime_get_ns()};
	__u32 tid = id;

	if (host && (!pid || id >> 32 == pid) && in_cgroup(&cgroup))
		bpf_map_update_elem(&calls, &tid, &call, BPF_ANY);
	return 0;
}

static int leave(void)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 tid = id;
	struct call *call = bpf_map_lookup_elem(&calls, &tid);
	struct event *event;

	if (!call)
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__atomic_fetch_add(&lost_events, 1, __ATOMIC_RELAXED);
		goto out;
	}
	event->pid = id >> 32;
	event->us = (bpf_ktime_get_ns() - call->started) / 1000;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	if (bpf_probe_read_user_str(event->host, sizeof(event->host), call->host) < 0)
		event->host[0] = 0;
	bpf_ringbuf_submit(event, 0);
out:
	bpf_map_delete_elem(&calls, &tid);
	return 0;
}

SEC("uprobe/libc.so.6:getaddrinfo")
int BPF_UPROBE(getaddrinfo_entry, const char *host)
{
	return enter(host);
}

SEC("uretprobe/libc.so.6:getaddrinfo")
int BPF_URETPROBE(getaddrinfo_exit)
{
	return leave();
}

SEC("uprobe/libc.so.6:gethostbyname")
int BPF_UPROBE(gethostbyname_entry, const char *host)
{
	return enter(host);
}

SEC("uretprobe/libc.so.6:gethostbyname")
int BPF_URETPROBE(gethostbyname_exit)
{
	return leave();
}

/// @brief Trace how long programs wait for names of hosts.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
