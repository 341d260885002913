// Streams for the readers: getpgid(N) of the watched process sends what its argument says.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct small { unsigned long long seq; unsigned int pid; };
struct large { unsigned long long seq; char pad[200]; };

const volatile int watched = 0;
/// @lost
unsigned long long dropped = 0;
unsigned long long produced = 0;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} perf SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_getpgid")
int on_getpgid(struct trace_event_raw_sys_enter *ctx)
{
	struct small *e;
	struct large big = {};

	if (watched != bpf_get_current_pid_tgid() >> 32)
		return 0;
	switch (ctx->args[0]) {
	case 1: /* a small record in the ring */
		e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
		if (!e) {
			dropped++;
			return 0;
		}
		e->seq = produced++;
		e->pid = watched;
		bpf_ringbuf_submit(e, 0);
		break;
	case 2: /* one that is discarded */
		e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
		if (e)
			bpf_ringbuf_discard(e, 0);
		break;
	case 3: /* a large one in the perf buffer */
		big.seq = produced++;
		bpf_perf_event_output(ctx, &perf, BPF_F_CURRENT_CPU, &big, sizeof(big));
		break;
	}
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
