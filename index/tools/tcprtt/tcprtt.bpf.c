// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Round-trip times of TCP connections, as the kernel smooths them.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <ebpm/hist.h>
#include <ebpm/net.h>
#include "tcprtt.h"

/// @description Local port to count; 0 counts all
/// @cmdarg {"short": "p"}
const volatile unsigned short local_port = 0;
/// @description Remote port to count; 0 counts all
/// @cmdarg {"short": "P"}
const volatile unsigned short remote_port = 0;
/// @description Local address to count; :: counts all
/// @cmdarg {"short": "a"}
const volatile struct ebpm_ip local_address __attribute__((aligned(8))) = {};
/// @description Remote address to count; :: counts all
/// @cmdarg {"short": "A"}
const volatile struct ebpm_ip remote_address __attribute__((aligned(8))) = {};
/// @description A histogram for each local address
/// @cmdarg {"short": "b"}
const volatile bool by_local = false;
/// @description A histogram for each remote address
/// @cmdarg {"short": "B"}
const volatile bool by_remote = false;
/// @description Count milliseconds instead of microseconds
/// @cmdarg {"short": "m"}
const volatile bool milliseconds = false;

/// @sample {"interval": 1000, "type": "log2_hist", "clear_map": true}
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct ends);
	__type(value, struct hist);
} hists SEC(".maps");

static struct hist zero;

/* Called for each segment that an established connection receives. */
SEC("raw_tp/tcp_probe")
int probed(struct bpf_raw_tracepoint_args *ctx)
{
	struct sock *sk = (struct sock *)ctx->args[0];
	__u32 rtt = BPF_CORE_READ((struct tcp_sock *)sk, srtt_us) >> 3;
	struct ebpm_ip local __attribute__((aligned(8))), remote __attribute__((aligned(8)));
	struct ends key = {};
	struct hist *hist;
	__u16 lport, rport;

	sock_ends(sk, &local, &remote, &lport, &rport);
	if ((local_port && lport != local_port) || (remote_port && rport != remote_port) ||
	    !wanted_ip(&local, &local_address) || !wanted_ip(&remote, &remote_address))
		return 0;
	if (by_local)
		key.laddr = local;
	if (by_remote)
		key.raddr = remote;
	hist = lookup_or_init(&hists, &key, &zero);
	if (!hist)
		return 0;
	__atomic_fetch_add(&hist->count, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&hist->total, rtt, __ATOMIC_RELAXED);
	__atomic_fetch_add(&hist->slots[hist_slot(milliseconds ? rtt / 1000 : rtt)], 1, __ATOMIC_RELAXED);
	return 0;
}

/// @brief Show the round-trip times of TCP connections, as a histogram.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
