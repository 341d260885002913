// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Connections that processes take with accept(2) and accept4(2).
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <ebpm/cgroup.h>
#include <ebpm/file.h>
#include <ebpm/net.h>
#include "tcpaccept.h"

/// @description Process ID to trace; 0 traces all
/// @cmdarg {"short": "p"}
const volatile int pid = 0;
/// @description Cgroup to trace, with those below it; an empty one traces all
/// @cmdarg {"short": "c"}
const volatile struct ebpm_cgroup cgroup = {};
/// @description Local ports to trace, as 80,443; 0 traces all
/// @cmdarg {"short": "P"}
const volatile unsigned short port[WANTED_PORTS] = {};

/// @lost
__u64 lost_events = 0;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 * 1024);
} events SEC(".maps");

static int accepted(long fd)
{
	__u32 process = bpf_get_current_pid_tgid() >> 32;
	struct socket *socket;
	struct event *event;
	struct file *file;
	struct sock *sk;
	__u16 family;

	if (fd < 0 || (pid && process != pid) || !in_cgroup(&cgroup))
		return 0;
	file = file_of(fd);
	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & 0170000) != 0140000) /* a socket */
		return 0;
	socket = BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(socket, sk);
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if ((family != AF_INET && family != AF_INET6) ||
	    BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return 0;
	if (!wanted_port(BPF_CORE_READ(sk, __sk_common.skc_num), port))
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__atomic_fetch_add(&lost_events, 1, __ATOMIC_RELAXED);
		return 0;
	}
	event->pid = process;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	sock_ends(sk, &event->laddr, &event->raddr, &event->lport, &event->rport);
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_accept")
int accept_exit(struct trace_event_raw_sys_exit *ctx)
{
	return accepted(ctx->ret);
}

SEC("tracepoint/syscalls/sys_exit_accept4")
int accept4_exit(struct trace_event_raw_sys_exit *ctx)
{
	return accepted(ctx->ret);
}

/// @brief Trace the TCP connections that processes accept.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
