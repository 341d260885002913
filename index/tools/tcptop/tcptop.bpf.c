// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which processes send and receive most over TCP. By the tracepoints of Linux 6.3, and by probes
// of the functions on older kernels.
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <ebpm/cgroup.h>
#include <ebpm/hist.h>
#include <ebpm/net.h>
#include "tcptop.h"

/// @description Process ID to trace; 0 traces all
/// @cmdarg {"short": "p"}
const volatile int pid = 0;
/// @description Cgroup to trace, with those below it; an empty one traces all
/// @cmdarg {"short": "c"}
const volatile struct ebpm_cgroup cgroup = {};
/// @description Only IPv4
/// @cmdarg {"short": "4"}
const volatile bool ipv4 = false;
/// @description Only IPv6
/// @cmdarg {"short": "6"}
const volatile bool ipv6 = false;

/// @sample {"interval": 1000, "clear_map": true, "sort": "tx_bytes+rx_bytes", "limit": 20,
///          "cmdarg": {"sort": {"short": "s"}, "limit": {"short": "r"}}}
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct flow);
	__type(value, struct traffic);
} flows SEC(".maps");

static struct traffic zero;

static int count(struct sock *sk, int bytes, bool sent)
{
	__u32 process = bpf_get_current_pid_tgid() >> 32;
	struct traffic *traffic;
	struct flow key = {};
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	if (bytes <= 0 || (pid && process != pid) || (family != AF_INET && family != AF_INET6) ||
	    (ipv4 && family != AF_INET) || (ipv6 && family != AF_INET6) ||
	    BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP || !in_cgroup(&cgroup))
		return 0;
	key.pid = process;
	bpf_get_current_comm(key.comm, sizeof(key.comm));
	sock_ends(sk, &key.laddr, &key.raddr, &key.lport, &key.rport);
	traffic = lookup_or_init(&flows, &key, &zero);
	if (traffic)
		__atomic_fetch_add(sent ? &traffic->tx_bytes : &traffic->rx_bytes, bytes, __ATOMIC_RELAXED);
	return 0;
}

/* (struct sock *, int ret, int flags) */
/// @alternative tcp 1
SEC("raw_tp/sock_send_length")
int sent_length(struct bpf_raw_tracepoint_args *ctx)
{
	return count((struct sock *)ctx->args[0], ctx->args[1], true);
}

/// @alternative tcp 1
SEC("raw_tp/sock_recv_length")
int received_length(struct bpf_raw_tracepoint_args *ctx)
{
	return count((struct sock *)ctx->args[0], ctx->args[1], false);
}

/// @alternative tcp 2
SEC("kprobe/tcp_sendmsg")
int BPF_KPROBE(tcp_sendmsg_entry, struct sock *sk, struct msghdr *msg, size_t size)
{
	return count(sk, size, true);
}

/// @alternative tcp 2
SEC("kprobe/tcp_cleanup_rbuf")
int BPF_KPROBE(tcp_cleanup_rbuf_entry, struct sock *sk, int copied)
{
	return count(sk, copied, false);
}

/// @brief Show which processes send and receive most over TCP.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
