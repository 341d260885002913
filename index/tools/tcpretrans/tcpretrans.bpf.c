// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Segments that TCP sends a second time.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <ebpm/net.h>
#include "tcpretrans.h"

/// @lost
__u64 lost_events = 0;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 * 1024);
} events SEC(".maps");

SEC("raw_tp/tcp_retransmit_skb")
int retransmitted(struct bpf_raw_tracepoint_args *ctx)
{
	struct sock *sk = (struct sock *)ctx->args[0];
	struct event *event;

	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__atomic_fetch_add(&lost_events, 1, __ATOMIC_RELAXED);
		return 0;
	}
	event->pid = bpf_get_current_pid_tgid() >> 32;
	event->state = BPF_CORE_READ(sk, __sk_common.skc_state);
	sock_ends(sk, &event->laddr, &event->raddr, &event->lport, &event->rport);
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/// @brief Trace the segments that TCP sends again.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
