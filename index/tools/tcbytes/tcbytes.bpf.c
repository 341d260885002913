// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Bytes that an interface sends and receives, by the address at the other end.
#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <ebpm/net.h>
#include "tcbytes.h"

/// @sample {"interval": 1000, "sort": "sent+received", "limit": 20,
///          "cmdarg": {"sort": {"short": "s"}, "limit": {"short": "r"}}}
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct peer);
	__type(value, struct traffic);
} peers SEC(".maps");

static struct traffic zero;

static void count(struct __sk_buff *skb, bool sent)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);
	struct ipv6hdr *ip6 = data + sizeof(struct ethhdr);
	struct peer key = {};
	struct traffic *traffic;

	if (skb->protocol == bpf_htons(0x0800) && (void *)(ip + 1) <= end)
		ip_from_v4(&key.addr, sent ? &ip->daddr : &ip->saddr);
	else if (skb->protocol == bpf_htons(0x86dd) && (void *)(ip6 + 1) <= end)
		__builtin_memcpy(&key.addr, sent ? &ip6->daddr : &ip6->saddr, sizeof(key.addr));
	else
		return;
	traffic = bpf_map_lookup_elem(&peers, &key);
	if (!traffic) {
		bpf_map_update_elem(&peers, &key, &zero, BPF_NOEXIST);
		traffic = bpf_map_lookup_elem(&peers, &key);
		if (!traffic)
			return;
	}
	if (sent)
		traffic->sent += skb->len; /* this CPU's own */
	else
		traffic->received += skb->len;
}

/// @description Counts what comes in; the interface is chosen with --attach dev=NAME
SEC("tc/ingress")
int received(struct __sk_buff *skb)
{
	count(skb, false);
	return 0; /* TC_ACT_OK */
}

/// @description Counts what goes out
SEC("tc/egress")
int sent(struct __sk_buff *skb)
{
	count(skb, true);
	return 0; /* TC_ACT_OK */
}

/// @brief Count the bytes that an interface sends and receives, by address.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
