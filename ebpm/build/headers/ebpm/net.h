/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef EBPM_NET_H
#define EBPM_NET_H

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#define AF_INET 2
#define AF_INET6 10

/* An address that ebpm prints as people write it: IPv6, or IPv4 in the last four bytes behind
   ::ffff (RFC 4291 section 2.5.5.2). */
struct ebpm_ip {
	__u8 bytes[16];
};

/* The states of a connection (include/net/tcp_states.h). */
enum tcp_state {
	ESTABLISHED = 1,
	SYN_SENT,
	SYN_RECV,
	FIN_WAIT1,
	FIN_WAIT2,
	TIME_WAIT,
	CLOSE,
	CLOSE_WAIT,
	LAST_ACK,
	LISTEN,
	CLOSING,
	NEW_SYN_RECV,
};

/* Put an IPv4 address there: four bytes in network order. */
static __always_inline void ip_from_v4(struct ebpm_ip *ip, const void *bytes)
{
	__builtin_memset(ip->bytes, 0, 10);
	ip->bytes[10] = ip->bytes[11] = 0xff;
	__builtin_memcpy(ip->bytes + 12, bytes, 4);
}

/* Whether an address is the one that an option names, or it names none (::); both aligned to 8. */
static __always_inline bool wanted_ip(const struct ebpm_ip *ip,
				      const volatile struct ebpm_ip *wanted)
{
	const volatile __u64 *want = (const volatile __u64 *)wanted;
	const __u64 *have = (const __u64 *)ip;

	if (!(want[0] | want[1]))
		return true;
	return !((have[0] ^ want[0]) | (have[1] ^ want[1]));
}

#define WANTED_PORTS 16

/* Whether a port is one of those that an option lists, or it lists none. */
static __always_inline bool wanted_port(__u16 port, const volatile unsigned short *wanted)
{
	bool found = false;

	if (!wanted[0])
		return true;
#pragma clang loop unroll(full)
	for (int i = 0; i < WANTED_PORTS; i++)
		found |= wanted[i] == port;
	return port && found;
}

/* The addresses and ports of a socket; ports in the machine's byte order. */
static __always_inline void sock_ends(struct sock *sk, struct ebpm_ip *local,
				      struct ebpm_ip *remote, __u16 *local_port, __u16 *remote_port)
{
	*local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	*remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6) {
		BPF_CORE_READ_INTO(local, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(remote, sk, __sk_common.skc_v6_daddr);
	} else {
		__be32 from = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
		__be32 to = BPF_CORE_READ(sk, __sk_common.skc_daddr);

		ip_from_v4(local, &from);
		ip_from_v4(remote, &to);
	}
}

#endif
