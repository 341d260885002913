// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Connections that processes open with connect(2): reported when the first packet is about to be
// sent, whatever comes of it.
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <ebpm/cgroup.h>
#include <ebpm/hist.h>
#include <ebpm/net.h>
#include "tcpconnect.h"

/// @description Process ID to trace; 0 traces all
/// @cmdarg {"short": "p"}
const volatile int pid = 0;
/// @description Cgroup to trace, with those below it; an empty one traces all
const volatile struct ebpm_cgroup cgroup = {};
/// @description User ID to trace; -1 traces all
/// @cmdarg {"short": "u"}
const volatile int uid = -1;
/// @description Remote ports to trace, as 80,443; 0 traces all
/// @cmdarg {"short": "P"}
const volatile unsigned short port[WANTED_PORTS] = {};
/// @description Count connections by addresses and port, instead of reporting each
/// @cmdarg {"short": "c"}
const volatile bool count = false;

/// @lost
__u64 lost_events = 0;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 * 1024);
} events SEC(".maps");

/// @sample {"interval": 86400000, "sort": "count"}
/// @when count
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct ends);
	__type(value, struct connections);
} counts SEC(".maps");

static struct connections zero;

static int count_one(struct trace_event_raw_inet_sock_set_state *ctx)
{
	struct connections *connections;
	struct ends key = {.dport = ctx->dport};

	bpf_core_read(&key.saddr, sizeof(key.saddr), &ctx->saddr_v6);
	bpf_core_read(&key.daddr, sizeof(key.daddr), &ctx->daddr_v6);
	connections = lookup_or_init(&counts, &key, &zero);
	if (connections)
		__atomic_fetch_add(&connections->count, 1, __ATOMIC_RELAXED);
	return 0;
}

SEC("tracepoint/sock/inet_sock_set_state")
int state_set(struct trace_event_raw_inet_sock_set_state *ctx)
{
	__u32 process = bpf_get_current_pid_tgid() >> 32, user = bpf_get_current_uid_gid();
	struct event *event;

	if (ctx->protocol != IPPROTO_TCP || ctx->newstate != TCP_SYN_SENT)
		return 0;
	if ((pid && process != pid) || (uid != -1 && user != uid) || !wanted_port(ctx->dport, port) ||
	    !in_cgroup(&cgroup))
		return 0;
	if (count)
		return count_one(ctx);
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__atomic_fetch_add(&lost_events, 1, __ATOMIC_RELAXED);
		return 0;
	}
	event->pid = process;
	event->uid = user;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_core_read(&event->saddr, sizeof(event->saddr), &ctx->saddr_v6);
	bpf_core_read(&event->daddr, sizeof(event->daddr), &ctx->daddr_v6);
	event->dport = ctx->dport;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/// @brief Trace the TCP connections that processes open.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
