// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Packets that an interface receives, by protocol, counted before the kernel allocates anything
// for them. Lets all of them pass.
#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "xdpcount.h"

/// @sample {"interval": 1000, "sort": "packets"}
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 256);
	__type(key, struct packet);
	__type(value, struct traffic);
} packets SEC(".maps");

static struct traffic zero;

/// @description Counts packets; the interface is chosen with --attach dev=NAME
SEC("xdp")
int count(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *ethernet = data;
	struct packet key = {.ethertype = OTHER};
	struct traffic *traffic;

	if ((void *)(ethernet + 1) > end)
		return XDP_PASS;
	if (ethernet->h_proto == bpf_htons(0x0800)) {
		struct iphdr *ip = (void *)(ethernet + 1);

		key.ethertype = IPV4;
		if ((void *)(ip + 1) <= end)
			key.protocol = ip->protocol;
	} else if (ethernet->h_proto == bpf_htons(0x86dd)) {
		struct ipv6hdr *ip = (void *)(ethernet + 1);

		key.ethertype = IPV6;
		if ((void *)(ip + 1) <= end)
			key.protocol = ip->nexthdr;
	} else if (ethernet->h_proto == bpf_htons(0x0806)) {
		key.ethertype = ARP;
	}
	traffic = bpf_map_lookup_elem(&packets, &key);
	if (!traffic) {
		bpf_map_update_elem(&packets, &key, &zero, BPF_NOEXIST);
		traffic = bpf_map_lookup_elem(&packets, &key);
		if (!traffic)
			return XDP_PASS;
	}
	traffic->packets++; /* this CPU's own */
	traffic->bytes += end - data;
	return XDP_PASS;
}

/// @brief Count the packets that an interface receives, by protocol.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
