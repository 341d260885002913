// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// TCP connections at their end: who had them, how much went each way, how long they lived.
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <ebpm/net.h>
#include "tcplife.h"

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

struct life {
	__u64 born;
	__u32 pid;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, const void *);
	__type(value, struct life);
} lives SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 * 1024);
} events SEC(".maps");

/* Who runs when a connection leaves these states is who has it; in others it may be anybody. */
static bool ours(int state)
{
	return state == TCP_SYN_SENT || state == TCP_LAST_ACK;
}

SEC("tracepoint/sock/inet_sock_set_state")
int state_set(struct trace_event_raw_inet_sock_set_state *ctx)
{
	__u16 lport = ctx->sport, rport = ctx->dport; /* read now: the verifier wants plain offsets */
	__u16 family = ctx->family;
	int state = ctx->newstate;
	const void *sk = ctx->skaddr;
	struct life *life, fresh = {};
	struct tcp_sock *tcp = (struct tcp_sock *)sk;
	struct event *event;

	if (ctx->protocol != IPPROTO_TCP || !wanted_port(lport, local_port) ||
	    !wanted_port(rport, remote_port) || (ipv4 && family != AF_INET) ||
	    (ipv6 && family != AF_INET6))
		return 0;
	life = bpf_map_lookup_elem(&lives, &sk);
	if (!life && state != TCP_CLOSE) {
		fresh.born = bpf_ktime_get_ns();
		bpf_map_update_elem(&lives, &sk, &fresh, BPF_NOEXIST);
		life = bpf_map_lookup_elem(&lives, &sk);
	}
	if (!life)
		return 0;
	if (ours(state) || (state == TCP_CLOSE && !life->pid)) {
		life->pid = bpf_get_current_pid_tgid() >> 32;
		bpf_get_current_comm(life->comm, sizeof(life->comm));
	}
	if (state != TCP_CLOSE)
		return 0;
	if (pid && life->pid != pid)
		goto out;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__atomic_fetch_add(&lost_events, 1, __ATOMIC_RELAXED);
		goto out;
	}
	event->pid = life->pid;
	__builtin_memcpy(event->comm, life->comm, sizeof(event->comm));
	bpf_core_read(&event->laddr, sizeof(event->laddr), &ctx->saddr_v6);
	bpf_core_read(&event->raddr, sizeof(event->raddr), &ctx->daddr_v6);
	event->lport = lport;
	event->rport = rport;
	event->tx_bytes = BPF_CORE_READ(tcp, bytes_acked);
	event->rx_bytes = BPF_CORE_READ(tcp, bytes_received);
	event->ms = (bpf_ktime_get_ns() - life->born) / 1000000;
	bpf_ringbuf_submit(event, 0);
out:
	bpf_map_delete_elem(&lives, &sk);
	return 0;
}

/// @brief Trace TCP connections as they end, with what went over them.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
