// Many producers: getpgid(MAGIC) of any process sends a record that says what it must be.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct event { unsigned long long seq, inverse; unsigned int cpu; char text[20]; };

const volatile int magic = 0;
/// @lost
unsigned long long lost = 0;
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

static __always_inline void fill(struct event *e)
{
	e->seq = __sync_fetch_and_add(&produced, 1);
	e->inverse = ~e->seq;
	e->cpu = bpf_get_smp_processor_id();
	__builtin_memset(e->text, 'a' + (e->seq & 15), sizeof(e->text));
	e->text[19] = 0;
}

SEC("tracepoint/syscalls/sys_enter_getpgid")
int on_getpgid(struct trace_event_raw_sys_enter *ctx)
{
	struct event record = {}, *e;

	if (!magic)
		return 0;
	if (ctx->args[0] == magic) {
		e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
		if (!e) {
			__sync_fetch_and_add(&produced, 1);
			__sync_fetch_and_add(&lost, 1);
			return 0;
		}
		fill(e);
		bpf_ringbuf_submit(e, 0);
	} else if (ctx->args[0] == magic + 1) {
		fill(&record);
		bpf_perf_event_output(ctx, &perf, BPF_F_CURRENT_CPU, &record, sizeof(record));
	}
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
