// Packets counted at an interface, by XDP and by tc.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct event { unsigned int length; unsigned int hook; };

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} events SEC(".maps");

static int report(unsigned int length, unsigned int hook)
{
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (!e)
		return 0;
	e->length = length;
	e->hook = hook;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

/// @ifindex 1
SEC("xdp")
int count_xdp(struct xdp_md *ctx)
{
	report(ctx->data_end - ctx->data, 1);
	return XDP_PASS;
}

/// @tchook {"ifindex": 1, "attach_point": "BPF_TC_INGRESS"}
/// @tcopts {"handle": 7, "priority": 3}
SEC("tc")
int count_tc(struct __sk_buff *ctx)
{
	report(ctx->len, 2);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
