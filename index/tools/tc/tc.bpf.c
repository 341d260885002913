// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Length and time to live of the IPv4 packets that an interface receives.
#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ETH_P_IP 0x0800
#define TC_ACT_OK 0

/// @description Says of each IPv4 packet how long it is and how far it may still travel
/// @tchook {"ifindex": 1, "attach_point": "BPF_TC_INGRESS"}
/// @tcopts {"handle": 1, "priority": 1}
SEC("tc")
int tc_ingress(struct __sk_buff *ctx)
{
	void *data = (void *)(__u64)ctx->data, *end = (void *)(__u64)ctx->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);

	if (ctx->protocol != bpf_htons(ETH_P_IP) || (void *)(ip + 1) > end)
		return TC_ACT_OK;
	bpf_printk("Got IP packet: tot_len: %d, ttl: %d", bpf_ntohs(ip->tot_len), ip->ttl);
	return TC_ACT_OK;
}

/// @brief Print length and time to live of the packets that an interface receives.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
