// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The TCP sockets of this network namespace and their state, read once through a BPF iterator.
#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* enum tcp_state of <ebpm/net.h> */
static const char states[][16] = {
	"?",         "ESTABLISHED", "SYN_SENT", "SYN_RECV",
	"FIN_WAIT1", "FIN_WAIT2",   "TIME_WAIT", "CLOSE",
	"CLOSE_WAIT", "LAST_ACK",   "LISTEN",    "CLOSING",
	"NEW_SYN_RECV", "?",        "?",         "?",
};

SEC("iter/tcp")
int socket(struct bpf_iter__tcp *ctx)
{
	struct sock_common *common = ctx->sk_common;
	struct seq_file *seq = ctx->meta->seq;
	const char *state;
	__u16 port;

	if (ctx->meta->seq_num == 0)
		BPF_SEQ_PRINTF(seq, "%-12s %-8s %s\n", "STATE", "UID", "LOCAL -> REMOTE");
	if (!common)
		return 0;
	state = states[common->skc_state & 15];
	port = bpf_ntohs(common->skc_dport);
	if (common->skc_family == 10) /* AF_INET6 */
		BPF_SEQ_PRINTF(seq, "%-12s %-8u [%pI6c]:%u -> [%pI6c]:%u\n", state,
			       ctx->uid, &common->skc_v6_rcv_saddr, common->skc_num,
			       &common->skc_v6_daddr, port);
	else
		BPF_SEQ_PRINTF(seq, "%-12s %-8u %pI4:%u -> %pI4:%u\n", state, ctx->uid,
			       &common->skc_rcv_saddr, common->skc_num, &common->skc_daddr, port);
	return 0;
}

/// @brief List the TCP sockets and their state.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
