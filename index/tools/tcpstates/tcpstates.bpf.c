// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Each change of state of a TCP connection, and how long the state before it lasted.
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <ebpm/net.h>
#include "tcpstates.h"

/// @description Process ID to trace; 0 traces all
/// @cmdarg {"short": "p"}
const volatile int pid = 0;
/// @description Local ports to trace, as 80,443; 0 traces all
/// @cmdarg {"short": "L"}
const volatile unsigned short local_port[WANTED_PORTS] = {};
/// @description Remote ports to trace, as 80,443; 0 traces all
/// @cmdarg {"short": "D"}
const volatile unsigned short remote_port[WANTED_PORTS] = {};
/// @description Only IPv4
/// @cmdarg {"short": "4"}
const volatile bool ipv4 = false;
/// @description Only IPv6
/// @cmdarg {"short": "6"}
const volatile bool ipv6 = false;

/// @lost
__u64 lost_events = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, const void *);
	__type(value, __u64);
} entered SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 * 1024);
} events SEC(".maps");

SEC("tracepoint/sock/inet_sock_set_state")
int state_set(struct trace_event_raw_inet_sock_set_state *ctx)
{
	__u32 process = bpf_get_current_pid_tgid() >> 32;
	__u64 now = bpf_ktime_get_ns(), *since;
	const void *sk = ctx->skaddr;
	__u16 family = ctx->family;
	struct event *event;

	if (ctx->protocol != IPPROTO_TCP || (pid && process != pid) ||
	    !wanted_port(ctx->sport, local_port) ||
	    !wanted_port(ctx->dport, remote_port) || (ipv4 && family != AF_INET) ||
	    (ipv6 && family != AF_INET6))
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__atomic_fetch_add(&lost_events, 1, __ATOMIC_RELAXED);
		goto out;
	}
	since = bpf_map_lookup_elem(&entered, &sk);
	event->us = since ? (now - *since) / 1000 : 0;
	event->pid = process;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_core_read(&event->laddr, sizeof(event->laddr), &ctx->saddr_v6);
	bpf_core_read(&event->raddr, sizeof(event->raddr), &ctx->daddr_v6);
	event->lport = ctx->sport;
	event->rport = ctx->dport;
	event->oldstate = ctx->oldstate;
	event->newstate = ctx->newstate;
	bpf_ringbuf_submit(event, 0);
out:
	if (ctx->newstate == TCP_CLOSE)
		bpf_map_delete_elem(&entered, &sk);
	else
		bpf_map_update_elem(&entered, &sk, &now, BPF_ANY);
	return 0;
}

/// @brief Trace the states that TCP connections go through.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
